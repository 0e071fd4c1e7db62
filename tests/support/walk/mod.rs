//! Walks through a shader, invocation by invocation, and counts the bytes that it loads.
//!
//! It knows integers: ids, parameters, rows, block tables. So it knows which way each invocation
//! takes and what it loads. Floats, and what is in workgroup memory, it does not know, and a
//! condition that depends on them it takes for false. Loads behind the end of an array of known
//! size, or of a binding of known bytes, do not count.

use std::collections::HashMap;

mod values;

use naga::{
    AddressSpace, ArraySize, Block, BuiltIn, Expression, Function, GlobalVariable, Handle, MathFunction, Module,
    ScalarKind, Statement, Type, TypeInner, UnaryOperator,
};

use values::{Pointer, Root, Value, at, binary, flat, map, of_literal, put, zip};

/// A variable that is loaded from: by its binding, or by its name in workgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Binding(u32),
    Workgroup(&'a str),
}

/// The bytes that one workgroup loads from a variable.
#[derive(Clone, Default)]
struct Count {
    /// By all invocations.
    loads: u64,
    /// Whether each word is among them, of those whose place is known.
    words: Vec<bool>,
}

/// The words of the bindings that are known.
pub type Words = HashMap<u32, Vec<u32>>;

/// The bytes of the bindings that may be read behind their end.
pub type Sizes = HashMap<u32, usize>;

pub struct Walk<'a> {
    module: &'a Module,
    words: &'a Words,
    sizes: &'a Sizes,
    locals: Vec<Value>,
    private: HashMap<Handle<GlobalVariable>, Value>,
    builtins: [[u32; 3]; 3],
    counts: Vec<Count>,
}

/// Invocations of a subgroup.
const SUBGROUP: u32 = 32;

enum Flow {
    On,
    Break,
    Continue,
    Return(Value),
}

/// What a workgroup loads, by variable: bytes, each once, and bytes by all invocations.
pub fn workgroup<'a>(module: &'a Module, id: [u32; 3], words: &Words, sizes: &Sizes) -> Vec<(Source<'a>, u64, u64)> {
    let entry = &module.entry_points[0];
    let mut walk = Walk {
        module,
        words,
        sizes,
        locals: Vec::new(),
        private: HashMap::new(),
        builtins: [[0; 3]; 3],
        counts: vec![Count::default(); module.global_variables.len()],
    };
    for index in 0..entry.workgroup_size.iter().product() {
        let global = [id[0] * entry.workgroup_size[0] + index, id[1], id[2]];
        walk.builtins = [id, global, [index; 3]];
        walk.private.clear();
        walk.locals.clear();
        walk.call(&entry.function, Vec::new());
    }
    let variables = module.global_variables.iter().zip(walk.counts).filter(|(_, count)| count.loads > 0);
    let of = |((_, variable), count): ((_, &'a GlobalVariable), Count)| {
        let source = match &variable.binding {
            Some(binding) => Source::Binding(binding.binding),
            None => Source::Workgroup(variable.name.as_deref().unwrap_or_default()),
        };
        (source, 4 * count.words.into_iter().filter(|&word| word).count() as u64, count.loads)
    };
    variables.map(of).collect()
}

impl Walk<'_> {
    fn call(&mut self, function: &Function, mut arguments: Vec<Value>) -> Value {
        let first_local = self.locals.len();
        if arguments.is_empty() {
            arguments = function.arguments.iter().map(|argument| self.builtin(argument.binding.as_ref())).collect();
        }
        let mut frame =
            Frame { function, arguments, first_local, values: vec![Value::Unknown; function.expressions.len()] };
        for (_, local) in function.local_variables.iter() {
            let value = match local.init {
                Some(init) => self.evaluate(&mut frame, init),
                None => self.zero(local.ty),
            };
            self.locals.push(value);
        }
        let flow = self.block(&mut frame, &function.body);
        self.locals.truncate(first_local);
        if let Flow::Return(value) = flow { value } else { Value::Unknown }
    }

    fn builtin(&self, binding: Option<&naga::Binding>) -> Value {
        let [workgroup, global, index] = self.builtins;
        let three = |ids: [u32; 3]| Value::Many(ids.map(Value::Word).to_vec());
        match binding {
            Some(naga::Binding::BuiltIn(BuiltIn::WorkGroupId)) => three(workgroup),
            Some(naga::Binding::BuiltIn(BuiltIn::GlobalInvocationId)) => three(global),
            Some(naga::Binding::BuiltIn(BuiltIn::LocalInvocationIndex)) => Value::Word(index[0]),
            Some(naga::Binding::BuiltIn(BuiltIn::SubgroupSize)) => Value::Word(SUBGROUP),
            other => panic!("an argument that is not known: {other:?}"),
        }
    }

    fn zero(&self, ty: Handle<Type>) -> Value {
        match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) if scalar.kind != ScalarKind::Float => Value::Word(0),
            _ => Value::Unknown,
        }
    }

    fn block(&mut self, frame: &mut Frame, block: &Block) -> Flow {
        for statement in block.iter() {
            let flow = self.statement(frame, statement);
            if !matches!(flow, Flow::On) {
                return flow;
            }
        }
        Flow::On
    }

    fn statement(&mut self, frame: &mut Frame, statement: &Statement) -> Flow {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    let value = self.expression(frame, handle);
                    frame.values[handle.index()] = value;
                }
            }
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => {
                let holds = matches!(self.evaluate(frame, *condition), Value::Word(1..));
                return self.block(frame, if holds { accept } else { reject });
            }
            Statement::Loop { body, continuing, break_if } => loop {
                match self.block(frame, body) {
                    Flow::Break => return Flow::On,
                    Flow::Return(value) => return Flow::Return(value),
                    Flow::On | Flow::Continue => {}
                }
                self.block(frame, continuing);
                if let Some(condition) = break_if
                    && matches!(self.evaluate(frame, *condition), Value::Word(1..))
                {
                    return Flow::On;
                }
            },
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Return { value } => {
                return Flow::Return(value.map_or(Value::Unknown, |value| self.evaluate(frame, value)));
            }
            Statement::Store { pointer, value } => {
                let (pointer, value) = (self.evaluate(frame, *pointer), self.evaluate(frame, *value));
                if let Value::Pointer(pointer) = pointer {
                    self.store(&pointer, value);
                }
            }
            Statement::Call { function, arguments, result } => {
                let arguments = arguments.iter().map(|&argument| self.evaluate(frame, argument)).collect();
                let value = self.call(&self.module.functions[*function], arguments);
                if let Some(result) = result {
                    frame.values[result.index()] = value;
                }
            }
            Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) => {}
            Statement::Atomic { result, .. } => {
                if let Some(result) = result {
                    frame.values[result.index()] = Value::Unknown;
                }
            }
            Statement::SubgroupGather { result, .. } => frame.values[result.index()] = Value::Unknown,
            other => panic!("a statement that is not known: {other:?}"),
        }
        Flow::On
    }

    /// The value of an expression, of what is emitted as it was then.
    fn evaluate(&mut self, frame: &mut Frame, handle: Handle<Expression>) -> Value {
        match frame.function.expressions[handle] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::ZeroValue(_)
            | Expression::FunctionArgument(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_) => self.expression(frame, handle),
            _ => frame.values[handle.index()].clone(),
        }
    }

    fn expression(&mut self, frame: &mut Frame, handle: Handle<Expression>) -> Value {
        match &frame.function.expressions[handle] {
            Expression::Literal(literal) => of_literal(literal),
            Expression::Constant(constant) => self.constant(self.module.constants[*constant].init),
            Expression::ZeroValue(ty) => self.zero(*ty),
            Expression::FunctionArgument(index) => frame.arguments[*index as usize].clone(),
            Expression::GlobalVariable(global) => {
                let ty = Some(self.module.global_variables[*global].ty);
                Value::Pointer(Pointer {
                    root: Root::Global(*global),
                    ty,
                    offset: Some(0),
                    outside: false,
                    path: vec![],
                })
            }
            Expression::LocalVariable(local) => {
                let (root, ty) = (Root::Local(frame.first_local + local.index()), None);
                Value::Pointer(Pointer { root, ty, offset: Some(0), outside: false, path: vec![] })
            }
            Expression::Compose { ty, components } => {
                let module = self.module;
                let values = components.iter().map(|&component| self.evaluate(frame, component));
                match module.types[*ty].inner {
                    TypeInner::Vector { size, .. } => flat(values, size as usize),
                    _ => Value::Many(values.collect()),
                }
            }
            Expression::Splat { size, value } => Value::Many(vec![self.evaluate(frame, *value); *size as usize]),
            Expression::Swizzle { size, vector, pattern } => match self.evaluate(frame, *vector) {
                Value::Many(values) => {
                    Value::Many(pattern[..*size as usize].iter().map(|&c| values[c as usize].clone()).collect())
                }
                _ => Value::Unknown,
            },
            Expression::Access { base, index } => {
                let index = match self.evaluate(frame, *index) {
                    Value::Word(index) => Some(index),
                    _ => None,
                };
                let base = self.evaluate(frame, *base);
                self.access(base, index)
            }
            Expression::AccessIndex { base, index } => {
                let base = self.evaluate(frame, *base);
                self.access(base, Some(*index))
            }
            Expression::Load { pointer } => match self.evaluate(frame, *pointer) {
                Value::Pointer(pointer) => self.load(&pointer),
                other => panic!("a load from {other:?}"),
            },
            Expression::Unary { op, expr } => map(self.evaluate(frame, *expr), &|word| match op {
                UnaryOperator::Negate => word.wrapping_neg(),
                UnaryOperator::LogicalNot => 1 - word,
                UnaryOperator::BitwiseNot => !word,
            }),
            Expression::Binary { op, left, right } => {
                let (left, right) = (self.evaluate(frame, *left), self.evaluate(frame, *right));
                zip(left, right, &|a, b| binary(*op, a, b))
            }
            Expression::Select { condition, accept, reject } => {
                let (accept, reject) = (self.evaluate(frame, *accept), self.evaluate(frame, *reject));
                match self.evaluate(frame, *condition) {
                    Value::Word(0) => reject,
                    Value::Word(_) => accept,
                    _ => Value::Unknown,
                }
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let values = [Some(*arg), *arg1, *arg2];
                let [a, b, c] = values.map(|arg| arg.map_or(Value::Unknown, |arg| self.evaluate(frame, arg)));
                match fun {
                    MathFunction::Min => zip(a, b, &u32::min),
                    MathFunction::Max => zip(a, b, &u32::max),
                    MathFunction::Clamp => zip(zip(a, b, &u32::max), c, &u32::min),
                    _ => Value::Unknown,
                }
            }
            // whole numbers stay what they are
            Expression::As { expr, convert: Some(_), .. } => self.evaluate(frame, *expr),
            Expression::As { .. } | Expression::Relational { .. } => Value::Unknown,
            other => panic!("an expression that is not known: {other:?}"),
        }
    }

    fn constant(&self, handle: Handle<Expression>) -> Value {
        match &self.module.global_expressions[handle] {
            Expression::Literal(literal) => of_literal(literal),
            Expression::Constant(constant) => self.constant(self.module.constants[*constant].init),
            Expression::Compose { components, .. } => {
                Value::Many(components.iter().map(|&component| self.constant(component)).collect())
            }
            _ => Value::Unknown,
        }
    }

    fn access(&self, base: Value, index: Option<u32>) -> Value {
        match base {
            Value::Many(values) => index.map_or(Value::Unknown, |index| values[index as usize].clone()),
            Value::Pointer(pointer) => Value::Pointer(self.inside(pointer, index)),
            Value::Unknown | Value::Word(_) => Value::Unknown,
        }
    }

    fn inside(&self, mut pointer: Pointer, index: Option<u32>) -> Pointer {
        let Some(ty) = pointer.ty else {
            pointer.path.push(index.map(|index| index as usize));
            return pointer;
        };
        let (step, ty, len) = match &self.module.types[ty].inner {
            TypeInner::Array { base, stride, size } => {
                let len = match size {
                    ArraySize::Constant(len) => len.get(),
                    _ => self.bytes(pointer.root).map_or(u32::MAX, |bytes| bytes as u32 / stride),
                };
                (index.map(|index| index.wrapping_mul(*stride)), Some(*base), len)
            }
            TypeInner::Vector { .. } => (index.map(|index| 4 * index), None, u32::MAX),
            TypeInner::Struct { members, .. } => {
                let member = &members[index.expect("a member by its number") as usize];
                (Some(member.offset), Some(member.ty), u32::MAX)
            }
            other => panic!("a part of {other:?}"),
        };
        pointer.outside |= index.is_some_and(|index| index >= len);
        pointer.offset = pointer.offset.zip(step).map(|(offset, step)| offset.wrapping_add(step));
        pointer.ty = ty;
        pointer
    }

    /// The bytes of a binding, where they are known.
    fn bytes(&self, root: Root) -> Option<usize> {
        let Root::Global(global) = root else { return None };
        let binding = self.module.global_variables[global].binding.as_ref()?;
        self.sizes.get(&binding.binding).copied()
    }

    fn load(&mut self, pointer: &Pointer) -> Value {
        let global = match pointer.root {
            Root::Local(local) => return at(&self.locals[local], &pointer.path),
            Root::Global(global) => global,
        };
        let variable = &self.module.global_variables[global];
        if variable.space == AddressSpace::Private {
            let zero = self.zero(variable.ty);
            return self.private.get(&global).cloned().unwrap_or(zero);
        }
        if pointer.outside {
            return Value::Unknown;
        }
        let bytes = pointer.ty.map_or(4, |ty| self.module.types[ty].inner.size(self.module.to_ctx()));
        let count = &mut self.counts[global.index()];
        count.loads += u64::from(bytes);
        let (Some(offset), Some(binding)) = (pointer.offset, &variable.binding) else { return Value::Unknown };
        let (first, end) = (offset as usize / 4, (offset + bytes) as usize / 4);
        count.words.resize(count.words.len().max(end), false);
        count.words[first..end].fill(true);
        let Some(words) = self.words.get(&binding.binding) else { return Value::Unknown };
        let mut values = (first..end).map(|at| words.get(at).map_or(Value::Unknown, |&word| Value::Word(word)));
        if bytes == 4 { values.next().unwrap_or(Value::Unknown) } else { Value::Many(values.collect()) }
    }

    fn store(&mut self, pointer: &Pointer, value: Value) {
        match pointer.root {
            Root::Local(local) => put(&mut self.locals[local], &pointer.path, value),
            Root::Global(global) if self.module.global_variables[global].space == AddressSpace::Private => {
                self.private.insert(global, value);
            }
            Root::Global(_) => {}
        }
    }
}

struct Frame<'a> {
    function: &'a Function,
    arguments: Vec<Value>,
    first_local: usize,
    values: Vec<Value>,
}
