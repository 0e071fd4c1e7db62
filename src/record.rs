//! The vocabulary of recorded work: what a command may refer to.
//!
//! Model code never computes. It records commands over buffers that an engine owns, and an engine replays the recording
//! once a step. A recording is made for a *capacity* of tokens; the number that a step really has, and their position,
//! come with the [`Step`], so that a token costs no re-recording.

use crate::Result;
use crate::format::block::BlockType;
use crate::format::layout::Layout;

/// A buffer in the memory of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// A row-major f32 buffer of shape (rows, cols). Where rows stand for tokens, `rows` is the capacity, and a step uses the
/// first `min(rows, step.ids.len())` of them: so an operation over one row runs once whatever the step holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Where the values are.
    pub buffer: BufferId,
    /// Capacity in rows.
    pub rows: usize,
    /// Values a row.
    pub cols: usize,
}

/// A weight matrix of shape (rows, cols) = (outputs, inputs), held in one of the internal layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Where the planes are.
    pub buffer: BufferId,
    /// How the rows are stored.
    pub layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
}

/// What differs from one replay to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Position of the first token in the context.
    pub position: usize,
    /// The tokens to process, one row each.
    pub ids: &'a [u32],
    /// 32 uniform bits for the draw of a `sample`; nothing else reads them.
    pub random: u32,
    /// Where the second of two segments begins, counted from the first of these tokens; only an `embed` of segments reads it.
    pub second: u32,
}

impl<'a> Step<'a> {
    /// A step of one segment that draws nothing.
    pub fn new(position: usize, ids: &'a [u32]) -> Self {
        Self { position, ids, random: 0, second: u32::MAX }
    }
}

/// The memory of an engine, as the loader of a model sees it.
pub trait Memory {
    /// Bytes that one plane of a matrix, or one f32 buffer, may have.
    fn max_buffer_bytes(&self) -> u64;

    /// [`Memory::max_buffer_bytes`] in words, and what helps: the end of an `OutOfMemory` error.
    fn buffer_limit(&self) -> String {
        format!("and one buffer may have {}", self.max_buffer_bytes())
    }

    /// Bytes of engine memory in use.
    fn memory_bytes(&self) -> u64;

    /// A zeroed f32 buffer of `len` values. Errors: `OutOfMemory` above [`Memory::max_buffer_bytes`].
    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId>;

    /// Writes f32 values from `offset` (in values) on.
    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()>;

    /// A matrix whose rows come by [`Memory::write_rows`].
    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix>;

    /// Repacks whole rows, in the block format of the file, into the matrix, from `first_row` on.
    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()>;
}
