//! The projections before attention and before the activation. Where they are one matrix, what
//! follows is an epilogue of it: one dispatch. Else it is an operation of its own.

use super::{Activations, Decoder, Layer, Mlp};
use crate::Result;
use crate::ops::{Activate, Epilogue, Recording, RmsNorm, RopeAppend};
use crate::record::{KvCache, Tensor};

impl Decoder {
    /// a.qkv = norm(x) · qkv_proj, with RoPE, after QK-norm where there is one. Appends keys and
    /// values to `kv`.
    pub(super) fn record_qkv(&self, r: &mut Recording, layer: &Layer, kv: KvCache, a: &Activations) -> Result<()> {
        let (qkv, angles, heads, kind) = (a.qkv, a.angles[layer.rope], self.config.heads, self.config.rope_kind());
        let rope = RopeAppend { qkv, angles, kv, heads, kind };
        let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
        if layer.qkv_proj.parts.len() == 1 && layer.qk_norms.is_empty() {
            return layer.qkv_proj.linear(r, x, norm, Epilogue::RopeAppend(rope), qkv);
        }
        layer.qkv_proj.linear(r, x, norm, Epilogue::Store, qkv)?;
        self.record_qk_norms(r, layer, a)?;
        r.push(rope)
    }

    /// ffn = activation(gate(norm(x))) · up(norm(x)), or activation(up(norm(x)))
    pub(super) fn record_mlp(
        &self,
        r: &mut Recording,
        mlp: &Mlp,
        x: Tensor,
        norm: Option<RmsNorm>,
        gate_up: Tensor,
        ffn: Tensor,
    ) -> Result<()> {
        let activation = self.config.activation();
        if mlp.gate_up_proj.parts.len() == 1 {
            return mlp.gate_up_proj.linear(r, x, norm, Epilogue::Activate(activation), ffn);
        }
        mlp.gate_up_proj.linear(r, x, norm, Epilogue::Store, gate_up)?;
        r.push(Activate { activation, x: gate_up, y: ffn })
    }
}
