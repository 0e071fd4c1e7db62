//! The programs of a loaded decoder: a decode step, a chunk of the prompt, and sampling if the
//! engine can.

use super::embedding::TOGETHER;
use super::estimate::Counting;
use super::source::SourceProgram;
use super::together;
use crate::engine::trial::small;
use crate::engine::{Engine, PROMPT_CHUNK, ProgramId};
use crate::model::Decoder;
use crate::model::decoder::{Activations, activations as tensor};
use crate::model::kv_cache::KvPool;
use crate::ops::adjust::RECENT;
use crate::ops::{Adjust, Command, Epilogue, Index, Likely, PickRows, Recording, Sample, likely};
use crate::record::{KV_BLOCK, KvFormat, Memory, Tensor};
use crate::{Error, Result};

/// First recordings, then what an engine made of them.
pub(super) struct Programs<P = ProgramId> {
    /// Most tokens per chunk of the prompt.
    pub rows: usize,
    /// Most tokens of a step of which every row is read back: the logits of more would take much
    /// memory.
    pub read: usize,
    /// Keys and values of all sequences.
    pub kv: KvPool,
    /// Blocks that are kept for later prompts at most.
    pub kept: usize,
    /// (1, vocab)
    pub logits: Tensor,
    /// (1, hidden): the row that they are of.
    last: Tensor,
    /// Present if the engine can sample.
    pub sampling: Option<Sampling>,
    /// The programs over the layers.
    pub steps: Steps<P>,
    /// Of a model that reads a source text.
    pub source: Option<SourceProgram<P>>,
    pub later: Later,
}

/// The programs over the layers. Each choice of adapters has its own, on the same keys and values.
pub(super) struct Steps<P = ProgramId> {
    /// One token → its logits.
    pub decode: P,
    /// A chunk of the prompt.
    pub prompt: P,
    /// Logits of the chunk's last token.
    pub last_logits: P,
    /// `decode` and `last_logits`, and the next id instead of their logits, if the engine samples.
    pub sampled: Option<[P; 2]>,
    pub activations: Activations,
    /// The next tokens of several sequences, or of one → logits of each; made when first used.
    together: Option<ProgramId>,
    /// Logits of every token of a step, likewise.
    all_logits: Option<ProgramId>,
    /// The embedding alone, then each layer alone: for one token, and for a chunk.
    stages: Vec<[Option<ProgramId>; 2]>,
}

/// Programs of all choices of adapters, and what the later [`Steps`] write, made when they are
/// first used.
#[derive(Default)]
pub(super) struct Later {
    /// What programs with adapters run on: see [`Activations::widened`].
    pub wide: Option<Activations>,
    /// Logits of several sequences.
    together: Option<Tensor>,
    /// Logits of every token of a step.
    all_logits: Option<Tensor>,
    /// Output of the last norm for wanted rows.
    hidden: Option<(ProgramId, Tensor)>,
    /// Logits of a model that ranks.
    ranking: Option<(ProgramId, Tensor)>,
    /// Rows of the embedding table.
    table: Option<(ProgramId, Tensor)>,
    /// See [`Programs::picks`].
    picks: Option<[ProgramId; 2]>,
    adjusted: Option<AdjustedDraw>,
    likely: Option<(ProgramId, Tensor)>,
    /// Whether a draw of the engine was found to be wrong.
    draws_wrong: bool,
}

/// The draw of a generation whose sampler changes logits, and what it reads: see [`Adjust`].
#[derive(Clone, Copy)]
pub(super) struct AdjustedDraw {
    /// Logits → the next id.
    pub program: ProgramId,
    pub changes: Tensor,
    pub mask: Tensor,
    pub recent: Tensor,
}

/// What is kept for later prompts where nothing else is said: so many full contexts, and so many
/// blocks beside them, which short texts do not fill.
const KEPT_CONTEXTS: usize = 2;
const KEPT_BLOCKS: usize = 8;

/// Rows of the embedding table that are read at once.
const TABLE_ROWS: usize = 512;

/// What a draw on the device reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Sampling {
    /// (1, 4)
    pub chain: Tensor,
    /// (1, [`Sample::blocks`])
    pub maxima: Tensor,
    /// (1, 1)
    pub id: Tensor,
}

impl Programs<Recording> {
    /// Records the programs of every generation. Weights may still be loading. `rows`: largest
    /// number of tokens per chunk, unless a buffer for so many would be too large; `on_device`:
    /// whether the engine samples; `format`: of the KV cache.
    pub fn record(
        memory: &mut dyn Memory,
        decoder: &Decoder,
        rows: usize,
        on_device: bool,
        format: KvFormat,
    ) -> Result<Self> {
        Self::record_keeping(memory, decoder, rows, on_device, (format, None))
    }

    /// The same, with the most bytes of blocks that are kept for later prompts.
    pub fn record_keeping(
        memory: &mut dyn Memory,
        decoder: &Decoder,
        rows: usize,
        on_device: bool,
        (format, kept_bytes): (KvFormat, Option<u64>),
    ) -> Result<Self> {
        let rows = rows_that_fit(memory.max_buffer_bytes(), decoder, rows)?.min(decoder.context);
        let read = rows.min(PROMPT_CHUNK);
        let (config, layers) = (&decoder.config, decoder.layers.len());
        let kept = match kept_bytes {
            None => (KEPT_CONTEXTS * decoder.context).div_ceil(KV_BLOCK) + KEPT_BLOCKS,
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX) / KvPool::bytes_of_block(config, format),
        };
        // a sequence that runs, beside all that are kept
        let positions = decoder.context.saturating_add(kept.saturating_mul(KV_BLOCK));
        let kv = KvPool::new(memory, config, layers, format, positions)?;
        let activations = Activations::new(memory, decoder, rows)?;
        let logits = tensor(memory, 1, decoder.vocab)?;
        let last = tensor(memory, 1, decoder.config.hidden)?;
        let sampling = match on_device {
            true => Some(Sampling {
                chain: tensor(memory, 1, 4)?,
                maxima: tensor(memory, 1, Sample::blocks(logits.cols))?,
                id: tensor(memory, 1, 1)?,
            }),
            false => None,
        };
        let steps = Steps::record(decoder, activations, &kv, (last, logits), sampling)?;
        let source = SourceProgram::record(memory, decoder, &kv)?;
        Ok(Self { rows, read, kv, kept, logits, last, sampling, steps, source, later: Later::default() })
    }

    /// All recordings.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        self.steps.recordings().chain(self.source.iter().map(|source| &source.program))
    }

    /// All recorded commands.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.recordings().flat_map(|recording| &recording.commands)
    }

    /// Prepares all programs on the engine.
    pub fn prepare(self, engine: &mut dyn Engine) -> Result<Programs> {
        let Self { rows, read, kv, kept, logits, last, sampling, steps, source, later } = self;
        let source = source.map(|source| source.prepare(engine)).transpose()?;
        Ok(Programs { rows, read, kv, kept, logits, last, sampling, steps: steps.prepare(engine)?, source, later })
    }
}

impl Steps<Recording> {
    /// Records the layers of `decoder` over these activations. `last` and `logits`: see
    /// [`Programs`].
    fn record(
        decoder: &Decoder,
        activations: Activations,
        kv: &KvPool,
        (last, logits): (Tensor, Tensor),
        sampling: Option<Sampling>,
    ) -> Result<Self> {
        let a = &activations;
        let mut decode = Recording::default();
        decoder.record_layers(&mut decode, kv, &a.first(1))?;
        decoder.record_logits(&mut decode, &a.first(1), logits)?;
        let mut prompt = Recording::default();
        decoder.record_layers(&mut prompt, kv, a)?;
        let mut last_logits = Recording::default();
        decoder.record_last_logits(&mut last_logits, a, last, logits)?;
        let with_sample = |recording: &Recording, Sampling { chain, maxima, id }| {
            let mut recording = recording.clone();
            recording.push(Sample { logits, chain, maxima, y: id })?;
            Ok::<_, Error>(recording)
        };
        let sampled = match sampling {
            Some(sampling) => Some([with_sample(&decode, sampling)?, with_sample(&last_logits, sampling)?]),
            None => None,
        };
        let (together, all_logits, stages) = Default::default();
        Ok(Self { decode, prompt, last_logits, sampled, activations, together, all_logits, stages })
    }

    /// All recordings.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        [&self.decode, &self.prompt, &self.last_logits].into_iter().chain(self.sampled.iter().flatten())
    }

    /// Prepares all programs on the engine.
    pub fn prepare(self, engine: &mut dyn Engine) -> Result<Steps> {
        let Self { decode, prompt, last_logits, sampled, activations, .. } = self;
        let (together, all_logits, stages) = Default::default();
        let sampled = match sampled {
            Some([decode, last]) => Some([engine.prepare(decode)?, engine.prepare(last)?]),
            None => None,
        };
        let (decode, prompt) = (engine.prepare(decode)?, engine.prepare(prompt)?);
        let last_logits = engine.prepare(last_logits)?;
        Ok(Steps { decode, prompt, last_logits, sampled, activations, together, all_logits, stages })
    }
}

impl Steps {
    /// Gives all programs back.
    pub fn release(self, engine: &mut dyn Engine) {
        let Self { decode, prompt, last_logits, sampled, together, all_logits, stages, .. } = self;
        let later = [together, all_logits].into_iter().chain(stages.into_iter().flatten()).flatten();
        let programs = [decode, prompt, last_logits].into_iter().chain(sampled.into_iter().flatten()).chain(later);
        programs.for_each(|program| engine.release(program));
    }
}

impl<P> Programs<P> {
    /// Records the steps of the decoder with adapters, over these activations.
    pub fn record_steps(&self, decoder: &Decoder, activations: Activations) -> Result<Steps<Recording>> {
        Steps::record(decoder, activations, &self.kv, (self.last, self.logits), self.sampling)
    }

    /// The recording of [`Programs::together`] for so many rows, and the logits, which are made
    /// unless they are there.
    pub fn record_together(
        &self,
        memory: &mut dyn Memory,
        decoder: &Decoder,
        rows: usize,
    ) -> Result<(Recording, Tensor)> {
        let rows = rows.min(self.rows);
        let logits = self.later.together.map_or_else(|| tensor(memory, rows, decoder.vocab), Ok)?;
        let (mut recording, a) = (Recording::default(), self.steps.activations.first(rows));
        decoder.record_layers(&mut recording, &self.kv, &a)?;
        decoder.record_logits(&mut recording, &a, logits)?;
        recording.exact = true;
        Ok((recording, logits))
    }

    /// The same of [`Programs::all_logits`].
    pub fn record_all_logits(&self, memory: &mut dyn Memory, decoder: &Decoder) -> Result<(Recording, Tensor)> {
        let logits = self.later.all_logits.map_or_else(|| tensor(memory, self.read, decoder.vocab), Ok)?;
        let mut recording = Recording::default();
        decoder.record_logits(&mut recording, &self.steps.activations.first(self.read), logits)?;
        Ok((recording, logits))
    }

    /// The recordings of [`Programs::adjusted`] and [`Programs::likely`], over buffers that they
    /// will not have: to check their shaders, and to count them. Errors: `Internal` for an engine
    /// that does not sample.
    pub fn later_draws(&self) -> Result<(Recording, Recording)> {
        let mut memory = Counting::default();
        Ok((self.record_adjusted(&mut memory)?.0, self.record_likely(&mut memory)?.0))
    }

    /// The recording of [`Programs::adjusted`]; its changes, its mask and its recent ids.
    fn record_adjusted(&self, memory: &mut dyn Memory) -> Result<(Recording, [Tensor; 3])> {
        let (logits, vocab) = (self.logits, self.logits.cols);
        let changes = tensor(memory, 1, Adjust::room(vocab))?;
        let mask = tensor(memory, 1, Adjust::mask_words(vocab))?;
        let (recent, y) = (tensor(memory, 1, RECENT)?, tensor(memory, 1, vocab)?);
        let Sampling { chain, maxima, id } = self.sampling()?;
        let mut recording = Recording::default();
        recording.push(Adjust { logits, changes, mask, recent, y })?;
        recording.push(Sample { logits: y, chain, maxima, y: id })?;
        Ok((recording, [changes, mask, recent]))
    }

    /// The recording of [`Programs::likely`].
    fn record_likely(&self, memory: &mut dyn Memory) -> Result<(Recording, Tensor)> {
        let Sampling { maxima, id, .. } = self.sampling()?;
        let (sums, y) = (tensor(memory, 1, maxima.cols)?, tensor(memory, 1, likely::WORDS)?);
        let mut recording = Recording::default();
        recording.push(Likely { logits: self.logits, maxima, sums, id, y })?;
        Ok((recording, y))
    }

    /// What draws on the device use. Errors: `Internal` on another.
    pub fn sampling(&self) -> Result<Sampling> {
        let none = || Error::Internal { op: "sample", expected: "an engine that samples".into(), got: "none".into() };
        self.sampling.ok_or_else(none)
    }

    /// The recording of [`Programs::stage`].
    pub fn record_stage(&self, decoder: &Decoder, layer: Option<usize>, tokens: usize) -> Result<Recording> {
        let mut recording = Recording::default();
        let a = self.steps.activations.first(if tokens > 1 { self.rows } else { 1 });
        match layer {
            None => decoder.record_embedding(&mut recording, &a)?,
            Some(layer) => decoder.record_layer(&mut recording, layer, self.kv.layer(layer), &a)?,
        }
        Ok(recording)
    }
}

impl Programs {
    /// Most next tokens in a step.
    pub fn next_rows(&self) -> usize {
        together::MOST.min(self.rows)
    }

    /// Most next tokens of one generation, of which all but the first may be wrong: on the CPU
    /// engine as many as its kernels take at a time.
    pub fn draft_rows(&self) -> usize {
        let rows = if self.sampling.is_some() { self.next_rows() } else { self.next_rows().min(4) };
        // a step that nobody waited for is computed again, from the states before it
        self.kv.rewind().map_or(rows, |rewind| rows.min(rewind))
    }

    /// Up to [`Programs::next_rows`] next tokens → logits of each, (rows, vocab).
    pub fn together(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<(ProgramId, Tensor)> {
        if let (Some(program), Some(logits)) = (self.steps.together, self.later.together) {
            return Ok((program, logits));
        }
        let (recording, logits) = self.record_together(engine, decoder, self.next_rows())?;
        self.later.together = Some(logits);
        Ok((*self.steps.together.insert(engine.prepare(recording)?), logits))
    }

    /// The wanted row of the logits of [`Programs::together`] → [`Programs::logits`], alone and
    /// with the next id.
    pub fn picks(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<[ProgramId; 2]> {
        if let Some(ready) = self.later.picks {
            return Ok(ready);
        }
        let (_, x) = self.together(engine, decoder)?;
        let (logits, Sampling { chain, maxima, id }) = (self.logits, self.sampling()?);
        let mut pick = Recording::default();
        pick.push(PickRows { x, y: logits })?;
        let mut draw = pick.clone();
        draw.push(Sample { logits, chain, maxima, y: id })?;
        Ok(*self.later.picks.insert([engine.prepare(pick)?, engine.prepare(draw)?]))
    }

    /// Checks those draws that are not made yet, of generations whose sampler changes logits, or
    /// that tell log-probabilities. Returns false if one is wrong on this engine. Errors: those
    /// that end an engine.
    pub async fn check_draws(&mut self, engine: &mut dyn Engine, adjusts: bool, tells: bool) -> Result<bool> {
        let (adjusts, tells) = (adjusts && self.later.adjusted.is_none(), tells && self.later.likely.is_none());
        if !(adjusts || tells) || self.later.draws_wrong {
            return Ok(!self.later.draws_wrong);
        }
        let (adjusted, likely) = self.later_draws()?;
        let unchecked = [adjusts.then_some(adjusted), tells.then_some(likely)].into_iter().flatten();
        let trials = unchecked.flat_map(|draw| draw.commands).map(|command| small(&command)).collect();
        match engine.self_test(trials).await {
            Err(Error::GpuUnavailable(_)) => self.later.draws_wrong = true,
            checked => checked?,
        }
        Ok(!self.later.draws_wrong)
    }

    /// Logits with what a sampler changes → the next id.
    pub fn adjusted(&mut self, engine: &mut dyn Engine) -> Result<AdjustedDraw> {
        if let Some(ready) = self.later.adjusted {
            return Ok(ready);
        }
        let (recording, [changes, mask, recent]) = self.record_adjusted(engine)?;
        let ready = AdjustedDraw { program: engine.prepare(recording)?, changes, mask, recent };
        self.later.adjusted = Some(ready);
        Ok(ready)
    }

    /// Logits and the sampled id → what log-probabilities need, see [`Likely`].
    pub fn likely(&mut self, engine: &mut dyn Engine) -> Result<(ProgramId, Tensor)> {
        if let Some(ready) = self.later.likely {
            return Ok(ready);
        }
        let (recording, y) = self.record_likely(engine)?;
        let ready = (engine.prepare(recording)?, y);
        self.later.likely = Some(ready);
        Ok(ready)
    }

    /// Residual stream of a step → logits of all its tokens, (read, vocab).
    pub fn all_logits(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<(ProgramId, Tensor)> {
        if let (Some(program), Some(logits)) = (self.steps.all_logits, self.later.all_logits) {
            return Ok((program, logits));
        }
        let (recording, logits) = self.record_all_logits(engine, decoder)?;
        self.later.all_logits = Some(logits);
        Ok((*self.steps.all_logits.insert(engine.prepare(recording)?), logits))
    }

    /// Residual stream of a step → the last norm's output for its wanted rows, (rows, hidden).
    pub fn hidden(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<(ProgramId, Tensor)> {
        if let Some(ready) = self.later.hidden {
            return Ok(ready);
        }
        let hidden = tensor(engine, TOGETHER.min(self.rows), decoder.config.hidden)?;
        let mut recording = Recording::default();
        decoder.record_hidden(&mut recording, &self.steps.activations, hidden)?;
        let ready = (engine.prepare(recording)?, hidden);
        self.later.hidden = Some(ready);
        Ok(ready)
    }

    /// What [`Programs::hidden`] gives → logits of the labels, (rows, labels); `None` unless the
    /// model ranks.
    pub fn ranking(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<Option<(ProgramId, Tensor)>> {
        let Some((weight, labels)) = decoder.ranking.as_ref().zip(decoder.config.ranking.as_ref()) else {
            return Ok(None);
        };
        if let Some(ready) = self.later.ranking {
            return Ok(Some(ready));
        }
        let (_, hidden) = self.hidden(engine, decoder)?;
        let logits = tensor(engine, hidden.rows, labels.len())?;
        let mut recording = Recording::default();
        weight.linear(&mut recording, hidden, None, Epilogue::Store, logits)?;
        let ready = (engine.prepare(recording)?, logits);
        self.later.ranking = Some(ready);
        Ok(Some(ready))
    }

    /// The embedding or a layer alone, in operations that leave queries where inspections read
    /// them.
    pub fn stage(
        &mut self,
        engine: &mut dyn Engine,
        decoder: &Decoder,
        layer: Option<usize>,
        tokens: usize,
    ) -> Result<ProgramId> {
        let (stage, many) = (layer.map_or(0, |layer| layer + 1), usize::from(tokens > 1));
        self.steps.stages.resize(decoder.layers.len() + 1, [None; 2]);
        if let Some(ready) = self.steps.stages[stage][many] {
            return Ok(ready);
        }
        let ready = engine.prepare(self.record_stage(decoder, layer, tokens)?.in_parts())?;
        self.steps.stages[stage][many] = Some(ready);
        Ok(ready)
    }

    /// Ids → their rows of the embedding table, (rows, hidden).
    pub fn table(&mut self, engine: &mut dyn Engine, decoder: &Decoder) -> Result<(ProgramId, Tensor)> {
        if let Some(ready) = self.later.table {
            return Ok(ready);
        }
        let y = tensor(engine, TABLE_ROWS, decoder.config.hidden)?;
        let mut recording = Recording::default();
        decoder.embed_tokens.embed(&mut recording, Index::Id, 1.0, y)?;
        let ready = (engine.prepare(recording)?, y);
        self.later.table = Some(ready);
        Ok(ready)
    }
}

/// The largest chunk, of `most` tokens or a part of it, whose activations are buffers of at most
/// `limit` bytes.
fn rows_that_fit(limit: u64, decoder: &Decoder, most: usize) -> Result<usize> {
    let mut row = Counting::default();
    Activations::new(&mut row, decoder, 1)?;
    let mut rows = most;
    while rows > PROMPT_CHUNK && row.largest * rows as u64 > limit {
        rows /= 2;
    }
    Ok(rows)
}
