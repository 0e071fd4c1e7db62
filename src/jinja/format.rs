//! Python's two ways to format strings: `'%s' % x` and `'{}'.format(x)`.

use super::budget::Budget;
use super::call::Call;
use super::operators;
use super::print;
use super::text::{Text, TextBuilder};
use super::value::{Kind, Value};
use super::{Fault, Res};

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

/// `text % values`.
pub(super) fn percent(text: &Text, values: &Value, budget: &Budget) -> Res<Text> {
    budget.make(text.len())?;
    let positional: Vec<Value> = match values {
        Value::List(list) if matches!(list.kind, Kind::Tuple | Kind::Group) => list.items.clone(),
        other => vec![other.clone()],
    };
    let mut left = positional.iter();
    let mut next = || left.next().ok_or_else(|| Fault::new("not enough arguments for format string"));
    let mut out = TextBuilder::default();
    let all = text.as_str();
    let mut at = 0;
    while let Some(found) = all[at..].find('%') {
        out.push_slice(text, at..at + found);
        let mut rest = &all[at + found + 1..];
        let mut named = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner.find(')').ok_or_else(|| Fault::new("incomplete format key"))?;
            let start = at + found + 2;
            named = Some(Value::Str(text.slice(start..start + end)));
            rest = &inner[end + 1..];
        }
        let mut spec = Spec::default();
        let flags = rest.len() - rest.trim_start_matches(['-', '+', ' ', '0', '#']).len();
        for flag in rest[..flags].chars() {
            match flag {
                '-' => (spec.align, spec.fill) = (Some('<'), None),
                '0' if spec.align.is_none() => (spec.align, spec.fill) = (Some('='), Some('0')),
                '#' => spec.alternate = true,
                '+' | ' ' => spec.sign = Some(flag),
                _ => {}
            }
        }
        rest = &rest[flags..];
        if let Some(after) = rest.strip_prefix('*') {
            let width = next()?.as_int().ok_or_else(|| Fault::new("* wants int"))?;
            spec.width = usize::try_from(width).unwrap_or_default();
            rest = after;
        } else {
            (spec.width, rest) = number(rest)?;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            (spec.precision, rest) = (Some(precision), after);
        }
        let rest = rest.trim_start_matches(['l', 'h', 'L']);
        let kind = rest.chars().next().ok_or_else(|| Fault::new("incomplete format"))?;
        at = all.len() - rest.len() + kind.len_utf8();
        if kind == '%' {
            out.push_str("%", false);
            continue;
        }
        let value = match &named {
            Some(key) => match values {
                Value::Map(map) => operators::find(&map.entries, key, budget)?
                    .ok_or_else(|| Fault::new(format!("format: no key '{}'", key.as_str().unwrap_or_default())))?,
                _ => return Err(Fault::new("format requires a mapping")),
            },
            None => next()?,
        };
        spec.align.get_or_insert('>');
        let value = match kind {
            's' => Value::Str(print::text(value, budget)?),
            'r' | 'a' => Value::Str(repr(value, budget)?),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' => {
                let whole = match value {
                    Value::Float(value) if !matches!(kind, 'x' | 'X' | 'o' | 'c') => Some(value.trunc() as i128),
                    Value::Str(_) if kind == 'c' => None,
                    value => value.as_int(),
                };
                spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
                match (whole, value) {
                    (Some(whole), _) => Value::Int(whole),
                    (None, Value::Str(text)) if kind == 'c' && text.as_str().chars().count() == 1 => {
                        spec.kind = None;
                        value.clone()
                    }
                    _ => {
                        let what = format!("%{kind} format: a real number is required, not {}", value.type_name());
                        return Err(Fault::new(what));
                    }
                }
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                spec.kind = Some(kind);
                let value = value.as_number();
                Value::Float(value.ok_or_else(|| Fault::new("must be real number, not str"))?)
            }
            other => return Err(Fault::new(format!("unsupported format character '{other}'"))),
        };
        out.push(&spec.apply(&value, budget)?);
    }
    out.push_slice(text, at..text.len());
    if left.next().is_some() && !matches!(values, Value::Map(_)) {
        return Err(Fault::new("not all arguments converted during string formatting"));
    }
    Ok(out.finish())
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

/// `text.format(…)`.
pub(super) fn braces(text: &Text, call: &Call, budget: &Budget) -> Res<Text> {
    let mut out = TextBuilder::default();
    Braces { call, budget, automatic: 0 }.push(text, &mut out, 0)?;
    Ok(out.finish())
}

struct Braces<'a> {
    call: &'a Call,
    budget: &'a Budget,
    /// Number of fields without name or number so far.
    automatic: usize,
}

impl Braces<'_> {
    fn push(&mut self, text: &Text, out: &mut TextBuilder, depth: usize) -> Res<()> {
        self.budget.make(text.len())?;
        let all = text.as_str();
        let mut at = 0;
        while let Some(found) = all[at..].find(['{', '}']) {
            let brace = at + found;
            out.push_slice(text, at..brace);
            let doubled = all.as_bytes().get(brace + 1) == all.as_bytes().get(brace);
            if doubled {
                out.push_slice(text, brace..brace + 1);
                at = brace + 2;
                continue;
            }
            if all.as_bytes()[brace] == b'}' {
                return Err(Fault::new("Single '}' encountered in format string"));
            }
            let end = closing(&all[brace + 1..]).ok_or_else(|| Fault::new("expected '}' before end of string"))?;
            self.field(&text.slice(brace + 1..brace + 1 + end), out, depth)?;
            at = brace + end + 2;
        }
        out.push_slice(text, at..text.len());
        Ok(())
    }

    /// The inside of a pair of braces: `name!conversion:specification`.
    fn field(&mut self, field: &Text, out: &mut TextBuilder, depth: usize) -> Res<()> {
        if depth > 1 {
            return Err(Fault::new("Max string recursion exceeded"));
        }
        let (head, spec) = match field.as_str().find(':') {
            Some(at) => (&field.as_str()[..at], field.slice(at + 1..field.len())),
            None => (field.as_str(), Text::template("")),
        };
        let (name, conversion) = head.split_once('!').map_or((head, None), |(name, by)| (name, Some(by)));
        let value = self.value(name)?;
        let value = match conversion {
            None => value,
            Some("s") => Value::Str(print::text(&value, self.budget)?),
            Some("r" | "a") => Value::Str(repr(&value, self.budget)?),
            Some(other) => return Err(Fault::new(format!("Unknown conversion specifier '{other:.20}'"))),
        };
        let mut inner = TextBuilder::default();
        self.push(&spec, &mut inner, depth + 1)?;
        let spec = inner.finish();
        if spec.is_empty() {
            return print::push(&value, out, self.budget);
        }
        out.push(&Spec::parse(spec.as_str())?.apply(&value, self.budget)?);
        Ok(())
    }

    fn value(&mut self, path: &str) -> Res<Value> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (first, mut rest) = path.split_at(end);
        let missing = || Fault::new(format!("format: nothing is given for {{{first:.40}}}"));
        let mut value = if first.is_empty() {
            self.automatic += 1;
            self.call.positional.get(self.automatic - 1)
        } else if first.bytes().all(|byte| byte.is_ascii_digit()) {
            first.parse().ok().and_then(|at: usize| self.call.positional.get(at))
        } else {
            self.call.named.iter().find(|(name, _)| **name == *first).map(|(_, value)| value)
        }
        .ok_or_else(missing)?
        .clone();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (key, after) = inner.split_once(']').ok_or_else(|| Fault::new("Missing ']' in format string"))?;
                let key = key.parse().map_or_else(|_| Value::template(key), Value::Int);
                value = operators::item(&value, &key, self.budget)?;
                rest = after;
            } else {
                let inner = rest.strip_prefix('.').ok_or_else(missing)?;
                let (name, after) = inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()));
                value = operators::attribute(&value, &name.into(), self.budget)?;
                rest = after;
            }
        }
        Ok(value)
    }
}

/// Position of the brace that closes the open one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        depth == 0
    })
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
