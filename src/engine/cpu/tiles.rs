//! Weights of this engine: in tiles of eight rows. A vector holds the same columns of several rows,
//! one row per lane, so no sum across lanes is ever needed. Scales stay f16: decoding is bound by
//! memory bandwidth.

use half::{bf16, f16};

use crate::format::dequantize_row;
use crate::format::layout::{Layout, Planes, Quantised, Scales};

/// Rows per tile.
pub const ROWS: usize = 8;

/// Four bytes of each of eight rows: rows 0 to 3, then rows 4 to 7.
pub type Words = [[u8; 16]; 2];

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

/// Tiles by layout: (tiles, cols) columns, or the words of quantised layouts.
pub enum Data {
    F32(Vec<Floats>),
    F16(Vec<Halves>),
    Bf16(Vec<Bfloats>),
    /// (tiles, groups of a row, words of a group): the words of both planes of a [`Layout`], those
    /// of the scales plane first. A group that the end of the row cuts has zeros in its place.
    Quantised(Quantised, Vec<Words>),
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
        let tiles = rows.div_ceil(ROWS);
        let columns = tiles * cols;
        let data = match (layout, layout.quantised()) {
            (_, Some(quantised)) => {
                Data::Quantised(quantised, filled(tiles * Group::of(quantised, cols).row, [[0; 16]; 2])?)
            }
            (Layout::F32, _) => Data::F32(filled(columns, Floats([[0.0; 4]; 2]))?),
            (Layout::F16, _) => Data::F16(filled(columns, Halves([[0; 4]; 2]))?),
            (_, None) => Data::Bf16(filled(columns, Bfloats([[0; 4]; 2]))?),
        };
        Some(Self { layout, rows, cols, data, finite: true })
    }

    /// How its rows are stored.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::F32(columns) => size_of_val(columns.as_slice()),
            Data::F16(columns) => size_of_val(columns.as_slice()),
            Data::Bf16(columns) => size_of_val(columns.as_slice()),
            Data::Quantised(_, words) => size_of_val(words.as_slice()),
        }
    }

    /// Writes whole rows, from `first_row` on, from row-major planes.
    pub fn write_rows(&mut self, first_row: usize, planes: &Planes) {
        let cols = self.cols;
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
            Data::Quantised(quantised, words) => write_groups(*quantised, words, cols, first_row, planes),
        };
        self.finite &= finite;
    }

    /// Decodes row `row` to `out`, (cols).
    pub fn dequantize(&self, row: usize, out: &mut [f32]) {
        let (group, lane) = (row % ROWS / 4, row % 4);
        let columns = row / ROWS * self.cols;
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
            Data::Quantised(quantised, words) => read_row(*quantised, words, self.cols, row),
        };
        dequantize_row(self.layout, &planes.quants, &planes.scales, out);
    }
}

/// Words of a group in a quantised layout.
struct Group {
    scales: usize,
    quants: usize,
    /// Of a whole row.
    row: usize,
}

impl Group {
    fn of(quantised: Quantised, cols: usize) -> Self {
        let (scales, quants) = (quantised.scales_bytes() / 4, quantised.quants_bytes() / 4);
        Self { scales, quants, row: cols.div_ceil(quantised.scales.group()) * (scales + quants) }
    }
}

/// For item `i` of a row of `items`: index, half of the tile, lane.
fn place(row: usize, i: usize, items: usize) -> (usize, usize, usize) {
    (row / ROWS * items + i, row % ROWS / 4, row % 4)
}

/// Writes rows of a quantised layout. Returns whether all their scales are finite.
fn write_groups(quantised: Quantised, tiles: &mut [Words], cols: usize, first_row: usize, planes: &Planes) -> bool {
    let Group { scales, quants, row: row_words } = Group::of(quantised, cols);
    let row_quants = (cols * quantised.bits / 32).max(1);
    let row_scales = (row_words / (scales + quants) * scales).max(1);
    let [quants_plane, scales_plane] = [&planes.quants, &planes.scales].map(|plane| plane.as_chunks::<4>().0);
    let rows = quants_plane.chunks_exact(row_quants).zip(scales_plane.chunks_exact(row_scales));
    let mut finite = true;
    for (row, (row_quants, row_scales)) in (first_row..).zip(rows) {
        let (first, group, lane) = place(row, 0, row_words);
        let tiles = tiles[first..][..row_words].chunks_exact_mut(scales + quants);
        for ((tile, from_quants), from_scales) in
            tiles.zip(row_quants.chunks(quants)).zip(row_scales.chunks_exact(scales))
        {
            let (into_scales, into_quants) = tile.split_at_mut(scales);
            let words = into_scales.iter_mut().zip(from_scales).chain(into_quants.iter_mut().zip(from_quants));
            words.for_each(|(words, word)| words[group].as_chunks_mut::<4>().0[lane] = *word);
            finite &= matches!(quantised.scales, Scales::Bfloats | Scales::Minifloats) || all_finite(&from_scales[0]);
        }
    }
    finite
}

/// The planes of a row.
fn read_row(quantised: Quantised, tiles: &[Words], cols: usize, row: usize) -> Planes {
    let Group { scales, quants, row: row_words } = Group::of(quantised, cols);
    let (first, group, lane) = place(row, 0, row_words);
    let word = |words: &Words| words[group].as_chunks::<4>().0[lane];
    let tiles = || tiles[first..][..row_words].chunks_exact(scales + quants);
    let mut planes = Planes {
        quants: tiles().flat_map(|tile| tile[scales..].iter().flat_map(word)).collect(),
        scales: tiles().flat_map(|tile| tile[..scales].iter().flat_map(word)).collect(),
    };
    planes.quants.truncate(cols * quantised.bits / 8);
    planes
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
