//! What a session has recorded: the work of a token, of a chunk of the prompt, and of sampling where the engine does it.

use crate::Result;
use crate::engine::{Engine, ProgramId};
use crate::model::Decoder;
use crate::model::decoder::{Scratch, activations};
use crate::ops::{Recording, Sample};
use crate::record::{Memory, Tensor};

/// Recordings that an engine has made ready.
pub(super) struct Programs {
    /// Tokens of a chunk of the prompt.
    pub rows: usize,
    /// One token → its logits.
    pub decode: ProgramId,
    /// A chunk of the prompt.
    pub prompt: ProgramId,
    /// Logits of the chunk's last token.
    pub last_logits: ProgramId,
    /// (1, vocab)
    pub logits: Tensor,
    /// Where the engine can sample.
    pub device: Option<DevicePrograms>,
    scratch: Scratch,
    /// Logits of every token of the chunk; made when first asked for.
    all_logits: Option<(ProgramId, Tensor)>,
}

/// `decode` and `last_logits`, and the next id instead of their logits.
pub(super) struct DevicePrograms {
    pub decode: ProgramId,
    pub last: ProgramId,
    /// (1, 4)
    pub chain: Tensor,
    /// (1, 1)
    pub id: Tensor,
}

impl Programs {
    /// Records what every generation needs.
    pub fn new(engine: &mut dyn Engine, decoder: &Decoder) -> Result<Self> {
        let rows = engine.prompt_chunk().min(decoder.context);
        let memory: &mut dyn Memory = engine;
        let scratch = Scratch::new(memory, decoder, rows)?;
        let logits = activations(memory, 1, decoder.vocab)?;
        let last = activations(memory, 1, decoder.config.hidden)?;

        let mut decode = Recording::default();
        decoder.record_layers(&mut decode, &scratch.first(1))?;
        decoder.record_logits(&mut decode, &scratch.first(1), logits)?;
        let mut prompt = Recording::default();
        decoder.record_layers(&mut prompt, &scratch)?;
        let mut last_logits = Recording::default();
        decoder.record_last_logits(&mut last_logits, &scratch, last, logits)?;
        let device = match engine.device_sampling() {
            Some(_) => Some(DevicePrograms::new(engine, &decode, &last_logits, logits)?),
            None => None,
        };
        Ok(Self {
            rows,
            decode: engine.prepare(decode)?,
            prompt: engine.prepare(prompt)?,
            last_logits: engine.prepare(last_logits)?,
            logits,
            device,
            scratch,
            all_logits: None,
        })
    }

    /// Residual stream of a chunk → logits of all its tokens, (rows, vocab).
    pub fn all_logits(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<(ProgramId, Tensor)> {
        if let Some(ready) = self.all_logits {
            return Ok(ready);
        }
        let logits = activations(engine, self.rows, decoder.vocab)?;
        let mut recording = Recording::default();
        decoder.record_logits(&mut recording, &self.scratch, logits)?;
        let ready = (engine.prepare(recording)?, logits);
        self.all_logits = Some(ready);
        Ok(ready)
    }
}

impl DevicePrograms {
    /// From recordings that end with `logits`.
    fn new(engine: &mut dyn Engine, decode: &Recording, last_logits: &Recording, logits: Tensor) -> Result<Self> {
        let chain = activations(engine, 1, 4)?;
        let maxima = activations(engine, 1, Sample::blocks(logits.cols))?;
        let id = activations(engine, 1, 1)?;
        let mut with_sample = |recording: &Recording| {
            let mut recording = recording.clone();
            recording.push(Sample { logits, chain, maxima, y: id })?;
            engine.prepare(recording)
        };
        Ok(Self { decode: with_sample(decode)?, last: with_sample(last_logits)?, chain, id })
    }
}
