//! The values of a template, which are Python's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::Macro;
use super::budget::Budget;
use super::scope::{Function, Loop, Scope};
use super::text::Text;
use super::{Fault, Res};

/// Limit of nested lists and mappings: code that walks a value recurses through them.
pub(super) const MAX_NESTING: u8 = 64;

/// A value. Its contents are shared, and only namespaces are mutable.
#[derive(Debug, Clone)]
pub enum Value {
    /// An undefined value; the text says what was looked up.
    Undefined(Rc<str>),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer. Python's have no limit.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(Text),
    /// A list or similar sequence.
    List(Rc<List>),
    /// A mapping.
    Map(Rc<Map>),
    /// Any other value.
    Object(Object),
}

/// Names with mutable values.
pub(super) type Names = RefCell<Vec<(Rc<str>, Value)>>;

/// A value with attributes, or that can be called.
#[derive(Debug, Clone)]
#[allow(private_interfaces)]
pub enum Object {
    /// `namespace()`.
    Namespace(Rc<Names>),
    /// A function from outside the template.
    Function(Function),
    /// A method bound to a value: the value and the name.
    Method(Rc<(Value, Rc<str>)>),
    /// A macro and the scope of its definition.
    Macro(Rc<Macro>, std::rc::Weak<Scope>),
    /// The `loop` of a `for`.
    Loop(Rc<Loop>),
    /// `cycler()`: its values, and the index of the current one.
    Cycler(Rc<(Vec<Value>, Cell<usize>)>),
    /// `joiner()`: its separator, and whether it was used.
    Joiner(Rc<(Value, Cell<bool>)>),
}

/// Kind of a sequence, which decides how it prints and behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[a, b]`
    List,
    /// `(a, b)`
    Tuple,
    /// A pair of `groupby`: a tuple whose items have names.
    Group,
    /// A Python iterator, such as the result of `map`.
    Iterator,
    /// The result of `items()` and similar; the text is Python's name of the type.
    View(&'static str),
}

/// A sequence.
#[derive(Debug)]
pub struct List {
    pub(super) kind: Kind,
    pub(super) items: Vec<Value>,
    shape: Shape,
}

/// Pairs of keys and values, in order.
#[derive(Debug)]
pub struct Map {
    pub(super) entries: Vec<(Value, Value)>,
    shape: Shape,
}

/// Properties of a value's whole contents.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    depth: u8,
    has_namespace: bool,
}

impl Shape {
    fn of(value: &Value) -> Self {
        match value {
            Value::List(list) => list.shape,
            Value::Map(map) => map.shape,
            // These may hold a namespace.
            Value::Object(Object::Function(_) | Object::Macro(..)) => Self::default(),
            Value::Object(_) => Self { depth: 0, has_namespace: true },
            _ => Self::default(),
        }
    }

    fn around<'v>(values: impl Iterator<Item = &'v Value>) -> Res<Self> {
        let mut shape = Self::default();
        for value in values {
            let inner = Self::of(value);
            shape.depth = shape.depth.max(inner.depth);
            shape.has_namespace |= inner.has_namespace;
        }
        shape.depth += 1;
        if shape.depth > MAX_NESTING {
            return Err(Fault::new(format!("a value is nested more than {MAX_NESTING} deep")));
        }
        Ok(shape)
    }
}

impl Value {
    /// Text of the template.
    pub fn template(text: &str) -> Self {
        Self::Str(Text::template(text))
    }

    /// The name of an argument. It counts as given, because `**` takes names from mappings.
    pub(super) fn keyword(name: &str) -> Self {
        Self::Str(Text::given(name))
    }

    /// A list.
    ///
    /// # Errors
    /// The list is nested too deep.
    pub fn list(items: Vec<Self>) -> Res<Self> {
        Self::sequence(Kind::List, items)
    }

    pub(super) fn tuple(items: Vec<Self>) -> Res<Self> {
        Self::sequence(Kind::Tuple, items)
    }

    pub(super) fn sequence(kind: Kind, items: Vec<Self>) -> Res<Self> {
        let shape = Shape::around(items.iter())?;
        Ok(Self::List(Rc::new(List { kind, items, shape })))
    }

    /// A mapping of pairs with distinct keys.
    ///
    /// # Errors
    /// The mapping is nested too deep.
    pub fn map(entries: Vec<(Self, Self)>) -> Res<Self> {
        let shape = Shape::around(entries.iter().flat_map(|(key, value)| [key, value]))?;
        Ok(Self::Map(Rc::new(Map { entries, shape })))
    }

    pub(super) fn undefined(what: impl AsRef<str>) -> Self {
        Self::Undefined(what.as_ref().into())
    }

    /// Whether it contains a namespace. A namespace may not hold such a value, since it could then
    /// contain itself.
    pub(super) fn has_namespace(&self) -> bool {
        Shape::of(self).has_namespace
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Python's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(list) => match list.kind {
                Kind::List => "list",
                Kind::Tuple | Kind::Group => "tuple",
                Kind::Iterator => "generator",
                Kind::View(name) => name,
            },
            Self::Map(_) => "dict",
            Self::Object(object) => match object {
                Object::Namespace(_) => "Namespace",
                Object::Function(_) => "function",
                Object::Method(_) => "builtin_function_or_method",
                Object::Macro(..) => "Macro",
                Object::Loop(_) => "LoopContext",
                Object::Cycler(_) => "Cycler",
                Object::Joiner(_) => "Joiner",
            },
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => list.kind == Kind::Iterator || !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// The value of integers and bools.
    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of numbers and bools.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            value => value.as_int().map(|value| value as f64),
        }
    }

    /// Number of elements or characters.
    pub(super) fn length(&self, budget: &Budget) -> Res<usize> {
        match self {
            Self::Undefined(_) => Ok(0),
            Self::Str(text) => {
                budget.read(text.len())?;
                Ok(text.as_str().chars().count())
            }
            Self::List(list) if list.kind != Kind::Iterator => Ok(list.items.len()),
            Self::Map(map) => Ok(map.entries.len()),
            Self::Object(Object::Loop(of)) => Ok(of.length()),
            other => Err(Fault::new(format!("object of type '{}' has no len()", other.type_name()))),
        }
    }

    /// The elements; the keys of a mapping, the characters of a string.
    pub(super) fn items(&self, budget: &Budget) -> Res<Items> {
        Ok(match self {
            Self::Undefined(_) => Items::Values(Vec::new()),
            Self::List(list) => Items::List(list.clone()),
            Self::Str(text) => Items::Chars(text.clone()),
            Self::Map(map) => {
                budget.elements(map.entries.len())?;
                Items::Values(map.entries.iter().map(|(key, _)| key.clone()).collect())
            }
            other => return Err(Fault::new(format!("'{}' object is not iterable", other.type_name()))),
        })
    }

    /// The elements as a new list.
    pub(super) fn elements(&self, budget: &Budget) -> Res<Vec<Value>> {
        Ok(match self.items(budget)? {
            Items::List(list) => {
                budget.elements(list.items.len())?;
                list.items.clone()
            }
            Items::Values(values) => values,
            Items::Chars(text) => {
                // each becomes a text
                budget.elements(2 * text.len())?;
                text.chars().map(|(c, given)| Value::Str(char_text(c, given))).collect()
            }
        })
    }
}

/// A text of one character.
pub(super) fn char_text(c: char, given: bool) -> Text {
    let mut bytes = [0; 4];
    let text = c.encode_utf8(&mut bytes);
    if given { Text::given(text) } else { Text::template(text) }
}

/// The elements of a loop. A string is not split beforehand, since the loop may stop early.
#[derive(Debug)]
pub(super) enum Items {
    List(Rc<List>),
    Values(Vec<Value>),
    Chars(Text),
}

impl Items {
    /// The element at `index`. `at`: first byte of that character in a text.
    pub(super) fn get(&self, index: usize, at: usize) -> Option<Value> {
        match self {
            Self::List(list) => list.items.get(index).cloned(),
            Self::Values(values) => values.get(index).cloned(),
            Self::Chars(text) => {
                let length = self.width(at);
                (length > 0).then(|| Value::Str(text.slice(at..at + length)))
            }
        }
    }

    /// Bytes of the character at `at`; 1 for other elements.
    pub(super) fn width(&self, at: usize) -> usize {
        match self {
            Self::Chars(text) => text.as_str()[at..].chars().next().map_or(0, char::len_utf8),
            _ => 1,
        }
    }

    pub(super) fn len(&self, budget: &Budget) -> Res<usize> {
        Ok(match self {
            Self::List(list) => list.items.len(),
            Self::Values(values) => values.len(),
            Self::Chars(text) => {
                budget.read(text.len())?;
                text.as_str().chars().count()
            }
        })
    }
}
