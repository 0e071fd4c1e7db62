//! The layout of weights in GPU memory: tiles of interleaved rows, as `shaders/shared/weight.wgsl`
//! reads them.
//!
//! Rows arrive in order, in calls that may end anywhere. A tile is written when its last row has
//! arrived, so that every upload is contiguous. Only tiles that a call has split wait meanwhile.

use std::collections::HashMap;

use crate::Result;
use crate::format::codes::Code;
use crate::format::layout::{GRANULE, Quantised};
use crate::format::{BlockType, Layout, Planes, repack};
use crate::record::{BufferId, Matrix};

/// Bytes of the scales plane that stay together: a scale and its minimum, or two pairs of their
/// factors.
const SCALE: usize = 4;

/// Bytes of the two planes of a matrix. Rows are padded to whole granules, and the last tile to
/// whole rows.
pub(super) fn plane_bytes(layout: Layout, rows: usize, cols: usize, row_tile: usize) -> (u64, u64) {
    let rows = rows.next_multiple_of(row_tile) as u64;
    let scales = rows * layout.scales_row_bytes(cols) as u64;
    (rows * quants_row_bytes(layout, cols) as u64, scales + book(layout).len() as u64)
}

/// What is in front of the scales: the vectors of layouts whose quants are indices of some.
fn book(layout: Layout) -> &'static [u8] {
    layout.quantised().and_then(Quantised::code).map_or(&[], Code::book)
}

fn quants_row_bytes(layout: Layout, cols: usize) -> usize {
    layout.quants_row_bytes(cols).next_multiple_of(GRANULE)
}

/// Weights on their way from a file to the GPU.
#[derive(Default)]
pub(super) struct Uploads {
    /// Repacked rows.
    planes: Planes,
    tiler: Tiler,
}

impl Uploads {
    /// Repacks rows of `matrix`, each row once, and gives what they complete to `write`: a plane, a
    /// place in it, and bytes.
    pub fn add(
        &mut self,
        matrix: &Matrix,
        row_tile: usize,
        first_row: usize,
        (block, rows): (BlockType, &[u8]),
        mut write: impl FnMut(usize, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.planes.clear();
        repack(block, matrix.cols, rows, &mut self.planes);
        for Run { first_tile, planes } in self.tiler.add(matrix, row_tile, first_row, &self.planes) {
            let (quants, scales) = plane_bytes(matrix.layout, first_tile * row_tile, matrix.cols, row_tile);
            let book = book(matrix.layout);
            if first_tile == 0 && !book.is_empty() {
                write(1, 0, book)?;
            }
            write(0, quants, &planes.quants)?;
            if !planes.scales.is_empty() {
                write(1, scales, &planes.scales)?;
            }
        }
        Ok(())
    }
}

/// Puts rows into tiles.
#[derive(Default)]
struct Tiler {
    /// Incomplete tiles, by matrix and index.
    waiting: HashMap<(BufferId, usize), Tile>,
}

#[derive(Default)]
struct Tile {
    planes: Planes,
    /// Number of rows that have arrived.
    rows: usize,
}

/// Consecutive tiles, ready to be written.
struct Run {
    /// Index of the first tile.
    pub first_tile: usize,
    pub planes: Planes,
}

impl Tiler {
    /// Takes rows of `matrix`, each row once. Returns the tiles of `row_tile` rows that they
    /// complete.
    pub fn add(&mut self, matrix: &Matrix, row_tile: usize, first_row: usize, rows: &Planes) -> Vec<Run> {
        let row_bytes = matrix.layout.quants_row_bytes(matrix.cols);
        let padded_bytes = quants_row_bytes(matrix.layout, matrix.cols);
        let scales_bytes = matrix.layout.scales_row_bytes(matrix.cols);
        let mut runs: Vec<Run> = Vec::new();
        let mut padded = vec![0; padded_bytes];
        for (i, quants) in rows.quants.chunks_exact(row_bytes).enumerate() {
            let row = first_row + i;
            let number = row / row_tile;
            let tile = self.waiting.entry((matrix.buffer, number)).or_default();
            padded[..row_bytes].copy_from_slice(quants);
            self::place(&mut tile.planes.quants, &padded, GRANULE, row % row_tile, row_tile);
            if !rows.scales.is_empty() {
                let scales = &rows.scales[i * scales_bytes..][..scales_bytes];
                self::place(&mut tile.planes.scales, scales, SCALE, row % row_tile, row_tile);
            }
            tile.rows += 1;
            if tile.rows < row_tile.min(matrix.rows - number * row_tile) {
                continue;
            }
            let Some(Tile { planes, .. }) = self.waiting.remove(&(matrix.buffer, number)) else { continue };
            let tile_bytes = planes.quants.len();
            match runs.last_mut() {
                Some(run) if run.first_tile + run.planes.quants.len() / tile_bytes == number => {
                    run.planes.quants.extend(planes.quants);
                    run.planes.scales.extend(planes.scales);
                }
                _ => runs.push(Run { first_tile: number, planes }),
            }
        }
        runs
    }
}

/// Writes the granules of a row into its tile.
fn place(tile: &mut Vec<u8>, row: &[u8], granule: usize, row_in_tile: usize, row_tile: usize) {
    tile.resize(row.len() * row_tile, 0);
    for (i, bytes) in row.chunks_exact(granule).enumerate() {
        tile[(i * row_tile + row_in_tile) * granule..][..granule].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a matrix in which neighbouring bytes differ.
    fn planes(rows: std::ops::Range<usize>, matrix: &Matrix) -> Planes {
        let (quants, scales) =
            (matrix.layout.quants_row_bytes(matrix.cols), matrix.layout.scales_row_bytes(matrix.cols));
        let bytes = |row_bytes| rows.clone().flat_map(move |row| (0..row_bytes).map(move |i| (row * 37 + i * 5) as u8));
        Planes { quants: bytes(quants).collect(), scales: bytes(scales).collect() }
    }

    #[test]
    fn a_granule_is_where_the_shaders_look_for_it() {
        for (layout, cols, rows, row_tile) in [
            (Layout::Q4, 96, 37, 8),
            (Layout::Q8, 64, 16, 8),
            (Layout::Q6K16, 512, 9, 8),
            (Layout::Mx4, 96, 9, 8),
            (Layout::F16, 36, 5, 1),
            (Layout::F32, 4, 7, 32),
        ] {
            let matrix = Matrix { buffer: BufferId(0), layout, rows, cols };
            let (quants_bytes, scales_bytes) = plane_bytes(layout, rows, cols, row_tile);
            let mut memory = Planes { quants: vec![0; quants_bytes as usize], scales: vec![0; scales_bytes as usize] };
            let mut tiler = Tiler::default();
            // the second half first, split inside a tile
            for part in [rows / 2..rows, 0..rows / 2] {
                for run in tiler.add(&matrix, row_tile, part.start, &planes(part.clone(), &matrix)) {
                    let granules = quants_row_bytes(layout, cols) / GRANULE;
                    let start = run.first_tile * row_tile * granules * GRANULE;
                    memory.quants[start..][..run.planes.quants.len()].copy_from_slice(&run.planes.quants);
                    let start = run.first_tile * row_tile * layout.scales_row_bytes(cols);
                    memory.scales[start..][..run.planes.scales.len()].copy_from_slice(&run.planes.scales);
                }
            }
            assert!(tiler.waiting.is_empty(), "{layout:?}");
            let all = planes(0..rows, &matrix);
            // `row_start` in weight.wgsl
            let at = |row: usize, unit: usize, units: usize| {
                row / row_tile * row_tile * units + row % row_tile + unit * row_tile
            };
            for (plane, memory, unit) in [(all.quants, memory.quants, GRANULE), (all.scales, memory.scales, SCALE)] {
                let row_bytes = plane.len() / rows;
                for row in 0..rows {
                    for (i, bytes) in plane[row * row_bytes..][..row_bytes].chunks(unit).enumerate() {
                        let start = at(row, i, row_bytes.div_ceil(unit)) * unit;
                        assert_eq!(memory[start..][..bytes.len()], *bytes, "{layout:?} row {row} unit {i}");
                    }
                }
            }
        }
    }
}
