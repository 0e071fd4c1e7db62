//! Rules for arrays: items in order, distinct items, and `contains`.

use std::rc::Rc;

use anyhow::{Result, ensure};

use super::rows::{Row, bracketed, in_any_order, items_in_order};
use super::{Grammar, inner_depth};
use crate::schema::Compiler;
use crate::schema::kinds::{Array, Contains, Schema};
use crate::schema::scalars::{Number, Text};

/// Limit of distinct items that are listed.
const MOST_DISTINCT: usize = 256;

/// Limit of distinct items in any order: each set of them has a rule, 256 at most.
const MOST_IN_ANY_ORDER: usize = 8;

impl Compiler<'_> {
    pub(super) fn array_rule(&mut self, grammar: &mut Grammar, array: &Array, depth: u32) -> Result<Option<String>> {
        if let Some(place) = &array.unique
            && array.max.is_none_or(|max| max > 1)
        {
            match self.distinct(array)? {
                Some(values) => return self.distinct_rule(grammar, array, values, depth),
                None => self.unable(place, "uniqueItems", "only a few items of an `enum` can be kept distinct")?,
            }
        }
        if !array.contains.is_empty()
            && let Some(row) = self.containing(grammar, array, depth)?
        {
            return bracketed(grammar, row);
        }
        // an array ends before the first item that nothing fits
        let mut max = array.max;
        let mut prefix = Vec::new();
        for item in &array.prefix {
            if max.is_some_and(|max| prefix.len() as u64 >= max) {
                break;
            }
            match self.symbol(grammar, item, depth)? {
                Some(symbol) => prefix.push(symbol),
                None => max = Some(prefix.len() as u64),
            }
        }
        let open = max.is_none_or(|max| max > array.prefix.len() as u64);
        let more = match inner_depth(&array.items, depth) {
            Some(inner) if open => self.symbol(grammar, &array.items, inner)?,
            _ => None,
        };
        let entries = prefix.into_iter().enumerate().map(|(at, symbol)| (symbol, (at as u64) < array.min));
        let row = Row { entries: entries.collect(), more, min: array.min, max };
        let Some(inner) = items_in_order(grammar, &row)? else { return Ok(None) };
        Ok(Some(grammar.rule(&format!("\"[\" {inner} \"]\""))?))
    }

    /// The possible items of an array with distinct items, if they are few enough to be listed.
    fn distinct(&mut self, array: &Array) -> Result<Option<Vec<Schema>>> {
        if !array.prefix.is_empty() || !array.contains.is_empty() {
            return Ok(None);
        }
        let mut values = Vec::new();
        let mut next = vec![(*array.items).clone()];
        while let Some(schema) = next.pop() {
            match schema {
                Schema::Never => {}
                Schema::Null | Schema::Bool(_) => values.push(schema),
                Schema::AnyOf(options) => next.extend(options.into_iter().rev()),
                Schema::Lazy(lazy) if values.len() < MOST_DISTINCT => {
                    let schema = self.resolved(&lazy)?;
                    if matches!(schema, Schema::Lazy(_)) {
                        return Ok(None);
                    }
                    next.push(schema);
                }
                Schema::Text(Text { values: Some(texts), .. }) => {
                    values.extend(texts.iter().map(|text| {
                        Schema::Text(Text { values: Some(Rc::new(vec![text.clone()])), ..Text::default() })
                    }));
                }
                Schema::Number(Number { values: Some(numbers), .. }) => {
                    values.extend(numbers.iter().map(|number| {
                        Schema::Number(Number { values: Some(Rc::new(vec![number.clone()])), ..Number::default() })
                    }));
                }
                _ => return Ok(None),
            }
            if values.len() > MOST_DISTINCT {
                return Ok(None);
            }
        }
        // several options may contain the same value
        let mut seen = std::collections::HashSet::new();
        values.retain(|value| seen.insert(format!("{value:?}")));
        Ok(Some(values))
    }

    /// Each of the values at most once: in any order if they are few, otherwise in the schema's
    /// order.
    fn distinct_rule(
        &mut self,
        grammar: &mut Grammar,
        array: &Array,
        values: Vec<Schema>,
        depth: u32,
    ) -> Result<Option<String>> {
        let mut entries = Vec::new();
        for value in values {
            entries.extend(self.symbol(grammar, &value, depth)?.map(|symbol| (symbol, false)));
        }
        if entries.len() > MOST_IN_ANY_ORDER {
            return bracketed(grammar, Row { entries, more: None, min: array.min, max: array.max });
        }
        let symbols: Vec<String> = entries.into_iter().map(|(symbol, _)| symbol).collect();
        let Some(inner) = in_any_order(grammar, &symbols, array)? else { return Ok(None) };
        grammar.rule(&format!("\"[\" {inner} \"]\"")).map(Some)
    }

    /// `contains`: a number of items that fit, among others. `None` if it cannot be enforced.
    fn containing(&mut self, grammar: &mut Grammar, array: &Array, depth: u32) -> Result<Option<Row>> {
        let [Contains { schema, min, max, place }] = array.contains.as_slice() else {
            self.unable("", "contains", "several of them hold for the same array")?;
            return Ok(None);
        };
        if *min == 0 && max.is_none() {
            return Ok(None);
        }
        let counted = array.min > 0 || array.max.is_some();
        if !array.prefix.is_empty() || counted {
            self.unable(place, "contains", "it is combined with `minItems`, `maxItems` or `prefixItems`")?;
            return Ok(None);
        }
        let fits = self.intersect((*array.items).clone(), schema.clone())?;
        let others = match self.negate(schema.clone())? {
            Some(not) => self.intersect((*array.items).clone(), not)?,
            None if max.is_none() => (*array.items).clone(),
            None => {
                self.unable(place, "maxContains", "the items that do not fit `contains` cannot be expressed")?;
                return Ok(None);
            }
        };
        let inner = depth.saturating_sub(1);
        let fits = self.symbol(grammar, &fits, inner)?;
        let others = self.symbol(grammar, &others, inner)?;
        // the items that fit come first
        let (Some(fits), at_least) = (fits, *min) else {
            let more = if *min == 0 { others } else { None };
            return Ok(Some(Row { entries: Vec::new(), more, min: *min, max: None }));
        };
        ensure!(
            at_least <= 1000 && max.is_none_or(|max| max <= 1000),
            "`minContains` or `maxContains` is larger than 1000"
        );
        let sure = (0..at_least).map(|_| (fits.clone(), true));
        let (entries, more): (Vec<_>, _) = match max {
            Some(max) => {
                let maybe = (at_least..*max).map(|_| (fits.clone(), false));
                (sure.chain(maybe).collect(), others)
            }
            None => (sure.collect(), any_of(grammar, others, fits.clone())?),
        };
        Ok(Some(Row { entries, more, min: at_least, max: None }))
    }
}

fn any_of(grammar: &mut Grammar, one: Option<String>, other: String) -> Result<Option<String>> {
    Ok(Some(match one {
        Some(one) if one != other => grammar.rule(&format!("{one} | {other}"))?,
        _ => other,
    }))
}
