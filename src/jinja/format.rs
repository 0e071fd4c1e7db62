//! Python's two ways to format strings: `'%s' % x` and `'{}'.format(x)`.

mod braces;
mod percent;

use super::budget::Budget;
use super::text::{Text, TextBuilder};
use super::value::Value;
use super::{Fault, Res, print};

pub(super) use braces::braces;
pub(super) use percent::percent;

/// Limit of a number's digits; Rust's formatting panics at 65,536.
const MAX_DIGITS: usize = 10_000;

/// Python's "format specification".
#[derive(Debug, Clone, Default)]
struct Spec {
    fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    group: Option<char>,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    /// `[[fill]align][sign][#][0][width][grouping][.precision][type]`
    fn parse(text: &str) -> Res<Self> {
        let mut spec = Self::default();
        let mut rest = text;
        let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
        let mut chars = rest.chars();
        match (chars.next(), chars.next()) {
            (Some(fill), Some(align)) if is_align(align) => {
                (spec.fill, spec.align) = (Some(fill), Some(align));
                rest = chars.as_str();
            }
            (Some(align), _) if is_align(align) => {
                spec.align = Some(align);
                rest = &rest[1..];
            }
            _ => {}
        }
        if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')) {
            (spec.sign, rest) = (Some(sign), &rest[1..]);
        }
        if let Some(after) = rest.strip_prefix('#') {
            (spec.alternate, rest) = (true, after);
        }
        if let Some(after) = rest.strip_prefix('0') {
            spec.align.get_or_insert('=');
            spec.fill.get_or_insert('0');
            rest = after;
        }
        (spec.width, rest) = number(rest)?;
        if let Some(group) = rest.chars().next().filter(|c| matches!(c, ',' | '_')) {
            (spec.group, rest) = (Some(group), &rest[1..]);
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            (spec.precision, rest) = (Some(precision), after);
        }
        let mut chars = rest.chars();
        spec.kind = chars.next();
        if !chars.as_str().is_empty() {
            return Err(Fault::new(format!("Invalid format specifier '{text:.40}'")));
        }
        Ok(spec)
    }

    fn apply(&self, value: &Value, budget: &Budget) -> Res<Text> {
        budget.make(self.width.saturating_add(self.precision.unwrap_or_default()))?;
        let unknown = || {
            let kind = self.kind.unwrap_or('s');
            Fault::new(format!("Unknown format code '{kind}' for object of type '{}'", value.type_name()))
        };
        match (value, self.kind) {
            (Value::Str(text), None | Some('s')) => {
                let end = self.precision.and_then(|most| text.as_str().char_indices().nth(most));
                let cut = text.slice(0..end.map_or(text.len(), |(at, _)| at));
                if self.align == Some('=') && self.fill != Some('0') {
                    return Err(Fault::new("'=' alignment not allowed in string format specifier"));
                }
                let align = self.align.filter(|align| *align != '=');
                Ok(self.padded(&cut, align.unwrap_or('<')))
            }
            (value, Some('c')) => {
                let code = value.as_int().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                let c = code.ok_or_else(|| Fault::new("%c arg not in range(0x110000)"))?;
                // The number decides the character and may be given text, so the character counts
                // as given.
                Ok(self.padded(&super::value::char_text(c, true), '<'))
            }
            (value @ (Value::Int(_) | Value::Bool(_)), None | Some('d' | 'n' | 'b' | 'o' | 'x' | 'X')) => {
                if let (Value::Bool(_), None) = (value, self.kind) {
                    return Ok(self.padded(&print::text(value, budget)?, '>'));
                }
                let whole = value.as_int().unwrap_or_default();
                let size = whole.unsigned_abs();
                let (prefix, digits) = match self.kind {
                    Some('b') => ("0b", format!("{size:b}")),
                    Some('o') => ("0o", format!("{size:o}")),
                    Some('x') => ("0x", format!("{size:x}")),
                    Some('X') => ("0X", format!("{size:X}")),
                    _ => ("", size.to_string()),
                };
                let digits = format!("{digits:0>width$}", width = self.precision.unwrap_or_default().min(MAX_DIGITS));
                let prefix = if self.alternate { prefix } else { "" };
                Ok(self.number(whole < 0, prefix, &self.grouped(&digits)))
            }
            (value, None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) if value.as_number().is_some() => {
                let number = value.as_number().unwrap_or_default();
                let digits = self.digits(number.abs());
                Ok(self.number(number.is_sign_negative() && !number.is_nan(), "", &self.grouped(&digits)))
            }
            (value, None) => Ok(self.padded(&print::text(value, budget)?, '<')),
            _ => Err(unknown()),
        }
    }

    /// Formats a number that is not negative.
    fn digits(&self, value: f64) -> String {
        if !value.is_finite() {
            return print::float(value);
        }
        let precision = self.precision.unwrap_or(6).min(MAX_DIGITS);
        let exponent = |text: String| match text.split_once('e') {
            Some((digits, power)) => {
                let power: i32 = power.parse().unwrap_or_default();
                format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
            }
            None => text,
        };
        match self.kind {
            Some('f' | 'F') => format!("{value:.precision$}"),
            Some('%') => format!("{:.precision$}%", value * 100.0),
            Some('e') => exponent(format!("{value:.precision$e}")),
            Some('E') => exponent(format!("{value:.precision$e}")).to_uppercase(),
            None if self.precision.is_none() => print::float(value),
            kind => {
                let precision = precision.max(1);
                let power = format!("{value:.*e}", precision - 1);
                let power: i32 = power.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or_default();
                let trimmed = |text: String| match text.contains('.') && !self.alternate {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text,
                };
                let most = i32::try_from(precision).unwrap_or(i32::MAX);
                if (-4..most).contains(&power) {
                    let decimals = usize::try_from(most - 1 - power).unwrap_or_default();
                    let text = trimmed(format!("{value:.decimals$}"));
                    return if kind.is_none() && !text.contains('.') { text + ".0" } else { text };
                }
                let text = format!("{value:.*e}", precision - 1);
                let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
                let text = exponent(format!("{}e{power}", trimmed(digits.to_owned())));
                if kind == Some('G') { text.to_uppercase() } else { text }
            }
        }
    }

    fn grouped(&self, digits: &str) -> String {
        let Some(mark) = self.group else { return digits.to_owned() };
        let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let mut grouped = String::new();
        for (i, c) in digits[..whole].chars().enumerate() {
            if i > 0 && (whole - i) % 3 == 0 {
                grouped.push(mark);
            }
            grouped.push(c);
        }
        grouped + &digits[whole..]
    }

    fn number(&self, is_negative: bool, prefix: &str, digits: &str) -> Text {
        let sign = match (is_negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        if self.align != Some('=') {
            return self.padded(&Text::template(&format!("{sign}{prefix}{digits}")), '>');
        }
        let length = sign.len() + prefix.len() + digits.chars().count();
        let mut out = TextBuilder::default();
        out.push_str(&format!("{sign}{prefix}"), false);
        self.fill(self.width.saturating_sub(length), &mut out);
        out.push_str(digits, false);
        out.finish()
    }

    fn padded(&self, text: &Text, align: char) -> Text {
        let missing = self.width.saturating_sub(text.as_str().chars().count());
        let before = match self.align.filter(|align| *align != '=').unwrap_or(align) {
            '<' => 0,
            '^' => missing / 2,
            _ => missing,
        };
        let mut out = TextBuilder::default();
        self.fill(before, &mut out);
        out.push(text);
        self.fill(missing - before, &mut out);
        out.finish()
    }

    /// Fill characters other than space and zero count as given.
    fn fill(&self, count: usize, out: &mut TextBuilder) {
        let fill = self.fill.unwrap_or(' ');
        out.push_str(&std::iter::repeat_n(fill, count).collect::<String>(), !matches!(fill, ' ' | '0'));
    }
}

fn repr(value: &Value, budget: &Budget) -> Res<Text> {
    let mut out = TextBuilder::default();
    print::push_repr(value, &mut out, budget)?;
    Ok(out.finish())
}

/// The number at the beginning of `text` (0 without digits), and the rest.
fn number(text: &str) -> Res<(usize, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let value = if digits == 0 { Ok(0) } else { text[..digits].parse() };
    Ok((value.map_err(|_| Fault::new("a width is too large"))?, &text[digits..]))
}
