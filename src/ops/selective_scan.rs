//! `selective_scan`: the state-space layers of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060) and of
//! Mamba (Gu & Dao 2023, arXiv 2312.00752).
//!
//! Each head has a matrix, its state. A token lets it fade, by how much the token decides, and adds
//! to it; what the token's output vector reads of it then is gated. The matrix of a sequence is in
//! a slot that the step names, see [`Step::states`](crate::record::Step::states).
//!
//! In Mamba each column is a head of its own, and each of its values fades by itself. As all
//! columns share B and C, any run of them is computed as one head.

use std::ops::Range;

use super::delta_rule::{LANES, parts, softplus};
use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, NO_STATE, Step, Tensor};

/// Of each row of a sequence in turn and of each head: S = e^(A Δ) S + B (Δ x)ᵀ;
/// y = (Sᵀ C + D x) ∘ silu(z), where Δ = softplus(dt + bias). With [`ScanHeads::columns`] A has
/// the shape of S, and Δ and D are vectors, of the columns of S.
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScan {
    /// (rows, [`ScanHeads::xbc`]): x of each head, then B and C of each group. Of columns x alone.
    pub xbc: Tensor,
    /// (rows, at least [`ScanHeads::projected`]): z of each head; behind it, and xbc.cols others,
    /// dt of each head. Of columns: behind xbc.cols others z, dt and bias together, B and C.
    pub gates: Tensor,
    /// (1, [`ScanHeads::weights`]): A of each head, below 0; its bias; and D. Of columns A,
    /// (columns, state_dim), and D.
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
    /// Whether each column has its own Δ and D, and for each value of B its own A (Mamba).
    pub columns: bool,
}

impl ScanHeads {
    /// Width of all heads.
    pub fn inner(&self) -> usize {
        self.count * self.head_dim
    }

    /// Width of B and C together.
    pub fn bc(&self) -> usize {
        2 * self.groups * self.state_dim
    }

    /// Width of what a convolution is over: x, B and C together; of columns x alone.
    pub fn xbc(&self) -> usize {
        self.inner() + if self.columns { 0 } else { self.bc() }
    }

    /// Width of z, x, B, C and dt together.
    pub fn projected(&self) -> usize {
        2 * self.inner() + self.bc() + if self.columns { self.inner() } else { self.count }
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        if self.columns { self.matrices() + self.inner() } else { 3 * self.count }
    }

    /// Values of the matrices of all heads.
    pub fn matrices(&self) -> usize {
        self.inner() * self.state_dim
    }
}

impl Op for SelectiveScan {
    fn check(&self) -> Result<()> {
        let Self { xbc, gates, weights, state, heads, y, .. } = self;
        let ScanHeads { count, groups, head_dim, state_dim, columns } = *heads;
        let fits = (1..=LANES).contains(&head_dim) && (1..=LANES).contains(&state_dim);
        let divides = groups > 0 && count.is_multiple_of(groups) && !(columns && groups > 1);
        ensure(fits && divides, "selective_scan", "groups that divide heads, of up to 256 values", self)?;
        let fits = xbc.cols == heads.xbc() && y.cols == heads.inner() && gates.cols >= heads.projected();
        ensure(fits && weights.cols == heads.weights(), "selective_scan", "values of all heads", self)?;
        let is_plain = state.parts == 1 && state.format == KvFormat::F32;
        let has_room = is_plain && self.first + heads.matrices() <= state.block_len();
        ensure(has_room, "selective_scan", "room for matrices", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let ScanHeads { count, groups, head_dim, state_dim, columns } = self.heads;
        vec![Kernel {
            shader: "selective_scan",
            defines: if columns { vec!["COLUMNS"] } else { vec![] },
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
        let ScanHeads { count, head_dim, state_dim, columns, .. } = self.heads;
        let len = head_dim * state_dim;
        // Δ, and weights: of a workgroup, and of its invocations
        let (steps, weights, each) = if columns { (head_dim, len + head_dim, len + LANES) } else { (1, 3, 3 * LANES) };
        let of_run = |(rows, [read, _]): (Range<usize>, [u32; 2])| {
            let matrix = if read == NO_STATE { 0 } else { len };
            // B and C, x and z, dt
            let row = 2 * state_dim + 2 * head_dim + steps;
            let values = rows.len() * row + weights;
            // all invocations read Δ and x; B, C and sums of others are read from workgroup memory
            let row = 2 * state_dim + 2 * LANES + 2 * len + head_dim * (parts(head_dim) + 1);
            let lanes = rows.len() * row + each;
            let loads = Loads::once(values, 1);
            let (keys_values, products) = (f32s(matrix), (rows.len() * 2 * len) as u64);
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
            let exp = |values: &mut [f32]| values.iter_mut().for_each(|value| *value = value.exp());
            self.head(rows.clone(), head, inputs, (&mut state[self.matrix(head)], exp), |row, values| {
                y[row * self.y.cols + head * self.heads.head_dim..][..values.len()].copy_from_slice(values);
            });
        }
    }

    /// These rows of one head. `exp` replaces values by their exponentials; `write` gets the values
    /// of each row.
    pub fn head(
        &self,
        rows: Range<usize>,
        head: usize,
        (xbc, gates, weights): (&[f32], &[f32], &[f32]),
        (matrix, exp): (&mut [f32], impl Fn(&mut [f32])),
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let ScanHeads { count, groups, head_dim, state_dim, columns } = self.heads;
        let (inner, first) = (self.heads.inner(), head * head_dim);
        let of_head = |values: &[f32]| vec![values.get(head).copied().unwrap_or(0.0); head_dim];
        // A by values of B, D
        let (decays, direct) = if columns {
            let a = &weights[first * state_dim..][..head_dim * state_dim];
            let of_value = |n: usize| a.iter().skip(n).step_by(state_dim);
            let decays: Vec<f32> = (0..state_dim).flat_map(of_value).copied().collect();
            (decays, weights[inner * state_dim + first..][..head_dim].to_vec())
        } else {
            (Vec::new(), of_head(&weights[2 * count..]))
        };
        let [mut deltas, mut fades, mut added, mut y] = [(); 4].map(|()| vec![0.0; head_dim]);
        for row in rows {
            let (xbc, gates) = (&xbc[row * self.xbc.cols..][..self.xbc.cols], &gates[row * self.gates.cols..]);
            let x = &xbc[first..][..head_dim];
            let (z, bc) = if columns {
                let dt = &gates[2 * inner + first..][..head_dim];
                deltas.iter_mut().zip(dt).for_each(|(delta, &dt)| *delta = softplus(dt));
                (&gates[inner + first..][..head_dim], &gates[3 * inner..][..2 * state_dim])
            } else {
                let delta = softplus(gates[inner + self.xbc.cols + head] + weights[count + head]);
                deltas.fill(delta);
                fades.fill((weights[head] * delta).exp());
                (&gates[first..][..head_dim], &xbc[inner + head / (count / groups) * state_dim..])
            };
            let (b, c) = (&bc[..state_dim], &bc[groups * state_dim..][..state_dim]);
            for (i, x) in x.iter().enumerate() {
                (added[i], y[i]) = (deltas[i] * x, direct[i] * x);
            }
            for (n, s) in matrix.chunks_exact_mut(head_dim).enumerate() {
                if columns {
                    let decays = &decays[n * head_dim..][..head_dim];
                    let of_columns = fades.iter_mut().zip(decays).zip(&deltas);
                    of_columns.for_each(|((fade, decay), delta)| *fade = decay * delta);
                    exp(&mut fades);
                }
                for (((s, added), y), fade) in s.iter_mut().zip(&added).zip(&mut y).zip(&fades) {
                    *s = *s * fade + b[n] * added;
                    *y += *s * c[n];
                }
            }
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
        let heads = ScanHeads { count: 6, groups: 3, head_dim: 5, state_dim: 7, columns: false };
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

    /// The same of columns that fade by themselves: Mamba's formula.
    #[test]
    fn a_plain_loop_over_columns_gives_the_same() {
        let heads = ScanHeads { count: 3, groups: 1, head_dim: 4, state_dim: 5, columns: true };
        let (rows, inner, states) = (4, heads.inner(), heads.state_dim);
        let tensor = |rows, cols| Tensor { buffer: BufferId(0), rows, cols };
        let op = SelectiveScan {
            xbc: tensor(rows, inner),
            gates: tensor(rows, heads.projected()),
            weights: tensor(1, heads.weights()),
            state: KvCache::of_state(heads.matrices() + 3),
            first: 3,
            heads,
            y: tensor(rows, inner),
        };
        op.check().unwrap();
        assert_eq!((op.gates.cols, op.weights.cols), (3 * inner + 2 * states, inner * states + inner));
        let value = |i: usize| (i * 37 % 23) as f32 / 11.5 - 1.0;
        let of = |len: usize, from: usize| (0..len).map(|i| value(i * i + from)).collect::<Vec<f32>>();
        let (x, gates) = (of(rows * inner, 1), of(rows * op.gates.cols, 5));
        let mut weights = of(op.weights.cols, 3);
        weights[..inner * states].iter_mut().for_each(|decay| *decay = -0.1 - decay.abs());
        let (mut state, mut y) = (of(op.state.block_len(), 7), vec![0.0; rows * inner]);
        // of a column, the values of B
        let place = |col: usize, n: usize| 3 + (col / 4 * states + n) * 4 + col % 4;
        let mut expected = state.clone();
        op.reference(0..rows, (&x, &gates, &weights), &mut state, &mut y);
        for row in 0..rows {
            let gate = |col: usize| gates[row * op.gates.cols + col];
            for col in 0..inner {
                let (x, delta) = (x[row * inner + col], gate(2 * inner + col).exp().ln_1p());
                let mut sum = weights[inner * states + col] * x;
                for n in 0..states {
                    let s = &mut expected[place(col, n)];
                    *s = (weights[col * states + n] * delta).exp() * *s + delta * gate(3 * inner + n) * x;
                    sum += gate(3 * inner + states + n) * *s;
                }
                let z = gate(inner + col);
                let (got, expected) = (y[row * inner + col], sum * z / (1.0 + (-z).exp()));
                assert!((got - expected).abs() < 1e-5, "row {row} column {col}: {got} {expected}");
            }
        }
        assert!(state.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-5));
    }
}
