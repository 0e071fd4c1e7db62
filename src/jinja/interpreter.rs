//! Runs a template.

mod calls;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::{Expr, ExprKind, For, Stmt, StmtKind, Target};
use super::budget::Budget;
use super::scope::{Function, Loop, Scope};
use super::text::{Text, TextBuilder};
use super::value::{Items, Object, Value};
use super::{Fault, Res, access, conditions, filters, operators, print};

/// Limit of the interpreter's recursion through statements, expressions and calls. A level takes up
/// to 1.5 KB of the stack, of which a page's worker has 1 MiB.
pub(super) const MAX_DEPTH: u32 = 400;

/// How execution continues after a statement.
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
    /// Bodies of the enclosing filter blocks.
    bodies: RefCell<Vec<Value>>,
}

impl Interpreter<'_> {
    /// Runs `work` one level deeper.
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

    /// The text of a body after filters.
    fn filtered(&self, filters: &Expr, body: &[Stmt], scope: &Rc<Scope>) -> Res<Value> {
        let mut out = TextBuilder::default();
        self.run(body, &Scope::within(scope), &mut out)?;
        self.bodies.borrow_mut().push(Value::Str(out.finish()));
        let value = self.eval(filters, scope);
        self.bodies.borrow_mut().pop();
        value
    }

    fn call_block(&self, call: &Expr, caller: Value, scope: &Rc<Scope>) -> Res<Value> {
        let ExprKind::Call(of, args) = &call.kind else { return Err(Fault::new("`{% call %}` needs a call")) };
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
            ExprKind::Attribute(of, name) => access::attribute(&self.eval(of, scope)?, name, self.budget),
            ExprKind::Item(of, key) => {
                let (of, key) = (self.eval(of, scope)?, self.eval(key, scope)?);
                access::item(&of, &key, self.budget)
            }
            _ => self.eval_more(expr, scope),
        })
        .map_err(|fault| fault.at(expr.line))
    }

    /// The rarer expressions, in a function of their own so that the common ones take less stack.
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
                access::slice(&of, bounds, self.budget)
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

    /// Sets a key of a mapping under construction.
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
}
