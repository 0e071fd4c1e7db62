//! `selective_scan`: the state-space layer of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060).
//!
//! Each head has a matrix, its state. A token lets it fade, by how much the token decides, and adds
//! to it; what the token's output vector reads of it then is gated. The matrix of a sequence is in
//! a slot that the step names, see [`Step::states`](crate::record::Step::states).

use std::ops::Range;

use super::delta_rule::{LANES, parts, softplus};
use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, NO_STATE, Step, Tensor};

/// Of each row of a sequence in turn and of each head: S = e^(A Δ) S + B (Δ x)ᵀ;
/// y = (Sᵀ C + D x) ∘ silu(z), where Δ = softplus(dt + bias).
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScan {
    /// (rows, heads · head_dim + 2 · groups · state_dim): x of each head, then B and C of each
    /// group
    pub xbc: Tensor,
    /// (rows, at least xbc.cols + heads · (head_dim + 1)): z of each head; behind it, and xbc.cols
    /// others, dt of each head
    pub gates: Tensor,
    /// (1, 3 · heads): A of each head, below 0; its bias; and D.
    pub weights: Tensor,
    /// See [`KvCache::of_state`].
    pub state: KvCache,
    /// Where the matrices are in a slot: (heads, state_dim, head_dim).
    pub first: usize,
    /// The heads.
    pub heads: ScanHeads,
    /// (rows, heads · head_dim)
    pub y: Tensor,
}

/// Heads of a [`SelectiveScan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanHeads {
    /// Number of heads.
    pub count: usize,
    /// Groups of neighbouring heads that share B and C; divides `count`.
    pub groups: usize,
    /// Values of a head.
    pub head_dim: usize,
    /// Values of B, and of C.
    pub state_dim: usize,
}

impl ScanHeads {
    /// Width of all heads.
    pub fn inner(&self) -> usize {
        self.count * self.head_dim
    }

    /// Width of x, B and C together.
    pub fn xbc(&self) -> usize {
        self.inner() + 2 * self.groups * self.state_dim
    }

    /// Width of z, x, B, C and dt together.
    pub fn projected(&self) -> usize {
        self.inner() + self.xbc() + self.count
    }

    /// Values of the matrices of all heads.
    pub fn matrices(&self) -> usize {
        self.inner() * self.state_dim
    }
}

impl Op for SelectiveScan {
    fn check(&self) -> Result<()> {
        let Self { xbc, gates, weights, state, heads, y, .. } = self;
        let ScanHeads { count, groups, head_dim, state_dim } = *heads;
        let fits = (1..=LANES).contains(&head_dim) && (1..=LANES).contains(&state_dim);
        let divides = groups > 0 && count.is_multiple_of(groups);
        ensure(fits && divides, "selective_scan", "groups that divide heads, of up to 256 values", self)?;
        let fits = xbc.cols == heads.xbc() && y.cols == heads.inner() && gates.cols >= heads.projected();
        ensure(fits && weights.cols == 3 * count, "selective_scan", "values of all heads", self)?;
        let is_plain = state.parts == 1 && state.format == KvFormat::F32;
        let has_room = is_plain && self.first + heads.matrices() <= state.block_len();
        ensure(has_room, "selective_scan", "room for matrices", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let ScanHeads { count, groups, head_dim, state_dim } = self.heads;
        vec![Kernel {
            shader: "selective_scan",
            defines: vec![],
            constants: vec![("HEAD_DIM", head_dim as u32), ("STATE_DIM", state_dim as u32)],
            bindings: vec![
                Binding::Rows,
                Binding::Tables,
                self.xbc.into(),
                self.gates.into(),
                self.weights.into(),
                Binding::States(self.state.buffer),
                self.y.into(),
            ],
            params: [self.y.rows, self.gates.cols, count, groups, self.state.block_len(), self.first]
                .map(|v| v as u32)
                .to_vec(),
            workgroups: [count as u32, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let ScanHeads { count, head_dim, state_dim, .. } = self.heads;
        let of_run = |(rows, [read, _]): (Range<usize>, [u32; 2])| {
            let matrix = if read == NO_STATE { 0 } else { head_dim * state_dim };
            // B and C, x and z, dt
            let row = 2 * state_dim + 2 * head_dim + 1;
            let values = rows.len() * row + 3;
            // invocations read the row's B and C, and sums of others, from workgroup memory
            let lanes = rows.len() * (row + LANES + head_dim * 3 * state_dim.div_ceil(parts(head_dim)));
            let loads = Loads::once(values, 1);
            let (keys_values, products) = (f32s(matrix), (rows.len() * 2 * head_dim * state_dim) as u64);
            Loads { keys_values, lane_activations: f32s(lanes), multiply_adds: products, ..loads } * count
        };
        vec![step.runs(self.y.rows).map(of_run).sum()]
    }
}

impl SelectiveScan {
    /// The range of a head's matrix in a slot.
    pub fn matrix(&self, head: usize) -> Range<usize> {
        let len = self.heads.head_dim * self.heads.state_dim;
        self.first + head * len..self.first + (head + 1) * len
    }

    /// These rows of all heads. `state`: of a slot.
    pub fn reference(&self, rows: Range<usize>, inputs: (&[f32], &[f32], &[f32]), state: &mut [f32], y: &mut [f32]) {
        for head in 0..self.heads.count {
            self.head(rows.clone(), head, inputs, &mut state[self.matrix(head)], |row, values| {
                y[row * self.y.cols + head * self.heads.head_dim..][..values.len()].copy_from_slice(values);
            });
        }
    }

    /// These rows of one head. `write` gets the values of each.
    pub fn head(
        &self,
        rows: Range<usize>,
        head: usize,
        (xbc, gates, weights): (&[f32], &[f32], &[f32]),
        matrix: &mut [f32],
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let ScanHeads { count, groups, head_dim, state_dim } = self.heads;
        let [decay, bias, direct] = [0, 1, 2].map(|part| weights[part * count + head]);
        let first_b = self.heads.inner() + head / (count / groups) * state_dim;
        let (mut added, mut y) = (vec![0.0; head_dim], vec![0.0; head_dim]);
        for row in rows {
            let (xbc, gates) = (&xbc[row * self.xbc.cols..][..self.xbc.cols], &gates[row * self.gates.cols..]);
            let x = &xbc[head * head_dim..][..head_dim];
            let [b, c] = [first_b, first_b + groups * state_dim].map(|first| &xbc[first..][..state_dim]);
            let delta = softplus(gates[self.heads.inner() + self.xbc.cols + head] + bias);
            let fade = (decay * delta).exp();
            for ((added, y), x) in added.iter_mut().zip(&mut y).zip(x) {
                (*added, *y) = (delta * x, direct * x);
            }
            for ((s, b), c) in matrix.chunks_exact_mut(head_dim).zip(b).zip(c) {
                for ((s, added), y) in s.iter_mut().zip(&added).zip(&mut y) {
                    *s = *s * fade + b * added;
                    *y += *s * c;
                }
            }
            let z = &gates[head * head_dim..][..head_dim];
            y.iter_mut().zip(z).for_each(|(y, z)| *y *= z / (1.0 + (-z).exp()));
            write(row, &y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BufferId;

    /// The formula as it stands, one value at a time, from a state that is there.
    #[test]
    fn a_plain_loop_gives_the_same() {
        let heads = ScanHeads { count: 6, groups: 3, head_dim: 5, state_dim: 7 };
        let (rows, inner) = (4, heads.inner());
        let tensor = |rows, cols| Tensor { buffer: BufferId(0), rows, cols };
        let op = SelectiveScan {
            xbc: tensor(rows, heads.xbc()),
            gates: tensor(rows, heads.projected() + 2),
            weights: tensor(1, 3 * heads.count),
            state: KvCache::of_state(heads.matrices() + 3),
            first: 3,
            heads,
            y: tensor(rows, inner),
        };
        op.check().unwrap();
        // numbers between -1 and 1 without a pattern
        let mut next = 1u32;
        let mut values = |len: usize| -> Vec<f32> {
            let mut value = || {
                next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (next >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..len).map(|_| value()).collect()
        };
        let (xbc, gates) = (values(rows * op.xbc.cols), values(rows * op.gates.cols));
        let mut weights = values(3 * heads.count);
        weights[..heads.count].iter_mut().for_each(|decay| *decay = -0.1 - decay.abs());
        let mut state = values(op.state.block_len());
        let mut expected = state.clone();
        let mut y = vec![0.0; rows * inner];
        op.reference(0..rows, (&xbc, &gates, &weights), &mut state, &mut y);

        for row in 0..rows {
            for head in 0..heads.count {
                let at = |col: usize| xbc[row * op.xbc.cols + col];
                let gate = |col: usize| gates[row * op.gates.cols + col];
                let delta = (gate(inner + op.xbc.cols + head) + weights[heads.count + head]).exp().ln_1p();
                let group = head / 2;
                for i in 0..heads.head_dim {
                    let x = at(head * heads.head_dim + i);
                    let mut sum = weights[2 * heads.count + head] * x;
                    for n in 0..heads.state_dim {
                        let b = at(inner + group * heads.state_dim + n);
                        let c = at(inner + (heads.groups + group) * heads.state_dim + n);
                        let s = &mut expected[3 + (head * heads.state_dim + n) * heads.head_dim + i];
                        *s = (weights[head] * delta).exp() * *s + delta * x * b;
                        sum += *s * c;
                    }
                    let z = gate(head * heads.head_dim + i);
                    let got = y[row * inner + head * heads.head_dim + i];
                    let silu = z / (1.0 + (-z).exp());
                    assert!((got - sum * silu).abs() < 1e-5, "row {row} head {head} value {i}: {got} {}", sum * silu);
                }
            }
        }
        for (i, (got, expected)) in state.iter().zip(&expected).enumerate() {
            assert!((got - expected).abs() < 1e-5, "state {i}: {got} {expected}");
        }
    }
}
