//! Runs a template.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::{Args, Expr, ExprKind, For, Macro, Stmt, StmtKind, Target};
use super::budget::Budget;
use super::call::Call;
use super::scope::{Function, Loop, Scope};
use super::text::{Text, TextBuilder};
use super::value::{Items, Kind, Object, Value};
use super::{Fault, Res, conditions, filters, methods, operators, print};

/// How deep the interpreter may recurse along statements, expressions and calls. A level takes up
/// to a kilobyte and a half of the stack, of which a page's worker has 1 MiB.
pub(super) const MAX_DEPTH: u32 = 400;

/// The longest list that `range` gives, as in Jinja2's sandbox.
const MAX_RANGE: usize = 100_000;

/// What follows a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn render(body: &[Stmt], variables: Vec<(Rc<str>, Value)>, budget: &Budget) -> Res<Text> {
    let globals = ["range", "dict", "namespace", "cycler", "joiner", "raise_exception"]
        .map(|name| Function::value(name, |_| Err(Fault::new("this function is built in"))));
    let outer = Scope { values: RefCell::new(globals.into_iter().chain(variables).collect()), outer: None };
    let scope = Scope::within(&Rc::new(outer));
    let mut out = TextBuilder::default();
    Interpreter { budget, depth: Cell::new(0), bodies: RefCell::default() }.run(body, &scope, &mut out)?;
    Ok(out.finish())
}

struct Interpreter<'b> {
    budget: &'b Budget,
    depth: Cell<u32>,
    /// What the filter blocks around filter.
    bodies: RefCell<Vec<Value>>,
}

impl Interpreter<'_> {
    /// Runs `work` a level deeper.
    #[inline]
    fn deeper<T>(&self, work: impl FnOnce() -> Res<T>) -> Res<T> {
        if self.depth.get() >= MAX_DEPTH {
            return Err(Fault::new("maximum recursion depth exceeded"));
        }
        self.budget.spend(1)?;
        self.depth.set(self.depth.get() + 1);
        let done = work();
        self.depth.set(self.depth.get() - 1);
        done
    }

    fn run(&self, body: &[Stmt], scope: &Rc<Scope>, out: &mut TextBuilder) -> Res<Flow> {
        for stmt in body {
            let flow = self.deeper(|| self.statement(stmt, scope, out)).map_err(|fault| fault.at(stmt.line))?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn statement(&self, stmt: &Stmt, scope: &Rc<Scope>, out: &mut TextBuilder) -> Res<Flow> {
        match &stmt.kind {
            StmtKind::Data(text) => {
                self.budget.copy(text)?;
                out.push(text);
            }
            StmtKind::Output(expr) => print::push(&self.eval(expr, scope)?, out, self.budget)?,
            StmtKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.eval(condition, scope)?.is_true() {
                        return self.run(body, scope, out);
                    }
                }
                return self.run(otherwise, scope, out);
            }
            StmtKind::For(of) => {
                let items = self.eval(&of.iter, scope)?;
                self.for_loop(of, &items, scope, 0, out)?;
            }
            StmtKind::Set(target, expr) => {
                let value = self.eval(expr, scope)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::SetBlock(target, filters, body) => {
                let value = self.filtered(filters, body, scope)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::FilterBlock(filters, body) => {
                print::push(&self.filtered(filters, body, scope)?, out, self.budget)?;
            }
            StmtKind::With(values, body) => {
                let inner = Scope::within(scope);
                for (target, expr) in values {
                    let value = self.eval(expr, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.run(body, &inner, out);
            }
            StmtKind::Macro(of) => {
                let value = Value::Object(Object::Macro(of.clone(), Rc::downgrade(scope)));
                scope.set(&of.name, value, self.budget)?;
            }
            StmtKind::CallBlock(body, call) => {
                let caller = Value::Object(Object::Macro(body.clone(), Rc::downgrade(scope)));
                print::push(&self.call_block(call, caller, scope)?, out, self.budget)?;
            }
            StmtKind::Block(body) => return self.run(body, scope, out),
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// The text of a body, through filters.
    fn filtered(&self, filters: &Expr, body: &[Stmt], scope: &Rc<Scope>) -> Res<Value> {
        let mut out = TextBuilder::default();
        self.run(body, &Scope::within(scope), &mut out)?;
        self.bodies.borrow_mut().push(Value::Str(out.finish()));
        let value = self.eval(filters, scope);
        self.bodies.borrow_mut().pop();
        value
    }

    fn call_block(&self, call: &Expr, caller: Value, scope: &Rc<Scope>) -> Res<Value> {
        let ExprKind::Call(of, args) = &call.kind else { return Err(Fault::new("`{% call %}` wants a call")) };
        let of = self.eval(of, scope)?;
        let mut args = self.args(args, scope)?;
        args.named.push(("caller".into(), caller));
        self.call(&of, args).map_err(|fault| fault.at(call.line))
    }

    fn for_loop(&self, of: &Rc<For>, over: &Value, scope: &Rc<Scope>, depth: usize, out: &mut TextBuilder) -> Res<()> {
        let mut items = over.items(self.budget)?;
        if let Some(filter) = &of.filter {
            let mut kept = Vec::new();
            for item in over.elements(self.budget)? {
                let inner = Scope::within(scope);
                self.assign(&of.target, item.clone(), &inner)?;
                if self.eval(filter, &inner)?.is_true() {
                    kept.push(item);
                }
            }
            items = Items::Values(kept);
        }
        let length = items.len(self.budget)?;
        if length == 0 {
            self.run(&of.otherwise, &Scope::within(scope), out)?;
            return Ok(());
        }
        let recursion = of.recursive.then(|| (of.clone(), Rc::downgrade(scope)));
        let (previous, changed) = Default::default();
        let (index, at) = Default::default();
        let state = Rc::new(Loop { items, index, at, length, depth, previous, changed, recursion });
        let name: Rc<str> = "loop".into();
        while let Some(item) = state.items.get(state.index.get(), state.at.get()) {
            self.budget.spend(2)?;
            let inner = Scope::within(scope);
            inner.set(&name, Value::Object(Object::Loop(state.clone())), self.budget)?;
            self.assign(&of.target, item.clone(), &inner)?;
            if self.run(&of.body, &inner, out)? == Flow::Break {
                break;
            }
            *state.previous.borrow_mut() = Some(item);
            state.at.set(state.at.get() + state.items.width(state.at.get()));
            state.index.set(state.index.get() + 1);
        }
        Ok(())
    }

    fn assign(&self, target: &Target, value: Value, scope: &Rc<Scope>) -> Res<()> {
        match target {
            Target::Name(name) => scope.set(name, value, self.budget)?,
            Target::Attribute(of, name) => {
                let Some(Value::Object(Object::Namespace(values))) = scope.find(of, self.budget)? else {
                    return Err(Fault::new("cannot assign attribute on non-namespace object"));
                };
                if value.has_namespace() {
                    return Err(Fault::new("a namespace may not hold what holds a namespace"));
                }
                let mut values = values.borrow_mut();
                self.budget.spend(values.len() as u64 / 8)?;
                match values.iter_mut().find(|(known, _)| known == name) {
                    Some((_, old)) => *old = value,
                    None => values.push((name.clone(), value)),
                }
            }
            Target::Tuple(targets) => {
                let values = value.elements(self.budget)?;
                if values.len() != targets.len() {
                    let (wanted, got) = (targets.len(), values.len());
                    return Err(Fault::new(format!("cannot unpack {got} values into {wanted}")));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
        }
        Ok(())
    }

    fn eval(&self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        self.deeper(|| match &expr.kind {
            ExprKind::Const(value) => Ok(value.clone()),
            ExprKind::Name(name) => self.name(name, scope),
            ExprKind::And(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { self.eval(b, scope) } else { Ok(a) }
            }
            ExprKind::Or(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { Ok(a) } else { self.eval(b, scope) }
            }
            ExprKind::Not(of) => Ok(Value::Bool(!self.eval(of, scope)?.is_true())),
            ExprKind::If { condition, then, otherwise } => {
                if self.eval(condition, scope)?.is_true() {
                    return self.eval(then, scope);
                }
                let nothing = || Ok(Value::undefined("the inline if-expression has no else"));
                otherwise.as_ref().map_or_else(nothing, |otherwise| self.eval(otherwise, scope))
            }
            ExprKind::Binary(operator, a, b) => {
                let (a, b) = (self.eval(a, scope)?, self.eval(b, scope)?);
                operators::binary(*operator, &a, &b, self.budget)
            }
            ExprKind::Attribute(of, name) => operators::attribute(&self.eval(of, scope)?, name, self.budget),
            ExprKind::Item(of, key) => {
                let (of, key) = (self.eval(of, scope)?, self.eval(key, scope)?);
                operators::item(&of, &key, self.budget)
            }
            _ => self.eval_more(expr, scope),
        })
        .map_err(|fault| fault.at(expr.line))
    }

    /// The rarer expressions, apart so that the common ones take less stack.
    #[inline(never)]
    fn eval_more(&self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        match &expr.kind {
            ExprKind::Body => Ok(self.bodies.borrow().last().cloned().unwrap_or(Value::None)),
            ExprKind::List(items) => Value::list(self.eval_all(items, scope)?),
            ExprKind::Tuple(items) => Value::tuple(self.eval_all(items, scope)?),
            ExprKind::Map(entries) => {
                let mut map: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let (key, value) = (self.eval(key, scope)?, self.eval(value, scope)?);
                    self.put(&mut map, key, value)?;
                }
                Value::map(map)
            }
            ExprKind::Slice(of, parts) => {
                let of = self.eval(of, scope)?;
                let mut bounds = [const { None }; 3];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    *bound = part.as_ref().map(|part| self.eval(part, scope)).transpose()?;
                }
                operators::slice(&of, bounds, self.budget)
            }
            ExprKind::Call(of, args) => {
                let of = self.eval(of, scope)?;
                let args = self.args(args, scope)?;
                self.call(&of, args)
            }
            ExprKind::Filter(of, name, args) => {
                let of = self.eval(of, scope)?;
                filters::filter(name, of, self.args(args, scope)?, self.budget)
            }
            ExprKind::Test(of, name, args, negated) => {
                let of = self.eval(of, scope)?;
                let passes = conditions::test(name, &of, self.args(args, scope)?, self.budget)?;
                Ok(Value::Bool(passes != *negated))
            }
            ExprKind::Negative(of) | ExprKind::Positive(of) => {
                let value = self.eval(of, scope)?;
                let is_negative = matches!(expr.kind, ExprKind::Negative(_));
                match (&value, value.as_int()) {
                    (_, Some(value)) if is_negative => {
                        value.checked_neg().map(Value::Int).ok_or_else(|| Fault::new("an integer is too large"))
                    }
                    (Value::Float(value), _) if is_negative => Ok(Value::Float(-value)),
                    (_, Some(value)) => Ok(Value::Int(value)),
                    (Value::Float(_), _) => Ok(value),
                    (Value::Undefined(what), _) => Err(Fault::new(&**what)),
                    _ => Err(Fault::new(format!("bad operand type for unary -: '{}'", value.type_name()))),
                }
            }
            ExprKind::Compare(first, others) => {
                let mut left = self.eval(first, scope)?;
                for (compare, right) in others {
                    let right = self.eval(right, scope)?;
                    if !operators::compare(*compare, &left, &right, self.budget)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            ExprKind::Concat(items) => {
                let mut out = TextBuilder::default();
                for item in items {
                    print::push(&self.eval(item, scope)?, &mut out, self.budget)?;
                }
                Ok(Value::Str(out.finish()))
            }
            _ => Ok(Value::None),
        }
    }

    fn name(&self, name: &str, scope: &Rc<Scope>) -> Res<Value> {
        let found = scope.find(name, self.budget)?;
        Ok(found.unwrap_or_else(|| Value::undefined(format!("'{name}' is undefined"))))
    }

    fn eval_all(&self, items: &[Expr], scope: &Rc<Scope>) -> Res<Vec<Value>> {
        self.budget.elements(items.len())?;
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    /// Sets a key of a mapping that is being made.
    fn put(&self, map: &mut Vec<(Value, Value)>, key: Value, value: Value) -> Res<()> {
        self.budget.elements(2)?;
        if operators::find(map, &key, self.budget)?.is_none() {
            map.push((key, value));
            return Ok(());
        }
        for (known, old) in map {
            if operators::equal(known, &key, self.budget)? {
                *old = value;
                break;
            }
        }
        Ok(())
    }

    fn args(&self, args: &Args, scope: &Rc<Scope>) -> Res<Call> {
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

    fn call(&self, of: &Value, call: Call) -> Res<Value> {
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
                        let [key, value] = [0, 1].map(|at| operators::item(&pair, &Value::Int(at), self.budget));
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
