//! The values of a template, Python's by another name.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::Macro;
use super::budget::Budget;
use super::scope::{Function, Loop, Scope};
use super::text::Text;
use super::{Fault, Res};

/// How deep lists and mappings may lie within each other: what walks a value recurses along them.
pub(super) const MAX_NESTING: u8 = 64;

/// A value. What it holds is shared, and only namespaces change.
#[derive(Debug, Clone)]
pub enum Value {
    /// What is not there; the text says what was looked for.
    Undefined(Rc<str>),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer; Python's have no bound.
    Int(i128),
    /// A number.
    Float(f64),
    /// A string.
    Str(Text),
    /// A list or what is like one.
    List(Rc<List>),
    /// A mapping.
    Map(Rc<Map>),
    /// Any of the others.
    Object(Object),
}

/// Names with values that change.
pub(super) type Names = RefCell<Vec<(Rc<str>, Value)>>;

/// What has attributes or can be called.
#[derive(Debug, Clone)]
#[allow(private_interfaces)]
pub enum Object {
    /// `namespace()`.
    Namespace(Rc<Names>),
    /// A function of the template's surroundings.
    Function(Function),
    /// A method of a value: the value and the name.
    Method(Rc<(Value, Rc<str>)>),
    /// A macro, and where it was defined.
    Macro(Rc<Macro>, std::rc::Weak<Scope>),
    /// The `loop` of a `for`.
    Loop(Rc<Loop>),
    /// `cycler()`: its values, and which is current.
    Cycler(Rc<(Vec<Value>, Cell<usize>)>),
    /// `joiner()`: its separator, and whether it was used.
    Joiner(Rc<(Value, Cell<bool>)>),
}

/// What kind of sequence it is, as it prints and behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[a, b]`
    List,
    /// `(a, b)`
    Tuple,
    /// A pair of `groupby`, a tuple with names.
    Group,
    /// What Python would give one by one, such as the result of `map`.
    Iterator,
    /// What `items()` and the like give of a mapping; the text is Python's name of it.
    View(&'static str),
}

/// A sequence.
#[derive(Debug)]
pub struct List {
    pub(super) kind: Kind,
    pub(super) items: Vec<Value>,
    shape: Shape,
}

/// Pairs in their order.
#[derive(Debug)]
pub struct Map {
    pub(super) entries: Vec<(Value, Value)>,
    shape: Shape,
}

/// What is known of all that a value holds.
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
            // Each may hold a namespace.
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

    /// The name of an argument. `**` takes names from mappings, so that it may have been given.
    pub(super) fn keyword(name: &str) -> Self {
        Self::Str(Text::given(name))
    }

    /// A list.
    ///
    /// # Errors
    /// One that is nested too deep.
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

    /// A mapping of pairs whose keys differ.
    ///
    /// # Errors
    /// One that is nested too deep.
    pub fn map(entries: Vec<(Self, Self)>) -> Res<Self> {
        let shape = Shape::around(entries.iter().flat_map(|(key, value)| [key, value]))?;
        Ok(Self::Map(Rc::new(Map { entries, shape })))
    }

    pub(super) fn undefined(what: impl AsRef<str>) -> Self {
        Self::Undefined(what.as_ref().into())
    }

    /// Whether a namespace may hold it: not one that holds another, as it could hold itself.
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

    /// Python's name of its type.
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

    /// Numbers, `True` and `False` among them, as integers.
    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Numbers, `True` and `False` among them.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            value => value.as_int().map(|value| value as f64),
        }
    }

    /// The number of elements or characters.
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

    /// Its elements: of a mapping the keys, of a string the characters.
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

    /// The elements as a list of their own.
    pub(super) fn elements(&self, budget: &Budget) -> Res<Vec<Value>> {
        Ok(match self.items(budget)? {
            Items::List(list) => {
                budget.elements(list.items.len())?;
                list.items.clone()
            }
            Items::Values(values) => values,
            Items::Chars(text) => {
                // Each is a text of its own.
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

/// What a loop runs over. A string is not taken apart beforehand: a loop may stop at once.
#[derive(Debug)]
pub(super) enum Items {
    List(Rc<List>),
    Values(Vec<Value>),
    Chars(Text),
}

impl Items {
    /// The element at `index`. `at`: the byte where that character of a text begins.
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

    /// Bytes of the character at `at`; of elements of other kinds 1.
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
