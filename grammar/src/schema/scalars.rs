//! Sets of numbers and of texts: how they are written, and what two of them have in common.

use std::collections::HashSet;
use std::rc::Rc;

use anyhow::{Context as _, Result};

use super::kinds::Schema;
use crate::Limits;
use crate::decimal::Decimal;
use crate::number::{self, Bound};
use crate::pattern::of_length;
use crate::regex::Rx;

#[derive(Debug, Clone, Default)]
pub struct Number {
    pub min: Option<Bound>,
    pub max: Option<Bound>,
    pub integer: bool,
    pub multiple: Option<Decimal>,
    /// Further sets that the written form must be in.
    pub written: Vec<Rx>,
    /// Only these numbers, with their written forms.
    pub values: Option<Rc<Vec<(Decimal, String)>>>,
}

#[derive(Debug, Clone, Default)]
pub struct Text {
    pub min: u64,
    pub max: Option<u64>,
    pub patterns: Vec<Rx>,
    /// Only these texts.
    pub values: Option<Rc<Vec<String>>>,
}

impl Text {
    pub fn is_any(&self) -> bool {
        self.min == 0 && self.max.is_none() && self.patterns.is_empty() && self.values.is_none()
    }

    /// The set of these texts.
    pub fn texts(&self) -> Rx {
        if let Some(values) = &self.values {
            return Rx::or(values.iter().map(|value| Rx::literal(value.as_str())));
        }
        let texts = Rx::and(self.patterns.iter().cloned());
        // bounds that the patterns imply are left out
        let (shortest, longest) = texts.lengths();
        let min = if self.min <= shortest { 0 } else { self.min };
        let max = self.max.filter(|max| longest.is_none_or(|longest| longest > *max));
        let length = (min > 0 || max.is_some()).then(|| of_length(min, max));
        Rx::and(std::iter::once(texts).chain(length))
    }

    /// Texts that fit both. Errors: a pattern is too large to match against values.
    pub fn intersect(self, other: Self) -> Result<Schema> {
        let mut both = Self {
            min: self.min.max(other.min),
            max: least(self.max, other.max),
            patterns: self.patterns,
            values: None,
        };
        both.patterns.extend(other.patterns);
        let values = match (self.values, other.values) {
            (Some(a), Some(b)) => {
                let b: HashSet<&String> = b.iter().collect();
                Some(Rc::new(a.iter().filter(|value| b.contains(value)).cloned().collect()))
            }
            (one, another) => one.or(another),
        };
        let Some(values) = values else {
            let empty = both.max.is_some_and(|max| both.min > max);
            return Ok(if empty { Schema::Never } else { Schema::Text(both) });
        };
        if both.is_any() {
            return Ok(Self::of_values(values));
        }
        let mut matchers = both.patterns.iter().map(Rx::matcher).collect::<Result<Vec<_>>>()?;
        let kept = values.iter().filter(|value| {
            let length = value.chars().count() as u64;
            let fits = both.min <= length && both.max.is_none_or(|max| length <= max);
            fits && matchers.iter_mut().all(|matcher| matcher.is_match(value))
        });
        Ok(Self::of_values(Rc::new(kept.cloned().collect())))
    }

    fn of_values(values: Rc<Vec<String>>) -> Schema {
        if values.is_empty() { Schema::Never } else { Schema::Text(Self { values: Some(values), ..Self::default() }) }
    }
}

impl Number {
    pub fn is_any(&self) -> bool {
        let bounded = self.min.is_some() || self.max.is_some() || self.integer || self.multiple.is_some();
        !bounded && self.written.is_empty() && self.values.is_none()
    }

    /// The written forms; `None` if no regular expression of acceptable size expresses them.
    pub fn texts(&self, limits: &Limits) -> Option<Rx> {
        if let Some(values) = &self.values {
            return Some(Rx::or(values.iter().map(|(_, written)| Rx::literal(written.as_str()))));
        }
        // forms that digits decide have no exponent
        let plain = Limits { exponent: 0, ..limits.clone() };
        // doubles distinguish multiples up to this many digits
        let exact = Limits { digits: limits.digits.min(15), ..plain.clone() };
        let limits = match &self.multiple {
            Some(_) => &exact,
            None if !self.written.is_empty() => &plain,
            None => limits,
        };
        let mut all = vec![number::numbers(self.min.as_ref(), self.max.as_ref(), self.integer, limits)];
        if let Some(step) = &self.multiple {
            all.push(number::multiples(step)?);
        }
        all.extend(self.written.iter().cloned());
        Some(Rx::and(all))
    }

    /// Every written form without an exponent; `None` as in `texts`.
    pub fn all_texts(&self, limits: &Limits) -> Option<Rx> {
        match &self.values {
            Some(values) => Some(Rx::or(values.iter().map(|(value, _)| number::value(value)))),
            None if self.integer => {
                // a fraction of zeros does not change the number
                let zeros = Rx::concat([Rx::literal("."), Rx::literal("0").repeat(1, None)]).optional();
                Some(Rx::concat([self.texts(limits)?, zeros]))
            }
            None => self.texts(&Limits { exponent: 0, ..limits.clone() }),
        }
    }

    /// Numbers that fit both. Errors: too many digits.
    pub fn intersect(self, other: Self) -> Result<Schema> {
        let multiple = match (self.multiple, other.multiple) {
            (Some(a), Some(b)) => {
                Some(a.common_multiple(&b).context("two `multipleOf` have too many digits to combine")?)
            }
            (one, another) => one.or(another),
        };
        let mut both = Self {
            min: tighter(self.min, other.min, true),
            max: tighter(self.max, other.max, false),
            integer: self.integer || other.integer,
            multiple,
            written: self.written,
            values: None,
        };
        both.written.extend(other.written);
        let values = match (self.values, other.values) {
            (Some(a), Some(b)) => Some(Rc::new(
                a.iter().filter(|(value, _)| b.iter().any(|(other, _)| value == other)).cloned().collect(),
            )),
            (one, another) => one.or(another),
        };
        let Some(values) = values else {
            let empty = match (&both.min, &both.max) {
                (Some(min), Some(max)) => {
                    min.value > max.value || (min.value == max.value && (min.exclusive || max.exclusive))
                }
                _ => false,
            };
            return Ok(if empty { Schema::Never } else { Schema::Number(both) });
        };
        let mut matchers = both.written.iter().map(Rx::matcher).collect::<Result<Vec<_>>>()?;
        let mut kept = Vec::new();
        for (value, written) in values.iter() {
            let above =
                both.min.as_ref().is_none_or(|min| *value > min.value || (*value == min.value && !min.exclusive));
            let below =
                both.max.as_ref().is_none_or(|max| *value < max.value || (*value == max.value && !max.exclusive));
            let step = match &both.multiple {
                Some(step) => {
                    value.is_multiple_of(step).context("a number has too many digits to check `multipleOf`")?
                }
                None => true,
            };
            let text = value.to_string();
            let fits = above && below && step && (!both.integer || value.is_integer());
            if fits && matchers.iter_mut().all(|matcher| matcher.is_match(&text)) {
                kept.push((value.clone(), written.clone()));
            }
        }
        Ok(match kept.len() {
            0 => Schema::Never,
            _ => Schema::Number(Self { values: Some(Rc::new(kept)), ..Self::default() }),
        })
    }
}

/// The smaller maximum; `None` is no maximum.
pub fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, another) => one.or(another),
    }
}

fn tighter(a: Option<Bound>, b: Option<Bound>, lower: bool) -> Option<Bound> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (one, another) => return one.or(another),
    };
    let first = if a.value == b.value { a.exclusive } else { (a.value > b.value) == lower };
    Some(if first { a } else { b })
}
