//! Dispatches for a GPU and weights for a host, independent of any engine.

use crate::format::{Layout, dequantize_row};
use crate::record::{BufferId, Matrix, Tensor};

/// One GPU dispatch as plain data.
///
/// Bind group 0 is the same in every shader: binding 0 the uniform `Step`
/// (shaders/shared/step.wgsl), binding 1 the uniform `Params` made of `params`, then the storage
/// buffers, see [`Kernel::slots`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Name of the file in `shaders/`, without extension.
    pub shader: &'static str,
    /// Names that are defined for `#ifdef`.
    pub defines: Vec<&'static str>,
    /// Constants compiled into the shader, as `const NAME = valueu;`. Each set of values is a
    /// pipeline of its own, so they are for values shared by many dispatches: shapes of weights,
    /// sizes of a variant.
    pub constants: Vec<(&'static str, u32)>,
    /// Storage buffers.
    pub bindings: Vec<Binding>,
    /// The words of the uniform `Params`, in order; floats as their bits. The first is the capacity
    /// in rows.
    pub params: Vec<u32>,
    /// Size of the grid for the recording's whole capacity. Invocations past the rows of a step
    /// return at once.
    pub workgroups: [u32; 3],
    /// A dimension of the grid that is as long as the step needs instead, and the positions that a
    /// workgroup takes along it, of those that the rows of the step see.
    pub pieces: Option<(usize, usize)>,
}

/// Binding of a matrix's quants plane in every shader: fixed, so that the snippet of a layout can
/// declare it.
const QUANTS_SLOT: u32 = 8;
/// Binding of a matrix's scales plane in every shader.
const SCALES_SLOT: u32 = 9;

impl Kernel {
    /// The grid for a step whose longest sequence has `reach` positions.
    pub fn grid(&self, reach: usize) -> [u32; 3] {
        let mut workgroups = self.workgroups;
        if let Some((dimension, positions)) = self.pieces {
            workgroups[dimension] = reach.div_ceil(positions) as u32;
        }
        workgroups
    }

    /// The storage buffers with their binding numbers: planes at 8 and 9, the others in order from
    /// 2.
    pub fn slots(&self) -> impl Iterator<Item = (u32, Binding)> {
        let mut next = 2..QUANTS_SLOT;
        self.bindings.iter().filter_map(move |&binding| {
            let slot = match binding {
                Binding::Quants(_) => QUANTS_SLOT,
                Binding::Scales(_) => SCALES_SLOT,
                Binding::Values(_) | Binding::Pieces { .. } | Binding::Rows | Binding::Tables => next.next()?,
            };
            Some((slot, binding))
        })
    }
}

/// A storage buffer of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// An f32 buffer.
    Values(BufferId),
    /// The quants plane of a matrix.
    Quants(BufferId),
    /// The scales plane of a matrix.
    Scales(BufferId),
    /// The rows of the step (shaders/shared/rows.wgsl).
    Rows,
    /// The length and the block table of each sequence of the step (shaders/shared/rows.wgsl).
    Tables,
    /// Values that pass from one dispatch of an operation to the next: `len` for each piece of
    /// `positions` that the rows of a step see.
    Pieces {
        /// Values of a piece.
        len: usize,
        /// Positions of a piece.
        positions: usize,
    },
}

impl From<Tensor> for Binding {
    fn from(tensor: Tensor) -> Self {
        Self::Values(tensor.buffer)
    }
}

impl Matrix {
    /// The planes as bindings; a layout without scales has only the quants plane.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let quants = Binding::Quants(self.buffer);
        match self.layout.quantised() {
            Some(_) => vec![quants, Binding::Scales(self.buffer)],
            None => vec![quants],
        }
    }

    /// The constants of every shader that reads a matrix with `row_tile` interleaved rows.
    pub(crate) fn constants(&self, row_tile: usize) -> Vec<(&'static str, u32)> {
        let rows = self.rows.next_multiple_of(row_tile);
        vec![("COLS", self.cols as u32), ("WEIGHT_ROWS", rows as u32), ("ROW_TILE", row_tile as u32)]
    }

    /// The columns of a matrix are a multiple of this: a group, or the four that kernels read at
    /// once.
    pub(crate) fn row_unit(&self) -> usize {
        self.layout.quantised().map_or(4, |quantised| quantised.group)
    }

    /// The define that selects the snippets of this layout.
    pub(crate) fn define(&self) -> &'static str {
        self.layout.name()
    }
}

/// A weight matrix in host memory: shape (rows, cols), both planes row-major.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a> {
    /// How rows are stored.
    pub layout: Layout,
    /// Columns.
    pub cols: usize,
    /// The quants plane.
    pub quants: &'a [u8],
    /// The scales plane; empty for layouts without one.
    pub scales: &'a [u8],
}

impl MatrixView<'_> {
    /// Writes row `row` as f32 to `out` of length `cols`.
    pub fn dequantize(&self, row: usize, out: &mut [f32]) {
        let (q, s) = (self.layout.quants_row_bytes(self.cols), self.layout.scales_row_bytes(self.cols));
        dequantize_row(self.layout, &self.quants[row * q..][..q], &self.scales[row * s..][..s], out);
    }
}

/// Number of groups of `size` that cover `count`, as a grid dimension.
pub fn ceil_div(count: usize, size: usize) -> u32 {
    count.div_ceil(size) as u32
}
