//! `'{}'.format(x)`.

use super::{Spec, repr};
use crate::jinja::budget::Budget;
use crate::jinja::call::Call;
use crate::jinja::text::{Text, TextBuilder};
use crate::jinja::value::Value;
use crate::jinja::{Fault, Res, access, print};

/// `text.format(…)`.
pub(in crate::jinja) fn braces(text: &Text, call: &Call, budget: &Budget) -> Res<Text> {
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
                value = access::item(&value, &key, self.budget)?;
                rest = after;
            } else {
                let inner = rest.strip_prefix('.').ok_or_else(missing)?;
                let (name, after) = inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()));
                value = access::attribute(&value, &name.into(), self.budget)?;
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
