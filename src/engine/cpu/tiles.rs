//! How this engine holds weights: in tiles of eight rows, so that a vector holds the same columns of several rows, a lane
//! a row, and no sum ever has to be taken across lanes. Scales stay halves: decoding is bound by the memory that it reads.

use half::{bf16, f16};

use crate::format::layout::{BLOCK, Layout, Planes};

/// Rows of a tile.
pub const ROWS: usize = 8;

/// 32 columns of eight rows of 4-bit weights, d · q + m.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NibbleBlock {
    /// Vector j (0 to 3) has rows 0 to 3, vector 4 + j rows 4 to 7: four bytes of each, columns 4 j .. 4 j + 4 in the low
    /// nibbles, 16 + 4 j .. in the high ones.
    pub quants: [[u8; 16]; 8],
    /// d of the rows, f16
    pub scales: Column<u16>,
    /// m of the rows, f16
    pub mins: Column<u16>,
}

/// 32 columns of eight rows of 8-bit weights, d · q + m.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ByteBlock {
    /// Vector j (0 to 7) has rows 0 to 3, vector 8 + j rows 4 to 7: columns 4 j .. 4 j + 4 of each.
    pub quants: [[i8; 16]; 16],
    /// d of the rows, f16
    pub scales: Column<u16>,
    /// m of the rows, f16
    pub mins: Column<u16>,
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

/// A weight matrix of shape (rows, cols). The last tile may have rows of zeros at its end.
pub struct Tiles {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// The tiles in order.
    pub data: Data,
    /// Whether all halves, be they weights or scales, are numbers. Kernels widen them in a way that takes an infinity for a number.
    pub finite: bool,
}

/// Tiles by layout: (tiles, cols / 32) blocks, or (tiles, cols) columns.
pub enum Data {
    F32(Vec<Floats>),
    F16(Vec<Halves>),
    Bf16(Vec<Bfloats>),
    Q4(Vec<NibbleBlock>),
    Q8(Vec<ByteBlock>),
}

const NO_NIBBLES: NibbleBlock = NibbleBlock { quants: [[0; 16]; 8], scales: [[0; 4]; 2], mins: [[0; 4]; 2] };
const NO_BYTES: ByteBlock = ByteBlock { quants: [[0; 16]; 16], scales: [[0; 4]; 2], mins: [[0; 4]; 2] };

impl Tiles {
    /// A matrix of zeros. Its memory is `Data`'s; `None` where there is not enough.
    pub fn new(layout: Layout, rows: usize, cols: usize) -> Option<Self> {
        fn filled<T: Clone>(len: usize, value: T) -> Option<Vec<T>> {
            let mut items = Vec::new();
            items.try_reserve_exact(len).ok()?;
            items.resize(len, value);
            Some(items)
        }
        let tiles = rows.div_ceil(ROWS);
        let (columns, blocks) = (tiles * cols, tiles * (cols / BLOCK));
        let data = match layout {
            Layout::F32 => Data::F32(filled(columns, Floats([[0.0; 4]; 2]))?),
            Layout::F16 => Data::F16(filled(columns, Halves([[0; 4]; 2]))?),
            Layout::Bf16 => Data::Bf16(filled(columns, Bfloats([[0; 4]; 2]))?),
            Layout::Q4 => Data::Q4(filled(blocks, NO_NIBBLES)?),
            Layout::Q8 => Data::Q8(filled(blocks, NO_BYTES)?),
        };
        Some(Self { rows, cols, data, finite: true })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::F32(columns) => size_of_val(columns.as_slice()),
            Data::F16(columns) => size_of_val(columns.as_slice()),
            Data::Bf16(columns) => size_of_val(columns.as_slice()),
            Data::Q4(blocks) => size_of_val(blocks.as_slice()),
            Data::Q8(blocks) => size_of_val(blocks.as_slice()),
        }
    }

    /// Takes whole rows, from `first_row` on, out of row-major planes.
    pub fn write_rows(&mut self, first_row: usize, planes: &Planes) {
        let cols = self.cols;
        match &mut self.data {
            Data::F32(columns) => write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                columns[at].0[group][lane] = f32::from_le_bytes(bytes);
            }),
            Data::F16(columns) => {
                write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                    columns[at].0[group][lane] = u16::from_le_bytes(bytes);
                });
                self.finite &= all_finite(&planes.quants);
            }
            Data::Bf16(columns) => write_columns(cols, first_row, &planes.quants, |at, group, lane, bytes| {
                columns[at].0[group][lane] = u16::from_le_bytes(bytes);
            }),
            Data::Q4(tiles) => {
                let blocks = planes.quants.as_chunks::<16>().0.iter().zip(planes.scales.as_chunks::<4>().0);
                for (i, (quants, scale)) in blocks.enumerate() {
                    let (at, group, lane) = place(first_row + i / (cols / BLOCK), i % (cols / BLOCK), cols / BLOCK);
                    let block = &mut tiles[at];
                    for (j, word) in quants.as_chunks::<4>().0.iter().enumerate() {
                        block.quants[4 * group + j][4 * lane..][..4].copy_from_slice(word);
                    }
                    let [d0, d1, m0, m1] = *scale;
                    block.scales[group][lane] = u16::from_le_bytes([d0, d1]);
                    block.mins[group][lane] = u16::from_le_bytes([m0, m1]);
                }
                self.finite &= all_finite(&planes.scales);
            }
            Data::Q8(tiles) => {
                let blocks = planes.quants.as_chunks::<BLOCK>().0.iter().zip(planes.scales.as_chunks::<4>().0);
                for (i, (quants, scale)) in blocks.enumerate() {
                    let (at, group, lane) = place(first_row + i / (cols / BLOCK), i % (cols / BLOCK), cols / BLOCK);
                    let block = &mut tiles[at];
                    for (j, word) in quants.as_chunks::<4>().0.iter().enumerate() {
                        let word = word.map(u8::cast_signed);
                        block.quants[8 * group + j][4 * lane..][..4].copy_from_slice(&word);
                    }
                    let [d0, d1, m0, m1] = *scale;
                    block.scales[group][lane] = u16::from_le_bytes([d0, d1]);
                    block.mins[group][lane] = u16::from_le_bytes([m0, m1]);
                }
                self.finite &= all_finite(&planes.scales);
            }
        }
    }

    /// Writes row `row` as f32 to `out` of length `cols`.
    pub fn dequantize(&self, row: usize, out: &mut [f32]) {
        let (group, lane) = (row % ROWS / 4, row % 4);
        let columns = row / ROWS * self.cols;
        let blocks = row / ROWS * (self.cols / BLOCK);
        match &self.data {
            Data::F32(data) => {
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = column.0[group][lane]);
            }
            Data::F16(data) => {
                let value = |column: &Halves| f16::from_bits(column.0[group][lane]).to_f32();
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = value(column));
            }
            Data::Bf16(data) => {
                let value = |column: &Bfloats| bf16::from_bits(column.0[group][lane]).to_f32();
                out.iter_mut().zip(&data[columns..]).for_each(|(out, column)| *out = value(column));
            }
            Data::Q4(data) => {
                for (out, block) in out.chunks_exact_mut(BLOCK).zip(&data[blocks..]) {
                    let [d, m] = [block.scales, block.mins].map(|halves| f16::from_bits(halves[group][lane]).to_f32());
                    for k in 0..BLOCK / 2 {
                        let byte = block.quants[4 * group + k / 4][4 * lane + k % 4];
                        out[k] = d * f32::from(byte & 15) + m;
                        out[k + 16] = d * f32::from(byte >> 4) + m;
                    }
                }
            }
            Data::Q8(data) => {
                for (out, block) in out.chunks_exact_mut(BLOCK).zip(&data[blocks..]) {
                    let [d, m] = [block.scales, block.mins].map(|halves| f16::from_bits(halves[group][lane]).to_f32());
                    for (k, out) in out.iter_mut().enumerate() {
                        *out = d * f32::from(block.quants[8 * group + k / 4][4 * lane + k % 4]) + m;
                    }
                }
            }
        }
    }
}

/// Index, group of four and lane of item `i` of a row that has `items` of them.
fn place(row: usize, i: usize, items: usize) -> (usize, usize, usize) {
    (row / ROWS * items + i, row % ROWS / 4, row % 4)
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

/// Whether none of these halves is an infinity or NaN.
fn all_finite(halves: &[u8]) -> bool {
    halves.as_chunks().0.iter().all(|bytes| f16::from_le_bytes(*bytes).is_finite())
}
