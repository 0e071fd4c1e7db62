//! Variables, and the `loop` of a `for`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use super::ast::For;
use super::budget::Budget;
use super::call::Call;
use super::value::{Items, Object, Value};
use super::{Fault, Res, operators};

/// A function that templates can call.
#[derive(Clone)]
pub struct Function {
    /// Name in templates.
    pub name: &'static str,
    /// The implementation.
    pub call: Rc<dyn Fn(Call) -> Res<Value>>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    /// Name and value for a template's variables.
    pub fn value(name: &'static str, call: impl Fn(Call) -> Res<Value> + 'static) -> (Rc<str>, Value) {
        (name.into(), Value::Object(Object::Function(Self { name, call: Rc::new(call) })))
    }
}

/// Variables, inside those of an outer scope.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) values: RefCell<Vec<(Rc<str>, Value)>>,
    pub(super) outer: Option<Rc<Scope>>,
}

impl Scope {
    pub(super) fn within(outer: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { values: RefCell::default(), outer: Some(outer.clone()) })
    }

    pub(super) fn find(&self, name: &str, budget: &Budget) -> Res<Option<Value>> {
        let mut scope = self;
        loop {
            let values = scope.values.borrow();
            budget.spend(values.len() as u64 / 8)?;
            if let Some((_, value)) = values.iter().find(|(known, _)| **known == *name) {
                return Ok(Some(value.clone()));
            }
            drop(values);
            let Some(outer) = scope.outer.as_deref() else { return Ok(None) };
            scope = outer;
        }
    }

    pub(super) fn set(&self, name: &Rc<str>, value: Value, budget: &Budget) -> Res<()> {
        let mut values = self.values.borrow_mut();
        budget.spend(values.len() as u64 / 8)?;
        match values.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => values.push((name.clone(), value)),
        }
        Ok(())
    }
}

/// The `loop` of a `for`.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) items: Items,
    pub(super) index: Cell<usize>,
    /// In a loop over a text, the first byte of the current character.
    pub(super) at: Cell<usize>,
    pub(super) length: usize,
    pub(super) depth: usize,
    pub(super) previous: RefCell<Option<Value>>,
    pub(super) changed: RefCell<Option<Value>>,
    /// In a recursive loop, the loop and its scope.
    pub(super) recursion: Option<(Rc<For>, Weak<Scope>)>,
}

impl Loop {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// `loop.cycle(…)`: one of the values, in turn.
    pub(super) fn cycle(&self, values: &[Value]) -> Res<Value> {
        let at = self.index.get() % values.len().max(1);
        values.get(at).cloned().ok_or_else(|| Fault::new("no items for cycling given"))
    }

    /// `loop.changed(…)`: whether the values differ from those of the last call.
    pub(super) fn change(&self, values: Vec<Value>, budget: &Budget) -> Res<bool> {
        let values = Value::tuple(values)?;
        let same = match &*self.changed.borrow() {
            Some(last) => operators::equal(last, &values, budget)?,
            None => false,
        };
        self.changed.replace(Some(values));
        Ok(!same)
    }

    pub(super) fn attribute(&self, name: &Rc<str>) -> Option<Value> {
        let (index, length) = (self.index.get(), self.length);
        let int = |value: usize| Value::Int(value as i128);
        Some(match &**name {
            "index" => int(index + 1),
            "index0" => int(index),
            "revindex" => int(length.saturating_sub(index)),
            "revindex0" => int(length.saturating_sub(index + 1)),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == length),
            "length" => int(length),
            "depth" => int(self.depth + 1),
            "depth0" => int(self.depth),
            "previtem" => {
                self.previous.borrow().clone().unwrap_or_else(|| Value::undefined("there is no previous item"))
            }
            "nextitem" => {
                let at = self.at.get() + self.items.width(self.at.get());
                self.items.get(index + 1, at).unwrap_or_else(|| Value::undefined("there is no next item"))
            }
            _ => return None,
        })
    }
}
