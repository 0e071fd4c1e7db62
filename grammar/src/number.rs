//! Numbers in JSON's syntax, with a bounded number of digits.

use crate::Limits;
use crate::decimal::Decimal;
use crate::regex::Rx;

/// One end of a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub value: Decimal,
    /// Whether the value itself is excluded.
    pub exclusive: bool,
}

/// The numbers from `min` to `max`, in JSON's syntax.
pub fn numbers(min: Option<&Bound>, max: Option<&Bound>, integer: bool, limits: &Limits) -> Rx {
    let free = min.is_none() && max.is_none();
    let negated = |bound: &Bound| Bound { value: bound.value.negated(), exclusive: bound.exclusive };
    let (low, high) = (max.map(negated), min.map(negated));
    let zero = Decimal::default();
    let has_some_below = high.as_ref().is_none_or(|high| high.value > zero);
    // -0 is excluded if there are bounds
    let low = low.filter(|low| low.value > zero).or((!free).then_some(Bound { value: zero, exclusive: true }));
    let below = if has_some_below { from_zero(low.as_ref(), high.as_ref(), integer, limits) } else { Rx::never() };
    let signed = if free {
        Rx::concat([Rx::literal("-").optional(), below])
    } else {
        Rx::or([from_zero(min, max, integer, limits), Rx::concat([Rx::literal("-"), below])])
    };
    if free && !integer && limits.exponent > 0 {
        let sign = Rx::one_of("+-").optional();
        let digits = digit().repeat(1, Some(limits.exponent));
        return Rx::concat([signed, Rx::concat([Rx::one_of("eE"), sign, digits]).optional()]);
    }
    signed
}

fn digit() -> Rx {
    Rx::range('0', '9')
}

fn fraction() -> Rx {
    Rx::concat([Rx::literal("."), digit().repeat(1, None)]).optional()
}

/// The numbers without a sign.
fn from_zero(min: Option<&Bound>, max: Option<&Bound>, integer: bool, limits: &Limits) -> Rx {
    let min = min.filter(|min| !min.value.negative);
    if max.is_some_and(|max| max.value.negative) {
        return Rx::never();
    }
    // a bound with more digits than the limit raises the limit
    let least = min.map_or(0, |min| min.value.whole.len() as u32);
    let places = min.iter().chain(max.iter()).map(|bound| bound.value.fraction.len() as u32).max().unwrap_or(0);
    let digits = if least >= limits.digits { least + 1 } else { limits.digits };
    let places = limits.fraction.max(places);
    let leading = Rx::concat([Rx::range('1', '9'), digit().repeat(0, Some(digits - 1))]);
    let point = Rx::concat([Rx::literal("."), digit().repeat(1, Some(places))]).optional();
    let form =
        Rx::concat([Rx::or([Rx::literal("0"), leading]), if integer || places == 0 { Rx::empty() } else { point }]);
    let mut all = vec![form];
    all.extend(min.map(|min| at_least(&min.value, !min.exclusive)));
    // a maximum with more digits than allowed excludes nothing
    let reached = max.filter(|max| max.value.whole.len() as u32 <= digits);
    all.extend(reached.map(|max| at_most(&max.value, !max.exclusive)));
    Rx::and(all)
}

/// The ways to write `value`: with any number of zeros at the end of its fraction.
fn equal(value: &Decimal) -> Rx {
    let whole = if value.whole.is_empty() { "0" } else { &value.whole };
    let zeros = Rx::literal("0");
    if value.fraction.is_empty() {
        return Rx::concat([Rx::literal(whole), Rx::concat([Rx::literal("."), zeros.repeat(1, None)]).optional()]);
    }
    Rx::concat([Rx::literal(format!("{whole}.{}", value.fraction)), zeros.repeat(0, None)])
}

/// Every way to write `value` without an exponent.
pub fn value(value: &Decimal) -> Rx {
    let sign = if value.negative { "-" } else { "" };
    Rx::concat([Rx::literal(sign), equal(value)])
}

fn beyond(c: char, up: bool) -> Rx {
    match (c, up) {
        ('9', true) | ('0', false) => Rx::never(),
        (c, true) => Rx::range((c as u8 + 1) as char, '9'),
        (c, false) => Rx::range('0', (c as u8 - 1) as char),
    }
}

/// Prefixes of `text`, each followed by a digit larger (`up`) or smaller than the text's next one.
fn first_difference<'a>(text: &'a str, up: bool) -> impl Iterator<Item = (usize, Rx)> + 'a {
    text.char_indices()
        .map(move |(at, c)| (at, Rx::concat([Rx::literal(text.get(..at).unwrap_or_default()), beyond(c, up)])))
}

fn at_least(value: &Decimal, inclusive: bool) -> Rx {
    let whole = &value.whole;
    let longer = Rx::concat([Rx::range('1', '9'), digit().repeat(whole.len() as u32, None), fraction()]);
    let mut options = vec![longer];
    options.extend(first_difference(whole, true).map(|(at, head)| {
        let left = (whole.len() - at - 1) as u32;
        Rx::concat([head, digit().repeat(left, Some(left)), fraction()])
    }));
    let head = Rx::literal(format!("{}.", if whole.is_empty() { "0" } else { whole }));
    let differs = first_difference(&value.fraction, true);
    options.extend(differs.map(|(_, tail)| Rx::concat([head.clone(), tail, digit().repeat(0, None)])));
    // the same digits, then more that are not all zero
    let rest = Rx::concat([Rx::literal("0").repeat(0, None), Rx::range('1', '9'), digit().repeat(0, None)]);
    options.push(Rx::concat([head, Rx::literal(value.fraction.as_str()), rest]));
    if inclusive {
        options.push(equal(value));
    }
    Rx::or(options)
}

fn at_most(value: &Decimal, inclusive: bool) -> Rx {
    let whole = &value.whole;
    let mut options = Vec::new();
    if let Some(shorter) = (whole.len() as u32).checked_sub(1) {
        options.push(Rx::concat([Rx::literal("0"), fraction()]));
        if shorter > 0 {
            let leading = Rx::concat([Rx::range('1', '9'), digit().repeat(0, Some(shorter - 1))]);
            options.push(Rx::concat([leading, fraction()]));
        }
    }
    options.extend(first_difference(whole, false).map(|(at, head)| {
        let left = (whole.len() - at - 1) as u32;
        Rx::concat([head, digit().repeat(left, Some(left)), fraction()])
    }));
    let same = if whole.is_empty() { "0" } else { whole };
    let fraction = &value.fraction;
    options.extend(
        first_difference(fraction, false)
            .map(|(_, tail)| Rx::concat([Rx::literal(format!("{same}.")), tail, digit().repeat(0, None)])),
    );
    // a proper prefix of the fraction is less than the fraction
    if !fraction.is_empty() {
        options.push(Rx::literal(same));
        options.extend(
            (1..fraction.len()).map(|end| Rx::literal(format!("{same}.{}", fraction.get(..end).unwrap_or_default()))),
        );
    }
    if inclusive {
        options.push(equal(value));
    }
    // no leading zero is added before other digits
    Rx::or(options)
}

/// The multiples of `step`, if the last digits decide; otherwise `None`.
pub fn multiples(step: &Decimal) -> Option<Rx> {
    let places = step.fraction.len();
    let step = u64::try_from(step.scaled(places)?).ok().filter(|step| *step > 0)?;
    // the smallest power of ten that is a multiple of the step: that many digits decide
    let (mut power, mut deciding) = (1_u64, 0_usize);
    while power % step != 0 {
        power = power.checked_mul(10).filter(|power| *power <= 10_000)?;
        deciding += 1;
    }
    let endings = (0..power / step).map(|i| {
        let ending = format!("{:0deciding$}", i * step);
        let free = vec![None; places.saturating_sub(deciding)];
        let decided = ending.chars().take(deciding).map(Some);
        free.into_iter().chain(decided).collect::<Vec<Option<char>>>()
    });
    let all = endings.map(|digits| {
        let (before, after) = digits.split_at(digits.len() - places);
        Rx::concat([whole_that_ends(before), fraction_of(after)])
    });
    Some(Rx::concat([Rx::literal("-").optional(), Rx::or(all)]))
}

/// These digits; `None` is any digit.
fn written(digits: &[Option<char>]) -> Rx {
    Rx::concat(digits.iter().map(|known| known.map_or_else(digit, Rx::literal)))
}

fn whole_that_ends(digits: &[Option<char>]) -> Rx {
    let longer = Rx::concat([digit().repeat(0, None), written(digits)]);
    // leading zeros are not written, except for a single 0
    let zeros = digits.iter().take_while(|digit| **digit == Some('0')).count();
    let short = digits.get(zeros.min(digits.len().saturating_sub(1))..).unwrap_or_default();
    Rx::or([longer, written(short)])
}

fn fraction_of(digits: &[Option<char>]) -> Rx {
    let zeros = |min| Rx::literal("0").repeat(min, None);
    let point = |digits| Rx::concat([Rx::literal("."), written(digits)]);
    // zeros at the end may be left out
    let shorter = (0..digits.len()).filter_map(|end| {
        let (kept, dropped) = digits.split_at(end);
        let droppable = dropped.iter().all(|digit| matches!(digit, None | Some('0')));
        droppable.then(|| if kept.is_empty() { Rx::empty() } else { point(kept) })
    });
    let whole = if digits.is_empty() {
        Rx::concat([Rx::literal("."), zeros(1)]).optional()
    } else {
        Rx::concat([point(digits), zeros(0)])
    };
    Rx::or(shorter.chain([whole]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn ranges_contain_the_numbers_between_their_bounds() {
        let numbers_to_try: Vec<String> =
            ["0", "0.5", "0.05", "1", "1.0", "1.5", "2", "9.99", "10", "10.01", "12", "99", "100", "123.45", "1000"]
                .iter()
                .flat_map(|text| [(*text).to_owned(), format!("-{text}")])
                .filter(|text| text != "-0")
                .collect();
        let bounds = ["-100", "-10.01", "-1.5", "-1", "0", "0.05", "0.5", "1", "1.5", "9.99", "10", "99", "123.4"];
        for (min, max) in bounds.iter().flat_map(|min| bounds.iter().map(move |max| (min, max))) {
            for (exclusive, integer) in [(false, false), (true, false), (false, true)] {
                let (min, max) = (decimal(min), decimal(max));
                let bound = |value: &Decimal| Bound { value: value.clone(), exclusive };
                let rx = numbers(Some(&bound(&min)), Some(&bound(&max)), integer, &Limits::default());
                let mut matcher = rx.matcher().unwrap();
                for text in &numbers_to_try {
                    let number = decimal(text);
                    let inside = if exclusive { min < number && number < max } else { min <= number && number <= max };
                    let expected = inside && !(integer && text.contains('.'));
                    assert_eq!(matcher.is_match(text), expected, "{text} in {min} to {max}, {exclusive} {integer}");
                }
            }
        }
    }

    #[test]
    fn digits_are_bounded() {
        let limits = Limits::default();
        let mut free = numbers(None, None, false, &limits).matcher().unwrap();
        for text in ["0", "-1.5", "1e5", "1.5E-10", "12345678901234567890"] {
            assert!(free.is_match(text), "{text}");
        }
        for text in [
            &"1".repeat(200),
            &format!("0.{}", "0".repeat(200)),
            &format!("1e{}", "0".repeat(200)),
            "01",
            ".5",
            "1.",
            "-",
        ] {
            assert!(!free.is_match(text), "{text}");
        }
        let least = Bound { value: decimal("1e30"), exclusive: false };
        let mut large = numbers(Some(&least), None, true, &limits).matcher().unwrap();
        assert!(large.is_match(&format!("1{}", "0".repeat(30))) && !large.is_match(&"1".repeat(60)));
    }

    #[test]
    fn multiples_are_decided_by_their_last_digits() {
        for step in
            ["1", "2", "5", "10", "100", "4", "25", "0.1", "0.01", "0.5", "0.25", "0.05", "0.002", "2.5", "1.5e1"]
        {
            let step = decimal(step);
            let Some(rx) = multiples(&step) else {
                assert_eq!(step.to_string(), "15");
                continue;
            };
            let mut matcher = rx.matcher().unwrap();
            for text in [
                "0", "1", "2", "3", "4", "5", "10", "12", "15", "20", "25", "100", "0.1", "0.5", "0.25", "0.05",
                "0.01", "0.15", "0.004", "1.5", "2.5", "7.5", "12.5", "0.50", "0.001", "10.0", "1.25",
            ] {
                let expected = decimal(text).is_multiple_of(&step).unwrap();
                assert_eq!(matcher.is_match(text), expected, "{text} by {step}");
            }
        }
    }
}
