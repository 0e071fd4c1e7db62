//! The vocabulary of recorded work: what a command may refer to.
//!
//! Model code never computes. It records commands over buffers that an engine owns, and an engine replays the recording
//! once a step. A recording is made for a *capacity* of tokens; the number that a step really has, and their position,
//! come with the [`Step`], so that a token costs no re-recording.

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
}
