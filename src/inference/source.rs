//! The source text of a sequence, in models with an encoder and a decoder: it is read once, as a
//! whole, and what the layers attend to of it are the first positions of the sequence. So whatever
//! holds for positions holds for it: it is shared, copied before it is written, kept for later
//! prompts, and given back.

use super::keys::source_keys;
use super::runner::Runner;
use super::sequences::Sequence;
use crate::engine::{Engine, ProgramId};
use crate::model::Decoder;
use crate::model::decoder::Activations;
use crate::model::kv_cache::KvPool;
use crate::ops::Recording;
use crate::record::{Memory, Step, rows};
use crate::{Error, Result};

/// What reads a source text. Each of its tokens sees all others, so that it goes in one step.
pub(super) struct SourceProgram<P = ProgramId> {
    /// Ids → keys and values at their positions.
    pub program: P,
    /// With room for a text as long as the context.
    activations: Activations,
}

impl SourceProgram<Recording> {
    /// `None` for a decoder that reads no source text.
    pub fn record(memory: &mut dyn Memory, decoder: &Decoder, kv: &KvPool) -> Result<Option<Self>> {
        let Some(encoder) = &decoder.source else { return Ok(None) };
        let activations = Activations::new(memory, encoder, decoder.context)?;
        let mut program = Recording::default();
        decoder.record_source(&mut program, kv, &activations)?;
        Ok(Some(Self { program, activations }))
    }

    /// Prepares it on the engine.
    pub fn prepare(self, engine: &mut dyn Engine) -> Result<SourceProgram> {
        Ok(SourceProgram { program: engine.prepare(self.program)?, activations: self.activations })
    }
}

impl Runner {
    /// Reads the source text of a sequence without positions. Errors: `OutOfMemory`, and `Internal`
    /// for a model that reads none.
    pub async fn read_source(&mut self, sequence: &mut Sequence, ids: &[u32]) -> Result<()> {
        self.grow(sequence, 0..ids.len()).await?;
        let (Some(source), Some(encoder)) = (&self.programs.source, &self.decoder.source) else {
            let (expected, got) = ("a model that reads a source text".into(), "another".into());
            return Err(Error::Internal { op: "run", expected, got });
        };
        let rows = rows(0, 0, ids);
        source.activations.write_angles(&mut self.engine, encoder, &rows)?;
        self.engine.run(source.program, &Step::new(&rows, &[sequence.blocks.table()]))?;
        sequence.keys.extend(source_keys(ids));
        sequence.source = ids.len();
        Ok(())
    }
}
