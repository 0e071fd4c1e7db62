//! `rope_append`: applies rotary position embeddings (Su et al. 2021, arXiv 2104.09864) to queries
//! and keys, and appends keys and values to the KV cache. It is one operation, so that each key is
//! read and written once.
//!
//! The host computes the cosines and sines of each row in f64: WGSL guarantees the precision of
//! `sin` and `cos` only within [-π, π], and angles grow far beyond that.

use std::ops::Range;

use super::loads::f32s;
use super::{Binding, Kernel, Loads, Norm, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{KV_BLOCK, KvCache, KvFormat, Step, Tensor};

/// Which values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeKind {
    /// (2i, 2i + 1), as in the paper and in GGUF files of Llama models.
    Interleaved,
    /// (i, i + rotary_dim / 2), as in GPT-NeoX and most other models.
    HalfSplit,
}

/// Rotates q and k of each row by its position; writes q back to `qkv`, and k and v to the KV cache
/// at that position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeAppend {
    /// (rows, (heads + 2 kv.heads) · head_dim): q, k and v of each row; q is rotated in place.
    pub qkv: Tensor,
    /// (rows, rotary_dim): cos and sin of each row's pair i in columns 2i and 2i + 1.
    pub angles: Tensor,
    /// The cache that receives keys and values.
    pub kv: KvCache,
    /// Number of query heads.
    pub heads: usize,
    /// Which values form a pair.
    pub kind: RopeKind,
    /// (1, (heads + kv.heads) · head_dim): factors of the rotated q and k, of which all is rotated
    /// then: the weights of a QK-norm behind RoPE, which does not change what it divides by.
    pub behind: Option<Tensor>,
}

/// Invocations of a workgroup at least.
const WORKGROUP: usize = 64;

/// The same at most.
const MOST: usize = 256;

impl Op for RopeAppend {
    fn check(&self) -> Result<()> {
        let (cols, head_dim) = (self.all_heads() * self.kv.head_dim, self.kv.head_dim);
        ensure(self.qkv.cols == cols, "rope_append", "qkv.cols = (heads + 2 kv.heads) · head_dim", self.qkv.cols)?;
        let unit = if self.kv.format == KvFormat::F32 { 2 } else { self.kv.format.unit() };
        ensure(head_dim.is_multiple_of(unit), "rope_append", "an even head_dim, in units of its format", head_dim)?;
        let KvCache { heads: kv_heads, parts, .. } = self.kv;
        let whole = kv_heads.is_multiple_of(parts) && self.heads.is_multiple_of(parts);
        ensure(whole, "rope_append", "equal parts of heads and kv.heads", self)?;
        let rotary_dim = self.angles.cols;
        let fits = rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim;
        ensure(fits, "rope_append", "even rotary_dim ≤ head_dim", rotary_dim)?;
        let whole = (self.heads + kv_heads) * head_dim;
        let has_factors = self.behind.is_none_or(|behind| behind.cols == whole && rotary_dim == head_dim);
        ensure(has_factors, "rope_append", "a factor of each rotated value", self.behind)?;
        ensure(self.angles.rows == self.qkv.rows, "rope_append", "angles.rows = qkv.rows", self.angles.rows)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        self.kernels_behind(None)
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        self.loads_behind(None, step)
    }
}

impl RopeAppend {
    /// Whether its dispatches can normalise each head of q and k first: if a workgroup has whole
    /// heads, since q is changed in place.
    pub(super) fn takes_norm(&self) -> bool {
        let pairs = self.kv.head_dim / 2;
        pairs <= MOST && self.workgroup(true).is_multiple_of(pairs)
    }

    fn workgroup(&self, normed: bool) -> usize {
        if normed { WORKGROUP.max(self.kv.head_dim / 2) } else { WORKGROUP }
    }

    /// The dispatches, behind a norm if they are to do it.
    pub(super) fn kernels_behind(&self, norm: Option<&Norm>) -> Vec<Kernel> {
        let workgroup = self.workgroup(norm.is_some());
        let KvCache { head_dim, parts, .. } = self.kv;
        let half_split = (self.kind == RopeKind::HalfSplit).then_some("HALF_SPLIT");
        let (rows, heads, kv_heads) = (self.qkv.rows, self.heads / parts, self.kv.part_heads());
        let of_part = |part: usize| Kernel {
            shader: "rope_append",
            defines: half_split
                .into_iter()
                .chain(self.kv.format.define())
                .chain(self.behind.map(|_| "BEHIND"))
                .chain(norm.map(|_| "NORM"))
                .collect(),
            constants: vec![("KV_BLOCK", KV_BLOCK as u32), ("WORKGROUP", workgroup as u32)],
            bindings: [Binding::Rows, self.qkv.into(), self.angles.into(), self.kv.part(part)]
                .into_iter()
                .chain(self.behind.map(Binding::from))
                .chain(norm.map(|norm| norm.weight.into()))
                .collect(),
            params: [rows, heads, kv_heads, head_dim, self.angles.cols, part, parts]
                .map(|v| v as u32)
                .into_iter()
                .chain(norm.map(|norm| norm.eps.to_bits()))
                .collect(),
            // one invocation per two values
            workgroups: [ceil_div(self.all_heads() / parts * head_dim / 2, workgroup), rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        };
        (0..parts).map(of_part).collect()
    }

    /// What these load.
    pub(super) fn loads_behind(&self, norm: Option<&Norm>, step: &Step) -> Vec<Loads> {
        let (KvCache { head_dim, parts, .. }, workgroup) = (self.kv, self.workgroup(norm.is_some()));
        let pairs = self.all_heads() / parts * head_dim / 2;
        let of = |first| self.pair_loads(first..pairs.min(first + workgroup), norm.is_some());
        let workgroups = (0..pairs).step_by(workgroup).map(of);
        vec![workgroups.sum::<Loads>() * step.count(self.qkv.rows); parts]
    }

    /// Number of heads of q, k and v together.
    fn all_heads(&self) -> usize {
        self.heads + 2 * self.kv.heads
    }

    /// Of the workgroup of these pairs, among those of a part.
    fn pair_loads(&self, mut pairs: Range<usize>, normed: bool) -> Loads {
        let (width, half) = (self.kv.head_dim / 2, self.angles.cols / 2);
        let (heads, kv_heads) = (self.heads / self.kv.parts, self.kv.part_heads());
        let (mut values, mut lane_values, mut memory, mut angles) = (0, 0, 0, vec![false; half]);
        // an appended pair needs those of its group, and for a whole word its neighbour
        let beside = if self.kv.format == KvFormat::Q8 { 2 * 16 + 1 } else { 0 };
        while !pairs.is_empty() {
            let (head, first) = (pairs.start / width, pairs.start % width);
            let end = width.min(first + pairs.len());
            pairs.start += end - first;
            let (whole, split) = (first..end.min(half), self.kind == RopeKind::HalfSplit);
            let rest = end - end.min(half.max(first));
            // pairs that are copied; pairs that are rotated, and how often
            let (copied, rotated, times) = match head {
                head if head < heads => (if normed { rest } else { 0 }, whole, 1),
                head if head >= heads + kv_heads => (end - first, 0..0, 1),
                // both values of a pair are needed for either, and neighbours may be of two pairs
                _ if split => (rest, 2 * whole.start..2 * whole.end, 1),
                _ => (rest, whole, 2),
            };
            // each value once more for the squares, and those of its head from workgroup memory
            let normed = usize::from(normed && head < heads + kv_heads);
            memory += normed * (end - first) * (2 + width);
            memory += if head < heads { 0 } else { beside * (end - first) };
            let factors = usize::from(self.behind.is_some());
            values += 2 * ((1 + normed) * copied + (1 + factors + normed) * rotated.len().min(half));
            lane_values += 2 * (1 + normed) * copied + (4 + 2 * factors + 2 * normed) * times * rotated.len();
            rotated.for_each(|pair| angles[pair % half] = true);
        }
        let angles = angles.into_iter().filter(|&is_loaded| is_loaded).count();
        let (activations, lane_activations) = (f32s(values + 2 * angles), f32s(lane_values + memory));
        Loads { activations, lane_activations, workgroups: u64::from(values > 0), ..Loads::default() }
    }

    /// `qkv`: (rows, …), rotated in place; `angles`: (rows, rotary_dim); `behind`: its factors;
    /// `blocks`: those of `kv`, each of [`KvCache::block_len`].
    pub fn reference(
        &self,
        step: &Step,
        qkv: &mut [f32],
        (angles, behind): (&[f32], Option<&[f32]>),
        blocks: &mut [Vec<f32>],
    ) {
        for (qkv, angles) in qkv.chunks_exact_mut(self.qkv.cols).zip(angles.chunks(self.angles.cols.max(1))) {
            self.rotate(qkv, angles, behind);
        }
        self.append(step, qkv, |block, first, values| {
            let place = &mut blocks[block][first..][..values.len()];
            place.copy_from_slice(values);
            self.kv.format.round(place);
        });
    }

    /// Rotates q and k of a row by its angles.
    pub fn rotate(&self, qkv: &mut [f32], angles: &[f32], behind: Option<&[f32]>) {
        let d = self.kv.head_dim;
        for head in qkv[..(self.heads + self.kv.heads) * d].chunks_exact_mut(d) {
            rotate(head, angles, self.kind);
        }
        qkv.iter_mut().zip(behind.into_iter().flatten()).for_each(|(value, factor)| *value *= factor);
    }

    /// Gives k and v of each row, head by head, to `write`: a block, the first of their places in
    /// it, and their values.
    pub fn append(&self, step: &Step, qkv: &[f32], mut write: impl FnMut(usize, usize, &[f32])) {
        let d = self.kv.head_dim;
        for (row, qkv) in step.rows.iter().zip(qkv.chunks_exact(self.qkv.cols)) {
            let (block, position) = step.slot(row);
            let (keys, values) = qkv[self.heads * d..].split_at(self.kv.heads * d);
            for (h, (key, value)) in keys.chunks_exact(d).zip(values.chunks_exact(d)).enumerate() {
                let slot = position..position + 1;
                write(block, self.kv.keys(h, slot.clone()).start, key);
                write(block, self.kv.values(h, slot).start, value);
            }
        }
    }
}

/// Rotates the pairs of `head` by `angles` (cos and sin of each pair); values past rotary_dim stay
/// as they are.
fn rotate(head: &mut [f32], angles: &[f32], kind: RopeKind) {
    let pairs = angles.len() / 2;
    for i in 0..pairs {
        let (a, b) = match kind {
            RopeKind::Interleaved => (2 * i, 2 * i + 1),
            RopeKind::HalfSplit => (i, i + pairs),
        };
        let (cos, sin) = (angles[2 * i], angles[2 * i + 1]);
        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_swaps_a_pair_and_leaves_the_rest() {
        for (kind, expected) in [
            (RopeKind::Interleaved, [-2.0, 1.0, -4.0, 3.0, 5.0, 6.0]),
            (RopeKind::HalfSplit, [-3.0, -4.0, 1.0, 2.0, 5.0, 6.0]),
        ] {
            let mut head = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            rotate(&mut head, &[0.0, 1.0, 0.0, 1.0], kind);
            assert_eq!(head, expected, "{kind:?}");
        }
    }
}
