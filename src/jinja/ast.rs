//! The syntax tree of a template.

use std::rc::Rc;

use super::text::Text;
use super::value::Value;

/// An expression and its line.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) line: u32,
    pub(super) kind: ExprKind,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    Const(Value),
    Name(Rc<str>),
    /// The body of a filter block, which its filters take.
    Body,
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// `a.b`
    Attribute(Box<Expr>, Rc<str>),
    /// `a[b]`
    Item(Box<Expr>, Box<Expr>),
    /// `a[start:stop:step]`
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Args),
    Filter(Box<Expr>, Rc<str>, Args),
    /// The last field: negated, as in `is not`.
    Test(Box<Expr>, Rc<str>, Args, bool),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// `a < b <= c`
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    /// `a ~ b ~ c`
    Concat(Vec<Expr>),
    /// `then if condition else otherwise`
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

/// Arguments in a template.
#[derive(Debug, Default)]
pub(super) struct Args {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(Rc<str>, Expr)>,
    /// `*list`
    pub(super) list: Option<Box<Expr>>,
    /// `**mapping`
    pub(super) mapping: Option<Box<Expr>>,
}

/// A statement and its line.
#[derive(Debug)]
pub(super) struct Stmt {
    pub(super) line: u32,
    pub(super) kind: StmtKind,
}

#[derive(Debug)]
pub(super) enum StmtKind {
    Data(Text),
    Output(Expr),
    For(Rc<For>),
    /// Conditions with their bodies, and the body of `else`.
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    Set(Target, Expr),
    /// `{% set x %}` … `{% endset %}`; the expression applies the filters to the body.
    SetBlock(Target, Expr, Vec<Stmt>),
    With(Vec<(Target, Expr)>, Vec<Stmt>),
    Macro(Rc<Macro>),
    /// `{% call(…) m(…) %}`: the body becomes a macro, which the call gets as `caller`.
    CallBlock(Rc<Macro>, Expr),
    FilterBlock(Expr, Vec<Stmt>),
    /// `{% block %}`, rendered in place.
    Block(Vec<Stmt>),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) iter: Expr,
    pub(super) filter: Option<Expr>,
    pub(super) recursive: bool,
    pub(super) body: Vec<Stmt>,
    pub(super) otherwise: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: Rc<str>,
    pub(super) parameters: Vec<(Rc<str>, Option<Expr>)>,
    pub(super) body: Vec<Stmt>,
    /// Whether the body uses `varargs`, and so takes more positional arguments.
    pub(super) takes_list: bool,
    /// Whether the body uses `kwargs`, and so takes more named arguments.
    pub(super) takes_named: bool,
    /// Whether the body uses `caller`.
    pub(super) takes_caller: bool,
}

/// The target of an assignment.
#[derive(Debug)]
pub(super) enum Target {
    Name(Rc<str>),
    /// An attribute of a namespace.
    Attribute(Rc<str>, Rc<str>),
    Tuple(Vec<Target>),
}
