//! The programs of a loaded encoder: its layers, and each head.

use crate::Result;
use crate::engine::{Engine, ProgramId};
use crate::model::Encoder;
use crate::model::decoder::activations;
use crate::model::encoder::EncoderActivations;
use crate::model::kv_cache::KvPool;
use crate::ops::{Command, Epilogue, Recording};
use crate::record::{KvFormat, Memory, Tensor};

/// First recordings, then what an engine made of them.
pub(super) struct EncoderPrograms<P = ProgramId> {
    pub activations: EncoderActivations,
    /// Keys and values of the text, of one layer after the other.
    pub kv: KvPool,
    /// Ids → `activations.x`
    pub layers: P,
    /// The first row of `activations.x` → (1, labels)
    pub classifier: Option<Head<P>>,
    /// Each row of `activations.x` → (tokens, labels)
    pub token_classifier: Option<Head<P>>,
    /// One row → (1, vocab)
    pub masked: Option<Head<P>>,
    /// The embedding alone, then each layer alone; made when they are first used.
    stages: Vec<Option<ProgramId>>,
}

/// A head: an output layer for a task.
#[derive(Clone, Copy)]
pub(super) struct Head<P = ProgramId> {
    pub program: P,
    /// Its input.
    pub x: Tensor,
    pub logits: Tensor,
}

impl EncoderPrograms<Recording> {
    /// Records all programs. Weights may still be loading.
    pub fn record(memory: &mut dyn Memory, encoder: &Encoder) -> Result<Self> {
        let a = EncoderActivations::new(memory, encoder)?;
        let (hidden, labels) = (encoder.config.hidden, encoder.encoder_config.labels.len());
        let mut layers = Recording::default();
        // keys and values of one text, for a moment: nothing is gained by holding them in less
        let kv = KvPool::new(memory, &encoder.config, 1, KvFormat::F32, encoder.context)?;
        encoder.record_layers(&mut layers, kv.layer(0), &a)?;
        let (mut classifier, mut token_classifier, mut masked) = (None, None, None);
        if let Some(head) = &encoder.classifier {
            let (pooled, logits) = (activations(memory, 1, hidden)?, activations(memory, 1, labels)?);
            let mut program = Recording::default();
            encoder.record_classifier(&mut program, head, a.x, pooled, logits)?;
            classifier = Some(Head { program, x: a.x, logits });
        }
        if let Some(weight) = &encoder.token_classifier {
            let logits = activations(memory, encoder.context, labels)?;
            let mut program = Recording::default();
            weight.linear(&mut program, a.x, None, Epilogue::Store, logits)?;
            token_classifier = Some(Head { program, x: a.x, logits });
        }
        if let Some(head) = &encoder.masked {
            let (x, transformed) = (activations(memory, 1, hidden)?, activations(memory, 1, hidden)?);
            let logits = activations(memory, 1, encoder.vocab)?;
            let mut program = Recording::default();
            encoder.record_masked(&mut program, head, x, transformed, logits)?;
            masked = Some(Head { program, x, logits });
        }
        Ok(Self { activations: a, kv, layers, classifier, token_classifier, masked, stages: Vec::new() })
    }

    /// All recorded commands.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let heads = [&self.classifier, &self.token_classifier, &self.masked].into_iter().flatten();
        [&self.layers].into_iter().chain(heads.map(|head| &head.program)).flat_map(|recording| &recording.commands)
    }

    /// Prepares all programs on the engine.
    pub fn prepare(self, engine: &mut dyn Engine) -> Result<EncoderPrograms> {
        let Self { activations, kv, layers, classifier, token_classifier, masked, stages } = self;
        let mut head = |head: Option<Head<Recording>>| -> Result<Option<Head>> {
            head.map(|Head { program, x, logits }| Ok(Head { program: engine.prepare(program)?, x, logits }))
                .transpose()
        };
        let (classifier, token_classifier, masked) = (head(classifier)?, head(token_classifier)?, head(masked)?);
        let layers = engine.prepare(layers)?;
        Ok(EncoderPrograms { activations, kv, layers, classifier, token_classifier, masked, stages })
    }
}

impl EncoderPrograms {
    /// The embedding (0), or a layer alone (its number from 1 on).
    pub fn stage(&mut self, engine: &mut dyn Engine, encoder: &Encoder, stage: usize) -> Result<ProgramId> {
        self.stages.resize(encoder.layers.len() + 1, None);
        if let Some(ready) = self.stages[stage] {
            return Ok(ready);
        }
        let (mut recording, a) = (Recording::default(), &self.activations);
        match stage.checked_sub(1) {
            None => encoder.record_embedding(&mut recording, a)?,
            Some(layer) => encoder.record_layer(&mut recording, layer, self.kv.layer(0), a)?,
        }
        let ready = engine.prepare(recording)?;
        self.stages[stage] = Some(ready);
        Ok(ready)
    }
}
