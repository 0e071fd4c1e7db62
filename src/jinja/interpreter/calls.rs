//! Calls: arguments, methods, macros and the built-in functions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Interpreter;
use crate::jinja::ast::{Args, Macro};
use crate::jinja::budget::Budget;
use crate::jinja::call::Call;
use crate::jinja::scope::{Function, Scope};
use crate::jinja::text::TextBuilder;
use crate::jinja::value::{Kind, Object, Value};
use crate::jinja::{Fault, Res, access, methods, print};

/// Limit of a `range`, as in Jinja2's sandbox.
const MAX_RANGE: usize = 100_000;

impl Interpreter<'_> {
    pub(super) fn args(&self, args: &Args, scope: &Rc<Scope>) -> Res<Call> {
        let mut call = Call { positional: self.eval_all(&args.positional, scope)?, named: Vec::new() };
        if let Some(list) = &args.list {
            call.positional.extend(self.eval(list, scope)?.elements(self.budget)?);
        }
        for (name, value) in &args.named {
            call.named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(mapping) = &args.mapping {
            let Value::Map(mapping) = self.eval(mapping, scope)? else {
                return Err(Fault::new("argument after ** must be a mapping"));
            };
            self.budget.elements(2 * mapping.entries.len())?;
            for (key, value) in &mapping.entries {
                let key = key.as_str().ok_or_else(|| Fault::new("keywords must be strings"))?;
                call.named.push((key.into(), value.clone()));
            }
        }
        Ok(call)
    }

    pub(super) fn call(&self, of: &Value, call: Call) -> Res<Value> {
        match of {
            Value::Undefined(what) => Err(Fault::new(&**what)),
            Value::Object(Object::Method(method)) => methods::call(&method.0, &method.1, call, self.budget),
            Value::Object(Object::Function(function)) => self.function(function, call),
            Value::Object(Object::Macro(of, scope)) => {
                let scope =
                    scope.upgrade().ok_or_else(|| Fault::new("the macro is called outside of what defines it"))?;
                self.deeper(|| self.macro_call(of, &scope, call))
            }
            Value::Object(Object::Loop(of)) => {
                let [over] = call.bind("loop", ["iterable"])?;
                let (Some((what, scope)), Some(over)) = (&of.recursion, over) else {
                    return Err(Fault::new("The loop must have the 'recursive' marker to be called recursively."));
                };
                let scope = scope.upgrade().ok_or_else(|| Fault::new("the loop has ended"))?;
                let mut out = TextBuilder::default();
                self.deeper(|| self.for_loop(what, &over, &scope, of.depth + 1, &mut out))?;
                Ok(Value::Str(out.finish()))
            }
            Value::Object(Object::Joiner(joiner)) => {
                let used = joiner.1.replace(true);
                Ok(if used { joiner.0.clone() } else { Value::template("") })
            }
            other => Err(Fault::new(format!("'{}' object is not callable", other.type_name()))),
        }
    }

    fn function(&self, function: &Function, call: Call) -> Res<Value> {
        let Call { positional, named } = call;
        match function.name {
            "range" => range(Call { positional, named }, self.budget),
            "dict" | "namespace" => {
                let mut map = Vec::new();
                for value in positional {
                    let pairs = match &value {
                        Value::Map(_) => methods::pairs(&value, self.budget)?,
                        other => other.elements(self.budget)?,
                    };
                    for pair in pairs {
                        let [key, value] = [0, 1].map(|at| access::item(&pair, &Value::Int(at), self.budget));
                        self.put(&mut map, key?, value?)?;
                    }
                }
                for (name, value) in named {
                    self.put(&mut map, Value::keyword(&name), value)?;
                }
                if function.name == "dict" {
                    return Value::map(map);
                }
                if map.iter().any(|(_, value)| value.has_namespace()) {
                    return Err(Fault::new("a namespace may not hold what holds a namespace"));
                }
                let name =
                    |key: &Value| key.as_str().map(Rc::from).ok_or_else(|| Fault::new("keywords must be strings"));
                let values = map.into_iter().map(|(key, value)| Ok((name(&key)?, value))).collect::<Res<_>>()?;
                Ok(Value::Object(Object::Namespace(Rc::new(RefCell::new(values)))))
            }
            "cycler" if positional.is_empty() => Err(Fault::new("at least one item has to be provided")),
            "cycler" => Ok(Value::Object(Object::Cycler(Rc::new((positional, Cell::new(0)))))),
            "joiner" => {
                let [separator] = Call { positional, named }.bind("joiner", ["sep"])?;
                let separator = separator.unwrap_or_else(|| Value::template(", "));
                Ok(Value::Object(Object::Joiner(Rc::new((separator, Cell::new(false))))))
            }
            "raise_exception" => {
                let [message] = Call { positional, named }.bind("raise_exception", ["message"])?;
                let message = print::text(&message.unwrap_or(Value::None), self.budget)?;
                Err(Fault::new(message.as_str()))
            }
            _ => (function.call)(Call { positional, named }),
        }
    }

    fn macro_call(&self, of: &Macro, scope: &Rc<Scope>, call: Call) -> Res<Value> {
        let scope = Scope::within(scope);
        let Call { positional, mut named } = call;
        let mut positional = positional.into_iter();
        for (name, default) in &of.parameters {
            let value = match positional.next() {
                Some(value) => Some(value),
                None => {
                    self.budget.spend(named.len() as u64 / 8)?;
                    named.iter().position(|(given, _)| given == name).map(|at| named.remove(at).1)
                }
            };
            let value = match (value, default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.eval(default, &scope)?,
                (None, None) => Value::undefined(format!("parameter '{name}' was not provided")),
            };
            scope.set(name, value, self.budget)?;
        }
        if of.takes_caller {
            let caller = named.iter().position(|(given, _)| &**given == "caller").map(|at| named.remove(at).1);
            let nobody = || Value::undefined("No caller defined");
            scope.set(&"caller".into(), caller.unwrap_or_else(nobody), self.budget)?;
        }
        if of.takes_named {
            let entries = named.drain(..).map(|(name, value)| (Value::keyword(&name), value));
            scope.set(&"kwargs".into(), Value::map(entries.collect())?, self.budget)?;
        } else if let Some((name, _)) = named.first() {
            return Err(Fault::new(format!("macro '{}' takes no keyword argument '{name}'", of.name)));
        }
        if of.takes_list {
            scope.set(&"varargs".into(), Value::tuple(positional.collect())?, self.budget)?;
        } else if positional.next().is_some() {
            let most = of.parameters.len();
            return Err(Fault::new(format!("macro '{}' takes not more than {most} argument(s)", of.name)));
        }
        let mut out = TextBuilder::default();
        self.run(&of.body, &scope, &mut out)?;
        Ok(Value::Str(out.finish()))
    }
}

fn range(call: Call, budget: &Budget) -> Res<Value> {
    let [first, second, step] = call.bind("range", ["start", "stop", "step"])?;
    let int = |value: Option<Value>, default: i128| match value {
        None => Ok(default),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Fault::new(format!("'{}' object cannot be interpreted as an integer", value.type_name()))),
    };
    let (start, stop) = match second {
        Some(stop) => (int(first, 0)?, int(Some(stop), 0)?),
        None => (0, int(first, 0)?),
    };
    let step = int(step, 1)?;
    if step == 0 {
        return Err(Fault::new("range() arg 3 must not be zero"));
    }
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let count = if span <= 0 { 0 } else { (span - 1) / step.saturating_abs() + 1 };
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_RANGE);
    let count = count
        .ok_or_else(|| Fault::new(format!("Range too big. The sandbox blocks ranges larger than {MAX_RANGE}.")))?;
    budget.elements(count)?;
    Value::sequence(Kind::List, (0..count).map(|i| Value::Int(start + i as i128 * step)).collect())
}
