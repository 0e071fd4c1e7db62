//! `convolve`: a gated causal convolution over the last positions of a sequence, each column by
//! itself (LFM2, Liquid AI 2025, arXiv 2511.23404).
//!
//! Its state is the inputs of the last positions. Each block of the KV cache keeps those of its own
//! ([`KvCache::of_inputs`]), so that a sequence can be shared, and go on, as one with keys and
//! values.

use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{KV_BLOCK, KvCache, KvFormat, RECENT_INPUTS, Step, Tensor};

/// y = c ∘ Σ_k weight[k] ∘ u[p - width + 1 + k] with the inputs u = b ∘ v of each position, where x
/// has b, c and v; before the first position they are 0. Keeps the inputs in `state`.
#[derive(Clone, Copy, Debug)]
pub struct Convolve {
    /// (rows, 3 · cols): b, c and v of each row
    pub x: Tensor,
    /// (1, cols · width): of each column, the earliest position first
    pub weight: Tensor,
    /// See [`KvCache::of_inputs`].
    pub state: KvCache,
    /// (rows, cols)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

/// What a dispatch does.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Convolves = 1,
    Keeps = 2,
    /// A row alone finds nothing in the state that it replaces.
    Both = 3,
}

/// Where a row finds the inputs of an earlier position, or its own.
enum Source {
    /// In a row of the step.
    Row(usize),
    /// In the state of a block, for this position.
    State(usize, usize),
}

impl Op for Convolve {
    fn check(&self) -> Result<()> {
        let Self { x, weight, state, y } = self;
        ensure(x.cols == 3 * y.cols && x.rows == y.rows, "convolve", "x of three times y.cols", self)?;
        let width = weight.cols / y.cols.max(1);
        let fits = weight.cols == width * y.cols && (1..=RECENT_INPUTS).contains(&width);
        ensure(fits, "convolve", "weights of up to 8 positions for each column", self)?;
        let keeps = state.format == KvFormat::F32 && state.parts == 1 && state.block_len() >= RECENT_INPUTS * y.cols;
        ensure(keeps, "convolve", "room for the last inputs in a block", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let of = |part: &Part| Kernel {
            shader: "convolve",
            defines: vec![],
            constants: vec![("KV_BLOCK", KV_BLOCK as u32), ("RECENT", RECENT_INPUTS as u32)],
            bindings: vec![
                Binding::Rows,
                Binding::Tables,
                self.x.into(),
                self.weight.into(),
                self.state.part(0),
                self.y.into(),
            ],
            params: [self.y.rows, self.y.cols, self.width(), self.state.block_len(), *part as usize]
                .map(|v| v as u32)
                .to_vec(),
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        };
        self.parts().iter().map(of).collect()
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let rows = step.count(self.y.rows);
        let workgroups = ceil_div(self.y.cols, WORKGROUP) as usize;
        let of = |part: &Part| {
            let row = |row: usize| {
                let keeps = *part != Part::Convolves && self.is_kept(step, row);
                // values of a column; a row that is kept computes its own input again
                let (mut values, mut inputs) = (if keeps { 2 } else { 0 }, 0);
                if *part != Part::Keeps {
                    for back in 0..self.width() {
                        match source(step, row, back) {
                            Some(Source::Row(_)) => values += 3,
                            Some(Source::State(..)) => (values, inputs) = (values + 1, inputs + 1),
                            None => {}
                        }
                    }
                    values += 1;
                }
                let keys_values = f32s(inputs * self.y.cols);
                let each = Loads::once(values * self.y.cols, if values > 0 { workgroups } else { 0 });
                // a byte that is kept was loaded already
                let again = if keeps && *part == Part::Both { f32s(2 * self.y.cols) } else { 0 };
                Loads { keys_values, activations: each.activations - again, ..each }
            };
            (0..rows).map(row).sum()
        };
        self.parts().iter().map(of).collect()
    }
}

impl Convolve {
    fn width(&self) -> usize {
        self.weight.cols / self.y.cols
    }

    fn parts(&self) -> &'static [Part] {
        if self.y.rows == 1 { &[Part::Both] } else { &[Part::Convolves, Part::Keeps] }
    }

    /// Whether no later row of the step takes the place of a row's inputs.
    fn is_kept(&self, step: &Step, row: usize) -> bool {
        let [here, later] = [row, row + RECENT_INPUTS].map(|row| step.rows.get(row).filter(|_| row < self.y.rows));
        let place = |row: &crate::record::Row| (row.sequence, row.position / KV_BLOCK);
        here.map(place) != later.map(place)
    }

    /// `x`: (rows, 3 · cols); `weight`: (cols, width); `y`: (rows, cols). `read` appends the inputs
    /// of a position to what it is given, out of the state of a block.
    pub fn reference(
        &self,
        step: &Step,
        x: &[f32],
        weight: &[f32],
        read: impl Fn(usize, usize, &mut Vec<f32>),
        y: &mut [f32],
    ) {
        let mut inputs = Vec::new();
        for (row, y) in y.chunks_exact_mut(self.y.cols).enumerate() {
            self.row(step, row, x, weight, &mut inputs, &read, y);
        }
    }

    /// One row of y. `inputs` is memory.
    #[expect(clippy::too_many_arguments)]
    pub fn row(
        &self,
        step: &Step,
        row: usize,
        x: &[f32],
        weight: &[f32],
        inputs: &mut Vec<f32>,
        read: impl Fn(usize, usize, &mut Vec<f32>),
        y: &mut [f32],
    ) {
        let (cols, width) = (self.y.cols, self.width());
        y.fill(0.0);
        for back in (0..width).rev() {
            inputs.clear();
            match source(step, row, back) {
                Some(Source::Row(row)) => inputs.extend(self.inputs(x, row)),
                Some(Source::State(block, position)) => read(block, position, inputs),
                None => continue,
            }
            let weights = weight[width - 1 - back..].iter().step_by(width);
            y.iter_mut().zip(inputs.iter()).zip(weights).for_each(|((y, input), weight)| *y += weight * input);
        }
        let gates = &x[row * 3 * cols + cols..][..cols];
        y.iter_mut().zip(gates).for_each(|(y, gate)| *y *= gate);
    }

    /// Gives the inputs that stay to `write`: block, position, inputs.
    pub fn keep(&self, step: &Step, x: &[f32], mut write: impl FnMut(usize, usize, &[f32])) {
        for row in (0..step.count(self.y.rows)).filter(|&row| self.is_kept(step, row)) {
            let inputs: Vec<f32> = self.inputs(x, row).collect();
            write(step.slot(&step.rows[row]).0, step.rows[row].position, &inputs);
        }
    }

    /// b ∘ v of a row
    fn inputs<'a>(&self, x: &'a [f32], row: usize) -> impl Iterator<Item = f32> + use<'a> {
        let (b, rest) = x[row * 3 * self.y.cols..][..3 * self.y.cols].split_at(self.y.cols);
        b.iter().zip(&rest[self.y.cols..]).map(|(b, v)| b * v)
    }
}

/// Where a row finds the inputs of the position `back` before its own; `None` before the first.
fn source(step: &Step, row: usize, back: usize) -> Option<Source> {
    let here = &step.rows[row];
    let position = here.position.checked_sub(back)?;
    let earlier = row.checked_sub(back).filter(|&earlier| {
        let earlier = &step.rows[earlier];
        earlier.sequence == here.sequence && earlier.position == position
    });
    Some(match earlier {
        Some(row) => Source::Row(row),
        None => Source::State(step.tables[here.sequence][position / KV_BLOCK] as usize, position),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BufferId, Row};

    /// Rows of two sequences in steps of any length give what the whole texts give.
    #[test]
    fn steps_of_any_length_give_the_plain_convolution() {
        const COLS: usize = 3;
        const LEN: usize = 150;
        let (width, mut seed) = (4, 1u32);
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let texts = [0, 1].map(|_| (0..LEN * 3 * COLS).map(|_| random()).collect::<Vec<f32>>());
        let weight: Vec<f32> = (0..COLS * width).map(|_| random()).collect();
        let plain = |text: &[f32], position: usize, col: usize| {
            let of = |position: usize, part: usize| text[(position * 3 + part) * COLS + col];
            let earliest = (position + 1).saturating_sub(width);
            let sum: f32 = (earliest..=position)
                .map(|p| weight[col * width + width - 1 - (position - p)] * of(p, 0) * of(p, 2))
                .sum();
            of(position, 1) * sum
        };
        let tables = [[4, 1, 5], [0, 3, 2]];
        for longest in [1, 2, 7, 40, 150] {
            let mut blocks = vec![vec![0.0; RECENT_INPUTS * COLS]; 6];
            let (mut done, mut turn) = ([0, 0], 0);
            while done != [LEN, LEN] {
                let mut rows = Vec::new();
                for (sequence, done) in done.iter_mut().enumerate() {
                    turn += 1;
                    let end = LEN.min(*done + 1 + turn * 5 % longest);
                    let row = |position| Row { id: Some(0), position, sequence, wanted: false };
                    rows.extend((*done..end).map(row));
                    *done = end;
                }
                let tensor = |cols| Tensor { buffer: BufferId(0), rows: rows.len(), cols };
                let state = KvCache::of_inputs(COLS);
                let weights = Tensor { buffer: BufferId(0), rows: 1, cols: COLS * width };
                let op = Convolve { x: tensor(3 * COLS), weight: weights, state, y: tensor(COLS) };
                op.check().unwrap();
                let tables = tables.each_ref().map(|table| &table[..]);
                let step = Step::new(&rows, &tables);
                let place = |row: &Row| row.position * 3 * COLS..(row.position + 1) * 3 * COLS;
                let x: Vec<f32> = rows.iter().flat_map(|row| &texts[row.sequence][place(row)]).copied().collect();
                let mut y = vec![0.0; rows.len() * COLS];
                let read = |block: usize, position: usize, inputs: &mut Vec<f32>| {
                    inputs.extend(&blocks[block][KvCache::inputs(COLS, position)]);
                };
                op.reference(&step, &x, &weight, read, &mut y);
                op.keep(&step, &x, |block, position, inputs| {
                    blocks[block][KvCache::inputs(COLS, position)].copy_from_slice(inputs);
                });
                for (row, y) in rows.iter().zip(y.chunks_exact(COLS)) {
                    for (col, y) in y.iter().enumerate() {
                        let expected = plain(&texts[row.sequence], row.position, col);
                        assert!((y - expected).abs() < 1e-5, "{longest}: {row:?}: {y} for {expected}");
                    }
                }
            }
        }
    }
}
