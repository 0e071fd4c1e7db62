//! `wkv`: the time mixing of RWKV-7 (Peng et al. 2025, arXiv 2503.14456), linear attention with a
//! generalised delta rule.
//!
//! Each head has a matrix that a key looks a value up in. A token lets each row of it fade by
//! itself, takes away a part of what its key finds, which rows differ in too, and adds its value;
//! what its receptance reads then is normalised, and gated. The matrix of a sequence is in a slot
//! that the step names, see [`Step::states`](crate::record::Step::states). In
//! [`delta_rule`](super::delta_rule) a head fades as a whole, and takes away what it adds.

use std::ops::Range;

use super::delta_rule::{LANES, parts};
use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, dot, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, NO_STATE, Step, Tensor};

/// Of each row of a sequence in turn and of each head, with σ the logistic function:
/// a = σ(a + a0); w = exp(-σ(w + w0) / √e); v += (`first_values` - v) ∘ σ(m + v0);
/// κ = k ∘ k_k, of length one; k = k ∘ (1 + (a - 1) ∘ k_a);
/// S = diag(w) S - (a ∘ κ) (κᵀ S) + k vᵀ;
/// y = (norm(Sᵀ r) + (r · (k ∘ r_k)) v) ∘ g
#[derive(Clone, Copy, Debug)]
pub struct Wkv {
    /// (rows, 7 · width of all heads): r, k, v, w, a, g and m, each of all heads.
    pub projected: Tensor,
    /// (rows, width of all heads): v of the first layer.
    pub first_values: Tensor,
    /// (1, 8 · width of all heads): w0, a0, v0, k_k, k_a, r_k, and weights and biases of the norm.
    pub weights: Tensor,
    /// See [`KvCache::of_state`].
    pub state: KvCache,
    /// Where the matrices are in a slot: (heads, keys, values).
    pub first: usize,
    /// The heads.
    pub heads: WkvHeads,
    /// (rows, width of all heads)
    pub y: Tensor,
}

/// Heads of a [`Wkv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WkvHeads {
    /// Number of heads.
    pub count: usize,
    /// Values of a head's keys, and of its values.
    pub dim: usize,
}

impl WkvHeads {
    /// Width of all heads.
    pub fn width(&self) -> usize {
        self.count * self.dim
    }

    /// Values of the matrices of all heads.
    pub fn matrices(&self) -> usize {
        self.width() * self.dim
    }
}

/// Vectors of a row in [`Wkv::projected`].
pub const PROJECTED: usize = 7;
/// Vectors in [`Wkv::weights`].
pub const WEIGHTS: usize = 8;
/// Keeps the length of a key of zeros from being 0.
const LENGTH_EPS: f32 = 1e-12;
/// ε of the norm, for each value of a head.
const EPS: f32 = 1e-5;
/// The slowest that a row fades at is 1, the fastest e to the power of minus this: 1 / √e.
const FASTEST: f32 = 0.606_530_66;

impl Op for Wkv {
    fn check(&self) -> Result<()> {
        let Self { projected, first_values, weights, state, heads, y, .. } = self;
        let width = heads.width();
        ensure((1..=LANES).contains(&heads.dim), "wkv", "heads of up to 256 values", heads)?;
        let fits = projected.cols == PROJECTED * width && first_values.cols == width && y.cols == width;
        ensure(fits && weights.cols == WEIGHTS * width, "wkv", "vectors of all heads", self)?;
        let room = state.parts == 1 && state.format == KvFormat::F32;
        ensure(room && self.first + heads.matrices() <= state.block_len(), "wkv", "room for matrices", state)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let WkvHeads { count, dim } = self.heads;
        vec![Kernel {
            shader: "wkv",
            defines: vec![],
            constants: vec![("DIM", dim as u32)],
            bindings: vec![
                Binding::Rows,
                Binding::Tables,
                self.projected.into(),
                self.first_values.into(),
                self.weights.into(),
                Binding::States(self.state.buffer),
                self.y.into(),
            ],
            params: [self.y.rows, count, self.state.block_len(), self.first].map(|v| v as u32).to_vec(),
            workgroups: [count as u32, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let WkvHeads { count, dim } = self.heads;
        let of_run = |(rows, [read, _]): (Range<usize>, [u32; 2])| {
            let matrix = if read == NO_STATE { 0 } else { dim * dim };
            let values = rows.len() * (PROJECTED + 1) * dim + WEIGHTS * dim;
            // what the rows of a matrix share, and sums of others, are read from workgroup memory
            let row = 9 * dim * dim + 24 * dim + LANES * (193 + 2 * parts(dim));
            let lanes = rows.len() * row;
            let loads = Loads::once(values, 1);
            let (keys_values, products) = (f32s(matrix), (rows.len() * 4 * dim * dim) as u64);
            Loads { keys_values, lane_activations: f32s(lanes), multiply_adds: products, ..loads } * count
        };
        vec![step.runs(self.y.rows).map(of_run).sum()]
    }
}

impl Wkv {
    /// The range of a head's matrix in a slot.
    pub fn matrix(&self, head: usize) -> Range<usize> {
        let len = self.heads.dim * self.heads.dim;
        self.first + head * len..self.first + (head + 1) * len
    }

    /// These rows of all heads. `state`: of a slot.
    pub fn reference(
        &self,
        rows: Range<usize>,
        (projected, first_values, weights): (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        for head in 0..self.heads.count {
            let inputs = (projected, first_values, weights);
            self.head(rows.clone(), head, inputs, &mut state[self.matrix(head)], |row, values| {
                y[row * self.y.cols + head * self.heads.dim..][..values.len()].copy_from_slice(values);
            });
        }
    }

    /// These rows of one head. `write` gets the values of each.
    pub fn head(
        &self,
        rows: Range<usize>,
        head: usize,
        (projected, first_values, weights): (&[f32], &[f32], &[f32]),
        matrix: &mut [f32],
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let (dim, width) = (self.heads.dim, self.heads.width());
        let [w0, a0, v0, k_k, k_a, r_k, norm, bias] =
            std::array::from_fn(|i| &weights[i * width + head * dim..][..dim]);
        let [mut keys, mut found_by, mut taken, mut fades, mut values, mut found, mut y] =
            std::array::from_fn(|_| vec![0.0; dim]);
        for row in rows {
            let of_row = &projected[row * self.projected.cols..][..self.projected.cols];
            let [r, k, v, w, a, g, m] = std::array::from_fn(|i| &of_row[i * width + head * dim..][..dim]);
            let first = &first_values[row * width + head * dim..][..dim];
            for i in 0..dim {
                let rate = sigmoid(a[i] + a0[i]);
                fades[i] = (-FASTEST * sigmoid(w[i] + w0[i])).exp();
                values[i] = v[i] + (first[i] - v[i]) * sigmoid(m[i] + v0[i]);
                found_by[i] = k[i] * k_k[i];
                keys[i] = k[i] * (1.0 + (rate - 1.0) * k_a[i]);
                taken[i] = rate;
            }
            let length = 1.0 / dot(&found_by, &found_by).sqrt().max(LENGTH_EPS);
            for (taken, key) in taken.iter_mut().zip(&mut found_by) {
                *key *= length;
                *taken *= *key;
            }
            found.fill(0.0);
            for (s, key) in matrix.chunks_exact(dim).zip(&found_by) {
                s.iter().zip(&mut found).for_each(|(s, found)| *found += s * key);
            }
            y.fill(0.0);
            for (i, s) in matrix.chunks_exact_mut(dim).enumerate() {
                let (fade, key, taken, r) = (fades[i], keys[i], taken[i], r[i]);
                for (((s, value), found), y) in s.iter_mut().zip(&values).zip(&found).zip(&mut y) {
                    *s = *s * fade + key * value - taken * found;
                    *y += *s * r;
                }
            }
            let mean = y.iter().sum::<f32>() / dim as f32;
            y.iter_mut().for_each(|y| *y -= mean);
            let scale = 1.0 / (dot(&y, &y) / dim as f32 + EPS * dim as f32).sqrt();
            let direct: f32 = (0..dim).map(|i| r[i] * keys[i] * r_k[i]).sum();
            for i in 0..dim {
                y[i] = (y[i] * scale * norm[i] + bias[i] + direct * values[i]) * g[i];
            }
            write(row, &y);
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
