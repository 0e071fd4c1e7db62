//! Looks inside an encoder while it reads a text: attention weights and residual streams.

use super::types::{Floats, InspectEvent, InspectOptions, LayerSeen, Seen, TokenSeen, invalid};
use super::walk::{norm, vectors, weights};
use crate::engine::Engine;
use crate::inference::encoder::LoadedEncoder;
use crate::inference::generation::GenerationId;
use crate::inference::not_started;
use crate::ops::attention::Learned;
use crate::record::{Memory, Step, rows};
use crate::{Error, Result};

/// An inspection under way.
pub(in crate::inference) struct EncoderInspecting {
    ids: Vec<u32>,
    options: InspectOptions,
    /// The stage that is next: 0 for the embedding, then the layers.
    stage: usize,
    /// (tokens, hidden): residual stream of each token.
    x: Vec<f32>,
}

impl LoadedEncoder {
    /// Starts to look inside the model while it reads `ids`, special tokens included. The handle
    /// must be given back with [`LoadedEncoder::stop`]. Errors: `TextTooLong`, `InvalidOption`,
    /// `Tokenize`.
    pub fn inspect(&mut self, ids: Vec<u32>, options: InspectOptions) -> Result<GenerationId> {
        let (needed, most) = (ids.len(), self.encoder.trunk.context);
        if needed == 0 {
            return Err(invalid("prompt", "at least one token".into(), "an empty prompt"));
        }
        if needed > most {
            return Err(Error::TextTooLong { needed, most });
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.encoder.trunk.vocab) {
            return Err(Error::Tokenize(format!("token id {id} is not in the vocabulary")));
        }
        let others = [
            ("lens", options.lens.is_some()),
            ("next", options.next.is_some()),
            ("logprobs", options.logprobs),
            ("timing", options.timing),
        ];
        if let Some((name, _)) = others.into_iter().find(|(_, asked)| *asked) {
            let expected = "none: of an encoder, `attention` and `hiddenStates` can be seen".into();
            return Err(invalid(name, expected, "it"));
        }
        options.check(self.encoder.trunk.layers.len(), self.encoder.trunk.config.heads, needed, needed)?;
        self.next_id += 1;
        let id = self.next_id.into();
        self.inspecting.push((id, EncoderInspecting { ids, options, stage: 0, x: Vec::new() }));
        Ok(id)
    }

    /// Reads a layer. An error ends the inspection. Errors: `OutOfMemory`, `InvalidOption` after
    /// the end, and those of the engine.
    pub async fn inspect_next(&mut self, id: GenerationId) -> Result<InspectEvent> {
        let at = self.inspecting.iter().position(|(other, _)| *other == id);
        let (_, mut inspecting) = self.inspecting.swap_remove(at.ok_or_else(|| not_started("inspect_next"))?);
        let stages = inspecting.options.depth(self.encoder.trunk.layers.len()).map_or(0, |depth| depth + 1);
        if inspecting.stage == stages {
            let token = |&id| TokenSeen::of(&self.tokenizer, id, None);
            let rotations = inspecting.options.rotations.then(Vec::new);
            let tokens = inspecting.ids.iter().map(token).collect();
            return Ok(InspectEvent::End(Seen { tokens, rotations, ..Seen::default() }));
        }
        let seen = self.read_stage(&mut inspecting).await?;
        self.inspecting.push((id, inspecting));
        Ok(InspectEvent::Layer(seen))
    }

    /// Ends an inspection in any state.
    pub fn stop(&mut self, id: GenerationId) {
        self.inspecting.retain(|(other, _)| *other != id);
    }

    async fn read_stage(&mut self, inspecting: &mut EncoderInspecting) -> Result<LayerSeen> {
        let EncoderInspecting { ids, options, stage, x: stream } = inspecting;
        let (count, a) = (ids.len(), self.programs.activations.clone());
        self.make_room(&[count]).await?;
        if *stage > 0 {
            self.engine.write_values(a.x.buffer, 0, stream)?;
        }
        let program = self.programs.stage(&mut self.engine, &self.encoder, *stage)?;
        let rows = rows(0, 0, ids);
        a.write_angles(&mut self.engine, &self.encoder.trunk, &rows)?;
        self.engine.run(program, &Step::new(&rows, &[self.blocks[0].table()]))?;
        let layer = stage.checked_sub(1);
        let attention = self.encoder.trunk.attention(layer.unwrap_or(0), self.programs.kv.layer(0), &a);
        let mut seen = LayerSeen { layer, heads: attention.heads, ..LayerSeen::default() };
        if layer.is_some_and(|layer| options.attends(layer)) {
            let q = (0..count).map(|row| row * attention.q.cols..row * attention.q.cols + attention.y.cols);
            let q = self.engine.read_ranges(attention.q.buffer, q.collect());
            let mut keys = self.programs.kv.ranges(0, &self.blocks[0], count);
            keys.truncate(keys.len() / 2);
            let keys = self.engine.read_ranges(attention.kv.buffer, keys);
            let (q, keys) = (q.await?, keys.await?);
            let [sinks, bias] = vectors(&mut self.engine, &attention).await?;
            let learned = Learned { sinks: sinks.as_deref(), bias: bias.as_deref() };
            seen.attention = Some(Floats(weights(&attention, 0, count, &q, &keys, learned)?));
        }
        *stream = self.engine.read_values(a.x.buffer, count * a.x.cols).await?;
        if options.hidden_states {
            seen.norms = Some(Floats(stream.chunks_exact(a.x.cols).map(norm).collect()));
        }
        *stage += 1;
        Ok(seen)
    }
}
