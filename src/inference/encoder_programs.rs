//! The programs of a loaded encoder: its layers, and each head.

use super::embedding::TOGETHER;
use crate::Result;
use crate::engine::{Engine, ProgramId};
use crate::model::Encoder;
use crate::model::decoder::{Activations, activations};
use crate::model::kv_cache::KvPool;
use crate::ops::{Command, Epilogue, Recording};
use crate::record::{KvFormat, Memory, Tensor};

/// First recordings, then what an engine made of them.
pub(super) struct EncoderPrograms<P = ProgramId> {
    pub activations: Activations,
    /// Keys and values of the text, of one layer after the other.
    pub kv: KvPool,
    /// Ids → `activations.x`
    pub layers: P,
    /// The first row of `activations.x`, or the mean of all → (1, labels)
    pub classifier: Option<Head<P>>,
    /// Each row of `activations.x` → (tokens, labels)
    pub token_classifier: Option<Head<P>>,
    /// One row → (1, vocab)
    pub masked: Option<Head<P>>,
    /// Vectors of texts, as many as share a step → (texts, outputs)
    pub dense: Option<Head<P>>,
    /// Values of a tile's patches, and what the layers made of them → rows of a decoder
    pub tower: Option<(Tensor, Head<P>)>,
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
        let (config, context) = (&encoder.trunk.config, encoder.trunk.context);
        let a = Activations::new(memory, &encoder.trunk, context)?;
        let (hidden, labels) = (config.hidden, encoder.encoder_config.labels.len());
        let mut layers = Recording::default();
        // keys and values of one text, for a moment: nothing is gained by holding them in less
        let kv = KvPool::new(memory, config, 1, KvFormat::F32, context)?;
        let mut tower = None;
        match (&encoder.tower, &encoder.encoder_config.tower) {
            (Some(weights), Some(sizes)) => {
                let pixels = activations(memory, sizes.patches(), sizes.values())?;
                let logits = activations(memory, sizes.rows(), sizes.width)?;
                encoder.record_tower(&mut layers, weights, pixels, kv.layer(0), &a)?;
                let (mut program, x) = (Recording::default(), sizes.merged(a.x));
                weights.projector.linear(&mut program, x, None, Epilogue::Store, logits)?;
                tower = Some((pixels, Head { program, x, logits }));
            }
            _ => encoder.record_layers(&mut layers, kv.layer(0), &a)?,
        }
        let (mut classifier, mut token_classifier, mut masked, mut dense) = (None, None, None, None);
        if let Some(head) = &encoder.classifier {
            let (pooled, logits) = (activations(memory, 1, hidden)?, activations(memory, 1, labels)?);
            let mut program = Recording::default();
            let x = if encoder.encoder_config.classifies_mean { activations(memory, 1, hidden)? } else { a.x };
            encoder.record_classifier(&mut program, head, x, pooled, logits)?;
            classifier = Some(Head { program, x, logits });
        }
        if let Some(weight) = &encoder.token_classifier {
            let logits = activations(memory, context, labels)?;
            let mut program = Recording::default();
            weight.linear(&mut program, a.x, None, Epilogue::Store, logits)?;
            token_classifier = Some(Head { program, x: a.x, logits });
        }
        if let Some(head) = &encoder.masked {
            let (x, transformed) = (activations(memory, 1, hidden)?, activations(memory, 1, hidden)?);
            let logits = activations(memory, 1, encoder.trunk.vocab)?;
            let mut program = Recording::default();
            encoder.record_masked(&mut program, head, x, transformed, logits)?;
            masked = Some(Head { program, x, logits });
        }
        if let (Some([first, second]), Some([inner, outputs])) = (&encoder.dense, encoder.encoder_config.dense) {
            let rows = context.min(TOGETHER);
            let (x, middle) = (activations(memory, rows, hidden)?, activations(memory, rows, inner)?);
            let logits = activations(memory, rows, outputs)?;
            let mut program = Recording::default();
            first.linear(&mut program, x, None, Epilogue::Store, middle)?;
            second.linear(&mut program, middle, None, Epilogue::Store, logits)?;
            dense = Some(Head { program, x, logits });
        }
        let stages = Vec::new();
        Ok(Self { activations: a, kv, layers, classifier, token_classifier, masked, dense, tower, stages })
    }

    /// All recorded commands.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let heads = [&self.classifier, &self.token_classifier, &self.masked, &self.dense].into_iter().flatten();
        let heads = heads.chain(self.tower.iter().map(|(_, head)| head)).map(|head| &head.program);
        [&self.layers].into_iter().chain(heads).flat_map(|recording| &recording.commands)
    }

    /// Prepares all programs on the engine.
    pub fn prepare(self, engine: &mut dyn Engine) -> Result<EncoderPrograms> {
        let Self { activations, kv, layers, classifier, token_classifier, masked, dense, tower, stages } = self;
        let mut head = |head: Option<Head<Recording>>| -> Result<Option<Head>> {
            head.map(|Head { program, x, logits }| Ok(Head { program: engine.prepare(program)?, x, logits }))
                .transpose()
        };
        let (classifier, token_classifier) = (head(classifier)?, head(token_classifier)?);
        let (masked, dense) = (head(masked)?, head(dense)?);
        let tower = match tower {
            Some((pixels, projector)) => head(Some(projector))?.map(|projector| (pixels, projector)),
            None => None,
        };
        let layers = engine.prepare(layers)?;
        Ok(EncoderPrograms { activations, kv, layers, classifier, token_classifier, masked, dense, tower, stages })
    }
}

impl EncoderPrograms {
    /// The embedding (0), or a layer alone (its number from 1 on).
    pub fn stage(&mut self, engine: &mut dyn Engine, encoder: &Encoder, stage: usize) -> Result<ProgramId> {
        self.stages.resize(encoder.trunk.layers.len() + 1, None);
        if let Some(ready) = self.stages[stage] {
            return Ok(ready);
        }
        let (mut recording, a) = (Recording::default(), &self.activations);
        match stage.checked_sub(1) {
            None => encoder.trunk.record_embedding(&mut recording, a)?,
            Some(layer) => encoder.record_layer(&mut recording, layer, self.kv.layer(0), a)?,
        }
        let ready = engine.prepare(recording)?;
        self.stages[stage] = Some(ready);
        Ok(ready)
    }
}
