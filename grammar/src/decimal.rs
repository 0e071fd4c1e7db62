//! Exact decimal numbers.

use std::cmp::Ordering;

use anyhow::{Context as _, Result};

/// An exact decimal number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decimal {
    pub negative: bool,
    /// Digits before the point, without leading zeros; empty for a number below one.
    pub whole: String,
    /// Digits after the point, without trailing zeros.
    pub fraction: String,
}

impl Decimal {
    /// Errors: `text` is not a number in JSON's syntax.
    pub fn parse(text: &str) -> Result<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().with_context(|| format!("{text} is not a number"))?;
        let (negative, digits) = mantissa.strip_prefix('-').map_or((false, mantissa), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all: String = [whole, fraction].concat();
        let point = whole.len() as i64 + i64::from(exponent);
        anyhow::ensure!(
            all.bytes().all(|byte| byte.is_ascii_digit()) && !all.is_empty() && point.abs() < 2000,
            "{text} is not a number"
        );
        let point = usize::try_from(point).ok();
        let (whole, fraction) = match point {
            None => (String::new(), "0".repeat((-(whole.len() as i64 + i64::from(exponent))) as usize) + &all),
            Some(point) if point >= all.len() => (all.clone() + &"0".repeat(point - all.len()), String::new()),
            Some(point) => (all.chars().take(point).collect(), all.chars().skip(point).collect()),
        };
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Ok(Self { negative, whole, fraction })
    }

    pub fn is_negative(&self) -> bool {
        self.negative
    }

    pub fn is_integer(&self) -> bool {
        self.fraction.is_empty()
    }

    pub fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    pub fn negated(&self) -> Self {
        Self { negative: !self.negative && !self.is_zero(), ..self.clone() }
    }

    /// All digits as one integer, the fraction padded to `places`; `None` if it is too large.
    pub fn scaled(&self, places: usize) -> Option<u128> {
        let zeros = "0".repeat(places.checked_sub(self.fraction.len())?);
        let digits = [self.whole.as_str(), &self.fraction, &zeros].concat();
        if digits.is_empty() { Some(0) } else { digits.parse().ok() }
    }

    /// Whether it is a multiple of `step`; `None` if it has too many digits.
    pub fn is_multiple_of(&self, step: &Self) -> Option<bool> {
        let places = self.fraction.len().max(step.fraction.len());
        Some(self.scaled(places)?.checked_rem(step.scaled(places)?)? == 0)
    }

    /// The least common multiple; `None` if it has too many digits.
    pub fn common_multiple(&self, other: &Self) -> Option<Self> {
        let places = self.fraction.len().max(other.fraction.len());
        let (a, b) = (self.scaled(places)?, other.scaled(places)?);
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        let multiple = a.checked_mul(b.checked_div(x)?)?;
        Self::parse(&format!("{multiple}e-{places}")).ok()
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = |a: &Self, b: &Self| {
            let whole = a.whole.len().cmp(&b.whole.len()).then_with(|| a.whole.cmp(&b.whole));
            whole.then_with(|| a.fraction.cmp(&b.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => magnitude(self, other),
            (true, true) => magnitude(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{}", self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn decimals_are_parsed_exactly() {
        for (text, written) in [
            ("1e3", "1000"),
            ("-0.50", "-0.5"),
            ("1.5e-3", "0.0015"),
            ("12.5e1", "125"),
            ("-0", "0"),
            ("1.7976931348623157e308", &format!("17976931348623157{}", "0".repeat(292))),
        ] {
            assert_eq!(decimal(text).to_string(), written);
        }
        assert!(decimal("-2") < decimal("-1.5") && decimal("9") < decimal("10") && decimal("0.09") < decimal("0.1"));
        assert!(Decimal::parse("a").is_err());
        assert_eq!(decimal("0.3").is_multiple_of(&decimal("0.1")), Some(true));
        assert_eq!(decimal("6").common_multiple(&decimal("0.4")).unwrap().to_string(), "6");
    }
}
