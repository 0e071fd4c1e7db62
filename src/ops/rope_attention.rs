//! `rope_attention`: all between the projection of queries, keys and values and the output
//! projection: QK-norm, RoPE, the append to the KV cache, attention.
//!
//! Many rows see each other's keys, so that keys must be there before attention begins: two
//! dispatches, the first of which normalises heads, rotates and appends. A single row sees one key
//! that is new: the workgroups of its pieces rotate the queries that they need, and the one of the
//! last piece also the key. So a decode step saves up to two dispatches for a few kilobytes that
//! each workgroup loads more.

use super::attention::Prologue;
use super::loads::f32s;
use super::{Attention, Binding, Command, Kernel, Loads, Norm, NormKind, Op, RopeAppend, RopeKind, Variants, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, Step};

/// QK-norm, then RoPE, then attention, over the same queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct RopeAttention {
    /// QK-norm: an RMSNorm of each head of q and of k, in place.
    pub norm: Option<Norm>,
    /// Rotates q and k, and appends k and v.
    pub rope: RopeAppend,
    /// Of the rotated queries, over the KV cache with what was appended. Where one dispatch does
    /// all, `q` holds the queries as they were before.
    pub attention: Attention,
}

impl Op for RopeAttention {
    fn check(&self) -> Result<()> {
        let Self { norm, rope, attention } = self;
        self.parts().iter().try_for_each(Op::check)?;
        let same = attention.q == rope.qkv && attention.kv == rope.kv && attention.heads == rope.heads;
        ensure(same, "rope_attention", "the same q, k and v", self)?;
        let fits = norm.as_ref().is_none_or(|norm| Self::takes(norm, rope));
        ensure(fits, "rope_attention", "an RMSNorm of each head of q and k, in place", norm)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        if !self.fuses(variants) {
            let (norm, first) = self.rope_norm();
            let before = first.iter().flat_map(|norm| norm.kernels(variants));
            return before.chain(self.rope.kernels_behind(norm)).chain(self.attention.kernels(variants)).collect();
        }
        let mut kernels = self.attention.kernels(variants);
        for Kernel { defines, constants, bindings, params, .. } in &mut kernels[..self.rope.kv.parts] {
            defines.push("ROPE");
            defines.extend((self.rope.kind == RopeKind::HalfSplit).then_some("HALF_SPLIT"));
            constants.push(("ROTARY_PAIRS", (self.rope.angles.cols / 2) as u32));
            bindings.push(self.rope.angles.into());
            if let Some(norm) = &self.norm {
                defines.push("NORM");
                bindings.push(Binding::from(norm.weight));
                params.push(norm.eps.to_bits());
            }
            if let Some(behind) = self.rope.behind {
                defines.push("BEHIND");
                bindings.push(Binding::from(behind));
            }
        }
        kernels
    }

    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        if !self.fuses(variants) {
            let (norm, first) = self.rope_norm();
            let before = first.iter().flat_map(|norm| norm.loads(variants, step));
            return before
                .chain(self.rope.loads_behind(norm, step))
                .chain(self.attention.loads(variants, step))
                .collect();
        }
        let mut loads = self.attention.loads(variants, step);
        let Prologue { pieces, newest } = self.attention.prologue(variants, step);
        let vectors = self.attention.heads / self.rope.kv.heads;
        let each = self.prologue_loads(vectors, 0) * (pieces - newest) + self.prologue_loads(vectors + 1, 1) * newest;
        let KvCache { parts, .. } = self.rope.kv;
        loads[..parts].iter_mut().for_each(|loads| *loads = *loads + each * self.rope.kv.part_heads());
        loads
    }
}

impl RopeAttention {
    /// Whether this norm may be part of it.
    pub fn takes(norm: &Norm, rope: &RopeAppend) -> bool {
        let heads = rope.heads + rope.kv.heads;
        let whole = norm.first_col == 0 && norm.groups == heads && norm.weight.cols == heads * rope.kv.head_dim;
        whole && norm.y == rope.qkv && norm.x == norm.y && norm.bias.is_none() && norm.kind == NormKind::Rms
    }

    /// The norm if RoPE takes it along; else the norm as a dispatch of its own.
    fn rope_norm(&self) -> (Option<&Norm>, Option<&Norm>) {
        match &self.norm {
            Some(norm) if self.rope.takes_norm() => (Some(norm), None),
            norm => (None, norm.as_ref()),
        }
    }

    /// The operations that are done one after the other.
    pub fn parts(&self) -> Vec<Command> {
        let norm = self.norm.map(Command::from);
        norm.into_iter().chain([self.rope.into(), self.attention.into()]).collect()
    }

    /// Whether the dispatches over keys and values do all: for a single row that sees none behind
    /// it, if each key head is of one workgroup, since only one may append.
    fn fuses(&self, variants: &Variants) -> bool {
        self.attention.causal && self.attention.y.rows == 1 && self.attention.takes_prologue(variants)
    }

    /// What a workgroup loads that rotates these many vectors; with `values` 1 it also appends
    /// values. The queries are those of attention.
    fn prologue_loads(&self, vectors: usize, values: usize) -> Loads {
        let (head_dim, rotary_dim) = (self.rope.kv.head_dim, self.rope.angles.cols);
        let (quads, norm) = (head_dim / 4, usize::from(self.norm.is_some()));
        let behind = usize::from(self.rope.behind.is_some());
        // the key and the value; the weights of the norm, and behind
        let once = values * 2 * head_dim + (norm + behind) * vectors * head_dim;
        // of each rotated value: the angle, and both of its pair; and the squares, by all four
        let rotated = vectors * (head_dim + 3 * rotary_dim + norm * quads * quads);
        // of each quad of the key and the value, the largest of its group of eight, in bytes
        let group = if self.rope.kv.format == KvFormat::Q8 { 8 } else { 0 };
        let memory = rotated + values * 2 * quads * group;
        let (activations, lane_activations) = (f32s(once + rotary_dim), f32s(once + memory));
        Loads { activations, lane_activations, ..Loads::default() }
    }
}
