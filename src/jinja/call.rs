//! Arguments of filters, tests, methods and functions.

use std::rc::Rc;

use super::budget::Budget;
use super::text::Text;
use super::value::Value;
use super::{Fault, Res, print};

/// Arguments of a call.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Positional arguments.
    pub positional: Vec<Value>,
    /// Named arguments.
    pub named: Vec<(Rc<str>, Value)>,
}

impl Call {
    /// Assigns the arguments to the parameters `names` of `function`.
    ///
    /// # Errors
    /// Too many arguments, or one whose name is not a parameter's.
    pub fn bind<const N: usize>(self, function: &str, names: [&str; N]) -> Res<[Option<Value>; N]> {
        if self.positional.len() > N {
            let got = self.positional.len();
            return Err(Fault::new(format!("{function}() takes at most {N} arguments ({got} given)")));
        }
        let mut bound = [const { None }; N];
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| **known == *name) else {
                return Err(Fault::new(format!("{function}() got an unexpected keyword argument '{name}'")));
            };
            bound[at] = Some(value);
        }
        Ok(bound)
    }

    /// Checks that there are no arguments.
    pub(super) fn none(self, function: &str) -> Res<()> {
        self.bind::<0>(function, []).map(|_| ())
    }
}

pub(super) fn text_of(value: Option<Value>, default: &str, budget: &Budget) -> Res<Text> {
    value.map_or_else(|| Ok(default.into()), |value| print::text(&value, budget))
}

pub(super) fn bool_of(value: Option<&Value>, default: bool) -> bool {
    value.map_or(default, Value::is_true)
}

pub(super) fn int_of(value: Option<&Value>, default: i128) -> Res<i128> {
    match value {
        None => Ok(default),
        Some(Value::Undefined(what)) => Err(Fault::new(&**what)),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Fault::new(format!("'{}' object cannot be interpreted as an integer", value.type_name()))),
    }
}

pub(super) fn usize_of(value: Option<&Value>, default: usize) -> Res<usize> {
    int_of(value, default as i128).map(|value| usize::try_from(value.max(0)).unwrap_or(usize::MAX))
}
