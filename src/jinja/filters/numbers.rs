//! Filters of numbers.

use crate::jinja::call::{Call, int_of};
use crate::jinja::value::Value;
use crate::jinja::{Fault, Res, methods};

pub(super) fn file_size(bytes: f64, binary: bool) -> String {
    let (base, units) = if binary {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if bytes == 1.0 {
        return "1 Byte".into();
    }
    if bytes < base {
        return format!("{} Bytes", bytes.trunc());
    }
    let mut size = bytes / base;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

/// `float(value)` for a number or a string.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => {
            let text = text.as_str().trim_matches(methods::is_space);
            let is_number = text.chars().any(|c| c.is_ascii_digit()) || text.len() < 10;
            text.replace('_', "").parse().ok().filter(|_| is_number)
        }
        value => value.as_number(),
    }
}

/// `int(text, base)`.
pub(super) fn integer(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(methods::is_space).replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixes = [(16, "0x"), (8, "0o"), (2, "0b")];
    let prefixed = prefixes.iter().find(|(radix, prefix)| {
        (base == *radix || base == 0)
            && digits.len() > 2
            && digits.is_char_boundary(2)
            && digits[..2].eq_ignore_ascii_case(prefix)
    });
    let (base, digits) =
        prefixed.map_or((if base == 0 { 10 } else { base }, digits), |(radix, _)| (*radix, &digits[2..]));
    let is_signed = digits.starts_with(['+', '-']);
    if is_signed || !(2..=36).contains(&base) {
        None
    } else {
        i128::from_str_radix(&format!("{sign}{digits}"), base).ok()
    }
}

pub(super) fn round(value: &Value, call: Call) -> Res<Value> {
    let [precision, method] = call.bind("round", ["precision", "method"])?;
    let precision = i32::try_from(int_of(precision.as_ref(), 0)?).unwrap_or_default().clamp(-300, 300);
    let number = match value {
        Value::Undefined(what) => return Err(Fault::new(&**what)),
        value => value
            .as_number()
            .ok_or_else(|| Fault::new(format!("type {} doesn't define __round__ method", value.type_name())))?,
    };
    let scale = 10f64.powi(precision);
    let rounded = match method.as_ref().and_then(Value::as_str).unwrap_or("common") {
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        // Python rounds the decimal digits, half to even.
        "common" if precision >= 0 => {
            format!("{number:.*}", usize::try_from(precision).unwrap_or_default()).parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        _ => return Err(Fault::new("method must be common, ceil or floor")),
    };
    let is_whole = matches!(value, Value::Int(_) | Value::Bool(_)) && method.is_none();
    Ok(if is_whole { Value::Int(rounded as i128) } else { Value::Float(rounded) })
}
