//! `delta_rule`: linear attention with a gated delta rule (Yang et al. 2024, arXiv 2412.06464).
//!
//! Each value head has a matrix that a key looks a value up in. A token lets the matrix fade, and
//! replaces a part of what its key finds by its value; what its query finds then is normalised and
//! gated. The matrix of a sequence is in a slot that the step names, see
//! [`Step::states`](crate::record::Step::states).

use std::ops::Range;

use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, dot, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, Step, Tensor};

/// With k and q of length one, of each row of a sequence in turn and of each value head:
/// S = e^g S; S += k (β (v - Sᵀ k))ᵀ; y = norm(Sᵀ q / √key_dim) ∘ silu(z), where
/// g = decay · softplus(a + bias) and β = sigmoid(b).
#[derive(Clone, Copy, Debug)]
pub struct DeltaRule {
    /// (rows, 2 · key_heads · key_dim + value_heads · value_dim): q, k and v
    pub qkv: Tensor,
    /// (rows, at least qkv.cols + value_heads · (value_dim + 2)): behind the first qkv.cols values
    /// z of each value head, then b and a, in the order that `heads` says.
    pub gates: Tensor,
    /// (1, 2 · value_heads + value_dim): the decay of each value head, below 0; its bias; and the
    /// weights of the norm, which all heads share.
    pub weights: Tensor,
    /// See [`KvCache::of_state`].
    pub state: KvCache,
    /// Where the matrices are in a slot: (value_heads, key_dim, value_dim).
    pub first: usize,
    /// The heads.
    pub heads: DeltaHeads,
    /// ε of the norm.
    pub eps: f32,
    /// (rows, value_heads · value_dim)
    pub y: Tensor,
}

/// Heads of a [`DeltaRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaHeads {
    /// Heads of keys and queries; divides `value`.
    pub key: usize,
    /// Heads of values.
    pub value: usize,
    /// Values of a key, and of a query.
    pub key_dim: usize,
    /// Values of a value.
    pub value_dim: usize,
    /// Whether value head h has key head h mod `key`, and all b come before all a. Otherwise the
    /// value heads of a key head are neighbours, and so are their b, then their a.
    pub tiled: bool,
}

impl DeltaHeads {
    /// Width of all values.
    pub fn values(&self) -> usize {
        self.value * self.value_dim
    }

    /// Width of queries, keys and values together.
    pub fn qkv(&self) -> usize {
        2 * self.key * self.key_dim + self.values()
    }

    /// Values of the matrices of all heads.
    pub fn matrices(&self) -> usize {
        self.values() * self.key_dim
    }

    /// The key head of a value head.
    fn key_of(&self, head: usize) -> usize {
        if self.tiled { head % self.key } else { head / (self.value / self.key) }
    }

    /// Where b and a of a value head are among those of all.
    fn gates_of(&self, head: usize) -> [usize; 2] {
        let each = self.value / self.key;
        match self.tiled {
            true => [head, self.value + head],
            false => [head / each * 2 * each + head % each, head / each * 2 * each + each + head % each],
        }
    }
}

/// Keeps the length of a key of zeros from being 0.
const LENGTH_EPS: f32 = 1e-6;

/// Invocations of a workgroup, which has a value head of a sequence.
pub(super) const LANES: usize = 256;

impl Op for DeltaRule {
    fn check(&self) -> Result<()> {
        let Self { qkv, gates, weights, state, heads, y, .. } = self;
        let DeltaHeads { key, value, key_dim, value_dim, .. } = *heads;
        ensure(key > 0 && value.is_multiple_of(key), "delta_rule", "key heads that divide value heads", heads)?;
        let fits = (1..=LANES).contains(&key_dim) && (1..=LANES).contains(&value_dim);
        ensure(fits, "delta_rule", "heads of up to 256 values", heads)?;
        ensure(qkv.cols == heads.qkv() && y.cols == heads.values(), "delta_rule", "q, k and v of all heads", self)?;
        ensure(gates.cols >= qkv.cols + y.cols + 2 * value, "delta_rule", "gates behind q, k and v", gates)?;
        ensure(weights.cols == 2 * value + value_dim, "delta_rule", "weights of all heads", weights)?;
        let room = state.parts == 1 && state.format == KvFormat::F32;
        ensure(room && self.first + heads.matrices() <= state.block_len(), "delta_rule", "room for matrices", state)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let DeltaHeads { key, value, key_dim, value_dim, tiled } = self.heads;
        vec![Kernel {
            shader: "delta_rule",
            defines: vec![],
            constants: vec![("KEY_DIM", key_dim as u32), ("VALUE_DIM", value_dim as u32)],
            bindings: vec![
                Binding::Rows,
                Binding::Tables,
                self.qkv.into(),
                self.gates.into(),
                self.weights.into(),
                Binding::States(self.state.buffer),
                self.y.into(),
            ],
            params: [self.y.rows, self.gates.cols, key, value, usize::from(tiled), self.state.block_len(), self.first]
                .into_iter()
                .map(|v| v as u32)
                .chain([self.eps.to_bits()])
                .collect(),
            workgroups: [value as u32, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let DeltaHeads { value, key_dim, value_dim, .. } = self.heads;
        let of_run = |(rows, [read, _]): (Range<usize>, [u32; 2])| {
            let matrix = if read == crate::record::NO_STATE { 0 } else { key_dim * value_dim };
            let row = 2 * key_dim + 2 * value_dim + 2;
            let values = rows.len() * row + 2 + value_dim;
            // all invocations read gates and a value; keys, queries and sums of others are read
            // from workgroup memory
            let products = 3 * key_dim * value_dim;
            let row = 4 * (key_dim + value_dim) + products + LANES * (99 + 2 * parts(value_dim));
            let lanes = rows.len() * row + 2 * LANES;
            let loads = Loads::once(values, 1);
            let (keys_values, products) = (f32s(matrix), (rows.len() * products) as u64);
            Loads { keys_values, lane_activations: f32s(lanes), multiply_adds: products, ..loads } * value
        };
        vec![step.runs(self.y.rows).map(of_run).sum()]
    }
}

/// Invocations that share a column of a matrix of so many.
pub(super) fn parts(value_dim: usize) -> usize {
    LANES / value_dim
}

impl DeltaRule {
    /// The range of a value head's matrix in a slot.
    pub fn matrix(&self, head: usize) -> Range<usize> {
        let len = self.heads.key_dim * self.heads.value_dim;
        self.first + head * len..self.first + (head + 1) * len
    }

    /// These rows of all heads. `state`: of a slot.
    pub fn reference(
        &self,
        rows: Range<usize>,
        (qkv, gates, weights): (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        for head in 0..self.heads.value {
            self.head(rows.clone(), head, (qkv, gates, weights), &mut state[self.matrix(head)], |row, values| {
                y[row * self.y.cols + head * self.heads.value_dim..][..values.len()].copy_from_slice(values);
            });
        }
    }

    /// These rows of one head. `write` gets the values of each.
    pub fn head(
        &self,
        rows: Range<usize>,
        head: usize,
        (qkv, gates, weights): (&[f32], &[f32], &[f32]),
        matrix: &mut [f32],
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let DeltaHeads { key: key_heads, value: heads, key_dim, value_dim, .. } = self.heads;
        let (keys, key) = (key_heads * key_dim, self.heads.key_of(head) * key_dim);
        let [b, a] = self.heads.gates_of(head).map(|place| self.qkv.cols + self.y.cols + place);
        let ([decay, bias], norm) = ([weights[head], weights[heads + head]], &weights[2 * heads..]);
        let (mut found, mut y) = (vec![0.0; value_dim], vec![0.0; value_dim]);
        for row in rows {
            let (qkv, gates) = (&qkv[row * self.qkv.cols..][..self.qkv.cols], &gates[row * self.gates.cols..]);
            let [q, k] = [key, keys + key].map(|first| &qkv[first..first + key_dim]);
            let v = &qkv[2 * keys + head * value_dim..][..value_dim];
            let [q_scale, k_scale] = [q, k].map(|x| 1.0 / (dot(x, x) + LENGTH_EPS).sqrt());
            let q_scale = q_scale / (key_dim as f32).sqrt();
            let fade = (decay * softplus(gates[a] + bias)).exp();
            let beta = 1.0 / (1.0 + (-gates[b]).exp());
            // what the key finds, and what the query would
            found.fill(0.0);
            y.fill(0.0);
            for ((s, k), q) in matrix.chunks_exact_mut(value_dim).zip(k).zip(q) {
                for ((s, found), y) in s.iter_mut().zip(&mut found).zip(&mut y) {
                    *s *= fade;
                    *found += *s * k;
                    *y += *s * q;
                }
            }
            // what is put in place of a part of it
            found.iter_mut().zip(v).for_each(|(found, v)| *found = beta * (v - *found * k_scale) * k_scale);
            for (s, k) in matrix.chunks_exact_mut(value_dim).zip(k) {
                s.iter_mut().zip(&found).for_each(|(s, change)| *s += k * change);
            }
            let likeness = dot(k, q);
            y.iter_mut().zip(&found).for_each(|(y, change)| *y = (*y + likeness * change) * q_scale);
            let scale = 1.0 / (dot(&y, &y) / value_dim as f32 + self.eps).sqrt();
            let z = &gates[self.qkv.cols + head * value_dim..][..value_dim];
            for ((y, z), norm) in y.iter_mut().zip(z).zip(norm) {
                *y *= scale * norm * z / (1.0 + (-z).exp());
            }
            write(row, &y);
        }
    }
}

/// ln(1 + eˣ)
pub(super) fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}
