//! What a walk knows of values.

use naga::{BinaryOperator as Op, GlobalVariable, Handle, Literal, Type};

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Value {
    Unknown,
    /// An integer, or a condition as 0 or 1.
    Word(u32),
    Many(Vec<Value>),
    Pointer(Pointer),
}

#[derive(Clone, Debug)]
pub struct Pointer {
    pub root: Root,
    /// `None`: a component of a vector.
    pub ty: Option<Handle<Type>>,
    /// In bytes; `None` if it depends on what is not known, or is behind the end.
    pub offset: Option<u32>,
    pub outside: bool,
    pub path: Vec<Option<usize>>,
}

#[derive(Clone, Copy, Debug)]
pub enum Root {
    Global(Handle<GlobalVariable>),
    Local(usize),
}

pub fn of_literal(literal: &Literal) -> Value {
    match *literal {
        Literal::U32(word) => Value::Word(word),
        Literal::I32(word) => Value::Word(word.cast_unsigned()),
        Literal::AbstractInt(number) => Value::Word(number as u32),
        Literal::Bool(holds) => Value::Word(holds.into()),
        _ => Value::Unknown,
    }
}

/// A vector of scalars and vectors; unknown if it has unknown parts.
pub fn flat(parts: impl Iterator<Item = Value>, size: usize) -> Value {
    let mut values = Vec::with_capacity(size);
    for part in parts {
        match part {
            Value::Many(part) => values.extend(part),
            part => values.push(part),
        }
    }
    if values.len() == size { Value::Many(values) } else { Value::Unknown }
}

pub fn at(value: &Value, path: &[Option<usize>]) -> Value {
    match (value, path) {
        (value, []) => value.clone(),
        (Value::Many(values), [Some(index), path @ ..]) => at(&values[*index], path),
        _ => Value::Unknown,
    }
}

pub fn put(target: &mut Value, path: &[Option<usize>], value: Value) {
    match (target, path) {
        (target, []) => *target = value,
        (Value::Many(values), [Some(index), path @ ..]) => put(&mut values[*index], path, value),
        (target, _) => *target = Value::Unknown,
    }
}

pub fn map(value: Value, of: &dyn Fn(u32) -> u32) -> Value {
    match value {
        Value::Word(word) => Value::Word(of(word)),
        Value::Many(values) => Value::Many(values.into_iter().map(|value| map(value, of)).collect()),
        _ => Value::Unknown,
    }
}

pub fn zip(left: Value, right: Value, of: &dyn Fn(u32, u32) -> u32) -> Value {
    match (left, right) {
        (Value::Word(a), Value::Word(b)) => Value::Word(of(a, b)),
        (Value::Many(a), Value::Many(b)) => Value::Many(a.into_iter().zip(b).map(|(a, b)| zip(a, b, of)).collect()),
        (Value::Many(a), b) => Value::Many(a.into_iter().map(|a| zip(a, b.clone(), of)).collect()),
        (a, Value::Many(b)) => Value::Many(b.into_iter().map(|b| zip(a.clone(), b, of)).collect()),
        _ => Value::Unknown,
    }
}

pub fn binary(op: Op, a: u32, b: u32) -> u32 {
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide => a.checked_div(b).unwrap_or(a),
        Op::Modulo => a.checked_rem(b).unwrap_or(0),
        Op::Equal => (a == b).into(),
        Op::NotEqual => (a != b).into(),
        Op::Less => (a < b).into(),
        Op::LessEqual => (a <= b).into(),
        Op::Greater => (a > b).into(),
        Op::GreaterEqual => (a >= b).into(),
        Op::And | Op::LogicalAnd => a & b,
        Op::ExclusiveOr => a ^ b,
        Op::InclusiveOr | Op::LogicalOr => a | b,
        Op::ShiftLeft => a.wrapping_shl(b),
        Op::ShiftRight => a.wrapping_shr(b),
    }
}
