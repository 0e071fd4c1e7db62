//! Dispatches for a GPU and weights for a host, independent of any engine.

use crate::format::layout::{GRANULE, Quantised};
use crate::format::{Layout, dequantize_row};
use crate::record::{BufferId, KV_BLOCK, KvCache, Matrix, Tensor};

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
    /// pipeline of its own, which takes a browser up to a second to compile: so they are for what
    /// decides on workgroup memory and loops in registers, and sizes of matrices are `params`.
    pub constants: Vec<(&'static str, u32)>,
    /// Storage buffers.
    pub bindings: Vec<Binding>,
    /// The words of the uniform `Params`, in order; floats as their bits. The first is the capacity
    /// in rows.
    pub params: Vec<u32>,
    /// Size of the grid for the recording's whole capacity. Invocations of a workgroup past the
    /// rows of a step return at once.
    pub workgroups: [u32; 3],
    /// The dimension of the grid that is only as long as the step has rows.
    pub rows: RowGrid,
    /// The dimension of the grid that is as long as the step needs instead.
    pub pieces: Option<PieceGrid>,
}

/// A dimension of the grid along the rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowGrid {
    /// Which of the three.
    pub dimension: usize,
    /// Rows of a workgroup.
    pub each: usize,
}

impl RowGrid {
    /// A row a workgroup, along this dimension.
    pub const fn along(dimension: usize) -> Self {
        Self { dimension, each: 1 }
    }
}

/// A dimension of the grid along the pieces of what a row sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceGrid {
    /// Which of the three.
    pub dimension: usize,
    /// Pieces of a workgroup.
    pub each: usize,
    /// The pieces.
    pub pieces: Pieces,
}

/// How the positions that a row sees are cut into pieces (shaders/shared/pieces.wgsl): the more
/// there are the longer the pieces, so that their number is bounded. A row's pieces are the same
/// whatever other rows a step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Positions of the shortest pieces. Longer ones are multiples of it.
    pub shortest: usize,
    /// Largest number of pieces.
    pub most: usize,
    /// Positions that a row sees at most; `None`: all.
    pub window: Option<usize>,
}

impl Pieces {
    /// Most pieces of a row in a step whose longest sequence has `reach` positions.
    pub fn count(self, reach: usize) -> usize {
        self.span(reach).div_ceil(self.shortest).min(self.most)
    }

    /// Most positions from the first piece's begin to `end`, that of what a row sees.
    fn span(self, end: usize) -> usize {
        // the first piece begins with a block
        self.window.map_or(end, |window| end.min(window + KV_BLOCK))
    }

    /// Positions of a piece of a row that sees those before `end`.
    pub fn length(self, end: usize) -> usize {
        self.span(end).div_ceil(self.most).next_multiple_of(self.shortest).max(self.shortest)
    }
}

/// Binding of a matrix's quants plane in every shader: fixed, so that the snippet of a layout can
/// declare it. The scales plane follows, then the planes of a second matrix.
const QUANTS_SLOT: u32 = 8;

impl Kernel {
    /// The grid for a step of so many rows whose longest sequence has `reach` positions.
    pub fn grid(&self, rows: usize, reach: usize) -> [u32; 3] {
        let mut workgroups = self.workgroups;
        let RowGrid { dimension, each } = self.rows;
        workgroups[dimension] = workgroups[dimension].min(ceil_div(rows, each));
        if let Some(PieceGrid { dimension, each, pieces }) = self.pieces {
            workgroups[dimension] = ceil_div(pieces.count(reach), each);
        }
        workgroups
    }

    /// The storage buffers with their binding numbers: planes in order from 8, the others from 2,
    /// of which there are at most six beside planes.
    pub fn slots(&self) -> impl Iterator<Item = (u32, Binding)> {
        let (mut next, mut next_plane) = (2.., QUANTS_SLOT..);
        self.bindings.iter().filter_map(move |&binding| {
            let slot = match binding {
                Binding::Quants(_) | Binding::Scales(_) => next_plane.next()?,
                Binding::Values(_)
                | Binding::KeysValues { .. }
                | Binding::States(_)
                | Binding::Pieces { .. }
                | Binding::Intermediate { .. }
                | Binding::Rows
                | Binding::Tables => next.next()?,
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
    /// A part of a KV cache.
    KeysValues {
        /// The KV cache.
        buffer: BufferId,
        /// Below [`KvCache::parts`].
        part: usize,
    },
    /// The slots of recurrent states.
    States(BufferId),
    /// The quants plane of a matrix.
    Quants(BufferId),
    /// The scales plane of a matrix.
    Scales(BufferId),
    /// The rows of the step (shaders/shared/rows.wgsl).
    Rows,
    /// The length and the block table of each sequence of the step (shaders/shared/rows.wgsl).
    Tables,
    /// Values that pass from one dispatch of an operation to the next: `len` for each piece.
    Pieces {
        /// Values of a piece.
        len: usize,
        /// The pieces.
        pieces: Pieces,
    },
    /// The same for an operation without pieces.
    Intermediate {
        /// Words of u32.
        words: usize,
    },
}

impl From<Tensor> for Binding {
    fn from(tensor: Tensor) -> Self {
        Self::Values(tensor.buffer)
    }
}

impl KvCache {
    /// A part as a binding.
    pub(crate) fn part(&self, part: usize) -> Binding {
        Binding::KeysValues { buffer: self.buffer, part }
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

    /// The lengths of the arrays of both planes, as constants of a shader, with `row_tile`
    /// interleaved rows. None where a plane begins with the vectors of its layout.
    pub(crate) fn lengths(&self, row_tile: usize) -> Vec<(&'static str, u32)> {
        let Self { layout, rows, cols, .. } = *self;
        let rows = rows.next_multiple_of(row_tile);
        let granules = rows * layout.quants_row_bytes(cols).div_ceil(GRANULE);
        let words = rows * layout.scales_row_bytes(cols) / size_of::<u32>();
        let all = [("QUANTS_LENGTH", granules as u32), ("SCALES_LENGTH", words as u32)];
        let has_vectors = layout.quantised().and_then(Quantised::code).is_some();
        all.into_iter().filter(|&(_, length)| length > 0 && !has_vectors).collect()
    }

    /// The columns of a matrix are a multiple of this: the layout's unit, or the four that kernels
    /// read at once.
    pub(crate) fn row_unit(&self) -> usize {
        self.layout.quantised().map_or(4, Quantised::unit)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_as_long_as_the_step() {
        let kernel = |rows| Kernel {
            shader: "test",
            defines: vec![],
            constants: vec![],
            bindings: vec![],
            params: vec![512],
            workgroups: [7, 16, 1],
            rows,
            pieces: None,
        };
        let tiles = kernel(RowGrid { dimension: 1, each: 32 });
        assert_eq!([1, 32, 33, 512, 600].map(|rows| tiles.grid(rows, 9)[1]), [1, 1, 2, 16, 16]);
        assert_eq!(tiles.grid(40, 9), [7, 2, 1]);
        // an operation over one row runs once
        assert_eq!(kernel(RowGrid::along(2)).grid(40, 9), [7, 16, 1]);
    }

    #[test]
    fn pieces_grow_so_that_they_stay_few() {
        let pieces = |shortest, window| Pieces { shortest, most: 64, window };
        assert_eq!([1, 64, 65, 4096, 4097].map(|reach| pieces(64, None).count(reach)), [1, 1, 2, 64, 64]);
        assert_eq!([1, 16, 17, 1024, 1025].map(|reach| pieces(16, None).count(reach)), [1, 1, 2, 64, 64]);
        assert_eq!([1, 4096, 4097, 8192, 8193].map(|end| pieces(64, None).length(end)), [64, 64, 128, 128, 192]);
        let mut most = 0;
        for reach in 1..20_000_usize {
            let pieces = pieces(64, None);
            // of this row or an earlier one
            most = most.max(reach.div_ceil(pieces.length(reach)));
            assert_eq!(pieces.count(reach), most, "{reach}");
        }
        // a window reaches into a block before it
        assert_eq!([100, 4096, 100_000].map(|reach| pieces(64, Some(512)).count(reach)), [2, 9, 9]);
    }
}
