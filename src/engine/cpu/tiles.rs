//! Weights of this engine: in tiles of eight rows. A vector holds the same columns of several rows,
//! one row per lane, so no sum across lanes is ever needed. Scales stay f16: decoding is bound by
//! memory bandwidth.

use half::{bf16, f16};

use crate::format::layout::{Layout, Planes, Quantised, dequantize_row};

/// Rows per tile.
pub const ROWS: usize = 8;

/// Four bytes of each of eight rows: rows 0 to 3, then rows 4 to 7.
pub type Words = [[u8; 16]; 2];

/// A group of eight rows, in 32-bit words of both planes of a [`Layout`]: S of scales and Q of
/// quants.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Group<const S: usize, const Q: usize> {
    /// The u32 with d and m, then in layouts with two levels the pairs of factors.
    pub scales: [Words; S],
    /// Nibbles: word j of a block has columns 4 j .. 4 j + 4 in its low halves and 16 + 4 j .. in
    /// its high halves. Bytes: word j has columns 4 j .. 4 j + 4. Six bits: four words of nibbles
    /// for each of two blocks, then two words of upper bits for each.
    pub quants: [Words; Q],
}

/// One value of each of eight rows.
pub type Column<T> = [[T; 4]; 2];

/// A column of f32 weights.
#[derive(Clone, Copy)]
pub struct Floats(pub Column<f32>);

/// A column of f16 weights.
#[derive(Clone, Copy)]
pub struct Halves(pub Column<u16>);

/// A column of bf16 weights.
#[derive(Clone, Copy)]
pub struct Bfloats(pub Column<u16>);

/// A weight matrix of shape (rows, cols). The last tile may end with rows of zeros.
pub struct Tiles {
    layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// The tiles in order.
    pub data: Data,
    /// Whether all f16 values, weights or scales, are finite. Kernels widen f16 in a way that turns
    /// an infinity into a finite number.
    pub finite: bool,
}

/// Tiles by layout: (tiles, groups of a row), or (tiles, cols) columns.
pub enum Data {
    F32(Vec<Floats>),
    F16(Vec<Halves>),
    Bf16(Vec<Bfloats>),
    Q4(Vec<Group<1, 4>>),
    Q8(Vec<Group<1, 8>>),
    Q4K32(Vec<Group<5, 32>>),
    Q4K16(Vec<Group<9, 32>>),
    Q6K16(Vec<Group<9, 48>>),
    Q8K16(Vec<Group<9, 64>>),
}

impl Tiles {
    /// A matrix of zeros; `None` if there is not enough memory.
    pub fn new(layout: Layout, rows: usize, cols: usize) -> Option<Self> {
        fn filled<T: Clone>(len: usize, value: T) -> Option<Vec<T>> {
            let mut items = Vec::new();
            items.try_reserve_exact(len).ok()?;
            items.resize(len, value);
            Some(items)
        }
        fn zeros<const S: usize, const Q: usize>(len: usize) -> Option<Vec<Group<S, Q>>> {
            filled(len, Group { scales: [[[0; 16]; 2]; S], quants: [[[0; 16]; 2]; Q] })
        }
        let tiles = rows.div_ceil(ROWS);
        let columns = tiles * cols;
        let groups = tiles * groups(layout, cols);
        let data = match layout {
            Layout::F32 => Data::F32(filled(columns, Floats([[0.0; 4]; 2]))?),
            Layout::F16 => Data::F16(filled(columns, Halves([[0; 4]; 2]))?),
            Layout::Bf16 => Data::Bf16(filled(columns, Bfloats([[0; 4]; 2]))?),
            Layout::Q4 => Data::Q4(zeros(groups)?),
            Layout::Q8 => Data::Q8(zeros(groups)?),
            Layout::Q4K32 => Data::Q4K32(zeros(groups)?),
            Layout::Q4K16 => Data::Q4K16(zeros(groups)?),
            Layout::Q6K16 => Data::Q6K16(zeros(groups)?),
            Layout::Q8K16 => Data::Q8K16(zeros(groups)?),
        };
        Some(Self { layout, rows, cols, data, finite: true })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        let row_bytes = self.layout.quants_row_bytes(self.cols) + self.layout.scales_row_bytes(self.cols);
        self.rows.next_multiple_of(ROWS) * row_bytes
    }

    /// Writes whole rows, from `first_row` on, from row-major planes.
    pub fn write_rows(&mut self, first_row: usize, planes: &Planes) {
        let cols = self.cols;
        let per_row = groups(self.layout, cols);
        let finite = match &mut self.data {
            Data::F32(columns) => {
                write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                    columns[at].0[group][lane] = f32::from_le_bytes(bytes);
                });
                true
            }
            Data::F16(columns) => {
                write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                    columns[at].0[group][lane] = u16::from_le_bytes(bytes);
                });
                all_finite(&planes.quants)
            }
            Data::Bf16(columns) => {
                write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                    columns[at].0[group][lane] = u16::from_le_bytes(bytes);
                });
                true
            }
            Data::Q4(tiles) => write_groups(tiles, per_row, first_row, planes),
            Data::Q8(tiles) => write_groups(tiles, per_row, first_row, planes),
            Data::Q4K32(tiles) => write_groups(tiles, per_row, first_row, planes),
            Data::Q4K16(tiles) => write_groups(tiles, per_row, first_row, planes),
            Data::Q6K16(tiles) => write_groups(tiles, per_row, first_row, planes),
            Data::Q8K16(tiles) => write_groups(tiles, per_row, first_row, planes),
        };
        self.finite &= finite;
    }

    /// Decodes row `row` to `out`, (cols).
    pub fn dequantize(&self, row: usize, out: &mut [f32]) {
        let (group, lane) = (row % ROWS / 4, row % 4);
        let columns = row / ROWS * self.cols;
        let per_row = groups(self.layout, self.cols);
        let planes = match &self.data {
            Data::F32(data) => {
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = column.0[group][lane]);
                return;
            }
            Data::F16(data) => {
                let value = |column: &Halves| f16::from_bits(column.0[group][lane]).to_f32();
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = value(column));
                return;
            }
            Data::Bf16(data) => {
                let value = |column: &Bfloats| bf16::from_bits(column.0[group][lane]).to_f32();
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = value(column));
                return;
            }
            Data::Q4(tiles) => read_row(tiles, per_row, row),
            Data::Q8(tiles) => read_row(tiles, per_row, row),
            Data::Q4K32(tiles) => read_row(tiles, per_row, row),
            Data::Q4K16(tiles) => read_row(tiles, per_row, row),
            Data::Q6K16(tiles) => read_row(tiles, per_row, row),
            Data::Q8K16(tiles) => read_row(tiles, per_row, row),
        };
        dequantize_row(self.layout, &planes.quants, &planes.scales, out);
    }
}

/// Groups per row; 0 for layouts without groups.
fn groups(layout: Layout, cols: usize) -> usize {
    layout.quantised().map_or(0, |Quantised { group, .. }| cols / group)
}

/// For item `i` of a row of `items`: index, half of the tile, lane.
fn place(row: usize, i: usize, items: usize) -> (usize, usize, usize) {
    (row / ROWS * items + i, row % ROWS / 4, row % 4)
}

/// Writes rows of `per_row` groups each. Returns whether all their scales are finite.
fn write_groups<const S: usize, const Q: usize>(
    tiles: &mut [Group<S, Q>],
    per_row: usize,
    first_row: usize,
    planes: &Planes,
) -> bool {
    let [quants, scales] = [&planes.quants, &planes.scales].map(|plane| plane.as_chunks::<4>().0);
    let mut finite = true;
    for (i, (quants, scales)) in quants.chunks_exact(Q).zip(scales.chunks_exact(S)).enumerate() {
        let (at, group, lane) = place(first_row + i / per_row, i % per_row, per_row);
        let tile = &mut tiles[at];
        let into = tile.quants.iter_mut().chain(&mut tile.scales);
        for (words, word) in into.zip(quants.iter().chain(scales)) {
            words[group].as_chunks_mut::<4>().0[lane] = *word;
        }
        finite &= all_finite(&scales[0]);
    }
    finite
}

/// The planes of a row.
fn read_row<const S: usize, const Q: usize>(tiles: &[Group<S, Q>], per_row: usize, row: usize) -> Planes {
    let (first, group, lane) = place(row, 0, per_row);
    let word = |words: &Words| words[group].as_chunks::<4>().0[lane];
    let tiles = &tiles[first..][..per_row];
    Planes {
        quants: tiles.iter().flat_map(|tile| tile.quants.iter().flat_map(word)).collect(),
        scales: tiles.iter().flat_map(|tile| tile.scales.iter().flat_map(word)).collect(),
    }
}

/// Calls `write` with the place and bytes of each value of rows from `first_row` on.
fn write_columns<const N: usize>(
    cols: usize,
    first_row: usize,
    bytes: &[u8],
    mut write: impl FnMut(usize, usize, usize, [u8; N]),
) {
    for (i, bytes) in bytes.as_chunks::<N>().0.iter().enumerate() {
        let (at, group, lane) = place(first_row + i / cols, i % cols, cols);
        write(at, group, lane, *bytes);
    }
}

/// Whether all these f16 values are finite.
fn all_finite(halves: &[u8]) -> bool {
    halves.as_chunks().0.iter().all(|bytes| f16::from_le_bytes(*bytes).is_finite())
}
