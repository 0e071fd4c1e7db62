//! Runs the programs of a decoder over sequences, on its share of an engine.

use std::ops::Range;

use super::adapters::Adapters;
use super::generation::GenerationId;
use super::keys::token_keys;
use super::prefixes::Prefixes;
use super::programs::{AdjustedDraw, Programs, Sampling};
use super::sequences::Sequence;
use crate::engine::shared::Share;
use crate::engine::{DeviceSampling, Engine, Ids, LocalFuture, ProgramId};
use crate::model::Decoder;
use crate::model::decoder::activations;
use crate::ops::adjust::{self, Changes, RECENT};
use crate::record::{KV_BLOCK, Memory, NO_STATE, Row, Step, Tensor, rows};
use crate::sampling::Sampler;
use crate::{Error, Result};

/// Weights and programs of a decoder, and the memory of all keys and values.
pub(super) struct Runner {
    pub engine: Share,
    pub decoder: Decoder,
    pub programs: Programs,
    pub prefixes: Prefixes,
    pub adapters: Adapters,
    /// The generation whose sampling values are in the programs' `chain`.
    sampling: Option<GenerationId>,
}

/// Data of a generation that samples on the device.
pub(super) struct OnDevice {
    /// See [`Sample`](crate::ops::Sample).
    pub values: [f32; 4],
    /// Whether its sampler changes logits before the chain.
    pub adjusts: bool,
    /// Whether log-probabilities are wanted.
    pub tells: bool,
    /// See [`Ids::feed`].
    pub feed: Tensor,
    /// Whether there is room for the token that is drawn next.
    pub has_room: bool,
    /// The engine's count of dispatches when the logits of the newest token were computed: if it
    /// still is that, no other logits took their place.
    pub computed: Option<u64>,
}

/// A draw on the device.
pub(super) struct Draw<'a> {
    /// Its bits.
    pub random: u32,
    pub sampler: &'a Sampler,
    /// Number of tokens of the source text, which count for no penalty.
    pub source: usize,
    /// The tokens before it, and behind that, which the host knows.
    pub known: &'a [u32],
    /// Number of those behind, which queued steps sample.
    pub ahead: usize,
}

impl Runner {
    pub fn new(engine: Share, decoder: Decoder, programs: Programs) -> Self {
        let prefixes = Prefixes::new(programs.kept);
        Self { engine, decoder, programs, prefixes, adapters: Adapters::default(), sampling: None }
    }

    /// Frees the memory of blocks that no sequence holds.
    pub async fn trim(&mut self) -> Result<()> {
        self.programs.kv.trim(&mut self.engine).await
    }

    /// Makes room for the next positions of a sequence; if memory is short, drops what
    /// is kept for later prompts. Errors: `OutOfMemory`.
    pub async fn grow(&mut self, sequence: &mut Sequence, positions: Range<usize>) -> Result<()> {
        let blocks = positions.len().div_ceil(KV_BLOCK).max(1);
        loop {
            match self.programs.kv.grow(&mut self.engine, &mut sequence.blocks, positions.clone()).await {
                Err(Error::OutOfMemory { .. }) if self.prefixes.drop_leaves(blocks) => {}
                grown => return grown,
            }
        }
    }

    /// Makes something that takes memory; if memory is short, frees that of blocks which no
    /// sequence holds, then drops what is kept for later prompts. Errors: those of `make`.
    pub async fn with_room<T>(&mut self, mut make: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut trimmed = false;
        loop {
            match make(self) {
                Err(Error::OutOfMemory { .. }) if !trimmed || self.prefixes.drop_half() => self.trim().await?,
                made => return made,
            }
            trimmed = true;
        }
    }

    /// Runs the layers over the next tokens of a sequence.
    pub async fn run(&mut self, program: ProgramId, sequence: &mut Sequence, ids: &[u32]) -> Result<()> {
        let position = sequence.len();
        self.grow(sequence, position..position + ids.len()).await?;
        self.write_angles(&rows(0, position, ids))?;
        self.run_layers(program, sequence, position, ids)?;
        sequence.computed(ids);
        Ok(())
    }

    /// Writes what the layers read of these rows, to be called before they run.
    pub fn write_angles(&mut self, rows: &[Row]) -> Result<()> {
        self.programs.steps.activations.write_angles(&mut self.engine, &self.decoder, rows)
    }

    /// Runs the layers over tokens that have room, and whose angles are written.
    fn run_layers(&mut self, program: ProgramId, sequence: &mut Sequence, position: usize, ids: &[u32]) -> Result<()> {
        self.check_selected(&sequence.origin)?;
        let states = [sequence.blocks.advance(position..position + ids.len())];
        let mut rows = rows(0, position, ids);
        let embedded = self.decoder.embedded(&self.programs.steps.activations);
        for (first, values) in sequence.content.within(position..position + ids.len(), embedded.cols) {
            self.engine.write_values(embedded.buffer, first * embedded.cols, values)?;
            // no row of the table, so that what is there stays
            rows[first..][..values.len() / embedded.cols].iter_mut().for_each(|row| row.id = Some(u32::MAX));
        }
        let (tables, sources) = ([sequence.blocks.table()], [sequence.source]);
        self.engine.run(program, &Step { states: &states, sources: &sources, ..Step::new(&rows, &tables) })
    }

    /// Runs a program without layers behind them, over the same tokens.
    pub fn run_again(&mut self, program: ProgramId, sequence: &Sequence, position: usize, ids: &[u32]) -> Result<()> {
        self.check_selected(&sequence.origin)?;
        self.engine.run(program, &Step::new(&rows(0, position, ids), &[sequence.blocks.table()]))
    }

    /// Keys and values of a layer in these ranges, each of a block at most. Many are read in
    /// several turns, since a layer may have more than one buffer takes.
    pub async fn read_kv(&mut self, layer: usize, ranges: &[Range<usize>]) -> Result<Vec<f32>> {
        let cache = self.programs.kv.layer(layer);
        let range_bytes = KV_BLOCK * cache.head_dim * size_of::<f32>();
        let together = (self.engine.max_buffer_bytes() / range_bytes as u64).max(1) as usize;
        let mut values = Vec::with_capacity(ranges.iter().map(Range::len).sum());
        for some in ranges.chunks(together) {
            values.extend(self.engine.read_ranges(cache.buffer, some.to_vec()).await?);
        }
        Ok(values)
    }

    /// Logits of the last of `ids`, the next tokens of a sequence: (vocab).
    pub async fn last_logits(&mut self, sequence: &mut Sequence, ids: &[u32]) -> Result<Vec<f32>> {
        let position = sequence.len();
        if let [_] = ids {
            self.run(self.programs.steps.decode, sequence, ids).await?;
            return self.engine.read_values(self.programs.logits.buffer, self.decoder.vocab).await;
        }
        self.run(self.programs.steps.prompt, sequence, ids).await?;
        self.chunk_last_logits(sequence, position, ids).await
    }

    /// Logits of each of `ids`, at most [`Programs::read`], that [`Runner::run`] has just read:
    /// (ids, vocab).
    pub async fn chunk_logits(&mut self, sequence: &Sequence, position: usize, ids: &[u32]) -> Result<Vec<f32>> {
        let (program, logits) = self.all_logits().await?;
        self.run_again(program, sequence, position, ids)?;
        self.engine.read_values(logits.buffer, ids.len() * self.decoder.vocab).await
    }

    /// Logits of the last of these: (vocab).
    pub async fn chunk_last_logits(&mut self, sequence: &Sequence, position: usize, ids: &[u32]) -> Result<Vec<f32>> {
        self.run_again(self.programs.steps.last_logits, sequence, position, ids)?;
        self.engine.read_values(self.programs.logits.buffer, self.decoder.vocab).await
    }

    /// Runs the layers over rows of several sequences, which have room. Returns the logits of every
    /// row: (rows, vocab).
    pub async fn decode_together(&mut self, rows: &[Row], sequences: &mut [&mut Sequence]) -> Result<Vec<f32>> {
        let made = |runner: &mut Self| runner.programs.together(&mut runner.engine, &runner.decoder);
        let (program, logits) = self.with_room(made).await?;
        self.write_angles(rows)?;
        let states = advance(rows, sequences);
        let tables: Vec<_> = sequences.iter().map(|sequence| sequence.blocks.table()).collect();
        let sources: Vec<_> = sequences.iter().map(|sequence| sequence.source).collect();
        self.engine.run(program, &Step { states: &states, sources: &sources, ..Step::new(rows, &tables) })?;
        self.engine.read_values(logits.buffer, rows.len() * self.decoder.vocab).await
    }

    /// Logits of the newest of `tokens`, before which all are computed, and of each of `draft`
    /// behind it: (1 + draft, vocab). The sequence ends with the newest token; the draft's keys and
    /// values are behind its end. Errors: `OutOfMemory`; the sequence is then as it was.
    pub async fn draft_logits(&mut self, sequence: &mut Sequence, tokens: &[u32], draft: &[u32]) -> Result<Vec<f32>> {
        let position = tokens.len() - 1;
        let ids = [&tokens[position..], draft].concat();
        self.grow(sequence, position..position + ids.len()).await?;
        let logits = self.decode_together(&rows(0, position, &ids), &mut [sequence]).await?;
        sequence.keys.extend(token_keys(&tokens[position..]));
        Ok(logits)
    }

    /// What the output head makes of rows of the residual stream, (rows, hidden), at most
    /// [`Programs::read`]: (rows, vocab).
    pub async fn logits_of(&mut self, x: &[f32]) -> Result<Vec<f32>> {
        let count = x.len() / self.decoder.config.hidden;
        let (program, logits) = match count {
            1 => (self.programs.steps.last_logits, self.programs.logits),
            _ => self.all_logits().await?,
        };
        self.engine.write_values(self.programs.steps.activations.x.buffer, 0, x)?;
        self.engine.run(program, &Step::new(&rows(0, 0, &vec![0; count]), &[]))?;
        self.engine.read_values(logits.buffer, count * self.decoder.vocab).await
    }

    /// The embedding or a layer alone, for this many tokens.
    pub async fn stage(&mut self, layer: Option<usize>, tokens: usize) -> Result<ProgramId> {
        self.with_room(|runner| runner.programs.stage(&mut runner.engine, &runner.decoder, layer, tokens)).await
    }

    async fn all_logits(&mut self) -> Result<(ProgramId, Tensor)> {
        self.with_room(|runner| runner.programs.all_logits(&mut runner.engine, &runner.decoder)).await
    }

    /// Allocates the data of a generation that samples on the device.
    pub fn on_device(&mut self, values: [f32; 4], adjusts: bool, tells: bool) -> Result<OnDevice> {
        let feed = activations(&mut self.engine, 1, RECENT)?;
        Ok(OnDevice { values, adjusts, tells, feed, has_room: false, computed: None })
    }

    pub fn give_back(&mut self, device: OnDevice) {
        self.engine.free(device.feed.buffer);
    }

    /// Checks and makes what the first draw of a kind needs. Returns false if the device gives
    /// wrong results for draws of this kind.
    pub async fn prepare_draw(&mut self, device: &OnDevice) -> Result<bool> {
        let &OnDevice { adjusts, tells, .. } = device;
        if (adjusts || tells) && !self.programs.check_draws(&mut self.engine, adjusts, tells).await? {
            return Ok(false);
        }
        if adjusts {
            self.with_room(|runner| runner.programs.adjusted(&mut runner.engine)).await?;
        }
        if tells {
            self.with_room(|runner| runner.programs.likely(&mut runner.engine)).await?;
        }
        Ok(true)
    }

    /// Queues a step that samples on the device, and already has room: of the tokens `ids` from
    /// `position` on, or of the id that the sequence's last queued step samples. Returns a future
    /// of the words of the draw, of which the first is the next id.
    pub fn queue(
        &mut self,
        generation: GenerationId,
        sequence: &mut Sequence,
        device: &mut OnDevice,
        (position, ids): (usize, &[u32]),
        draw: Draw<'_>,
    ) -> Result<LocalFuture<'static, Result<Vec<u32>>>> {
        let adjusted = self.write_draw(generation, device, &draw)?;
        self.check_selected(&sequence.origin)?;
        let is_computed = device.computed.take() == Some(self.engine.counters().dispatches);
        let sampled = [Row { id: None, position, sequence: 0, wanted: true }];
        let known = rows(0, position, ids);
        let rows = if ids.is_empty() { &sampled[..] } else { &known };
        if !is_computed {
            self.write_angles(rows)?;
        }
        let states = match (ids.len() > 1, is_computed) {
            (true, _) => {
                self.run_layers(self.programs.steps.prompt, sequence, position, ids)?;
                None
            }
            (false, true) => None,
            (false, false) => Some([sequence.blocks.advance(position..position + 1)]),
        };
        let tables = [sequence.blocks.table()];
        let states = states.as_ref().map_or(&[][..], |states| states);
        let sources = [sequence.source];
        let step = Step { random: draw.random, states, sources: &sources, ..Step::new(rows, &tables) };
        let many = ids.len() > 1;
        let programs = match adjusted {
            None => {
                self.programs.steps.sampled.iter().map(|[decode, last]| if many { *last } else { *decode }).collect()
            }
            Some(adjusted) if is_computed => vec![adjusted.program],
            Some(adjusted) => {
                vec![if many { self.programs.steps.last_logits } else { self.programs.steps.decode }, adjusted.program]
            }
        };
        self.queue_draw(programs, &step, device, adjusted)
    }

    /// Queues the next rows of several sequences, which have room, and behind them the draw of
    /// each. Returns what [`Runner::queue`] returns, for each.
    pub fn queue_together(
        &mut self,
        rows: &[Row],
        sequences: &mut [&mut Sequence],
        draws: &mut [(GenerationId, &mut OnDevice, Draw<'_>)],
    ) -> Result<Vec<LocalFuture<'static, Result<Vec<u32>>>>> {
        let (program, _) = self.programs.together(&mut self.engine, &self.decoder)?;
        let [pick, pick_and_draw] = self.programs.picks(&mut self.engine, &self.decoder)?;
        let feeds: Vec<_> = draws.iter().map(|(_, device, _)| device.feed.buffer).collect();
        self.write_angles(rows)?;
        let states = advance(rows, sequences);
        let tables: Vec<_> = sequences.iter().map(|sequence| sequence.blocks.table()).collect();
        let sources: Vec<_> = sequences.iter().map(|sequence| sequence.source).collect();
        let step = Step { states: &states, sources: &sources, ..Step::new(rows, &tables) };
        self.engine.run_fed(program, &step, &feeds)?;
        let mut words = Vec::with_capacity(draws.len());
        for (number, (generation, device, draw)) in draws.iter_mut().enumerate() {
            device.computed = None;
            let adjusted = self.write_draw(*generation, device, draw)?;
            // a draw is of the last row, and reads no id
            let own = rows[..=number].iter().enumerate();
            let rows: Vec<_> = own.map(|(i, row)| Row { id: Some(0), wanted: i == number, ..*row }).collect();
            let step = Step { random: draw.random, ..Step::new(&rows, &tables) };
            let programs = match adjusted {
                None => vec![pick_and_draw],
                Some(adjusted) => vec![pick, adjusted.program],
            };
            words.push(self.queue_draw(programs, &step, device, adjusted)?);
        }
        Ok(words)
    }

    /// Queues programs that end with a draw.
    fn queue_draw(
        &mut self,
        mut programs: Vec<ProgramId>,
        step: &Step,
        device: &OnDevice,
        adjusted: Option<AdjustedDraw>,
    ) -> Result<LocalFuture<'static, Result<Vec<u32>>>> {
        let recent = adjusted.map(|adjusted| adjusted.recent.buffer);
        let mut ids = Ids { id: self.programs.sampling()?.id, feed: device.feed.buffer, recent };
        if device.tells {
            let (program, y) = self.programs.likely(&mut self.engine)?;
            programs.push(program);
            ids.id = y;
        }
        self.engine.queue(&programs, step, &ids)
    }

    /// Writes what the draw of a generation reads. Returns the program of one that changes logits.
    fn write_draw(
        &mut self,
        generation: GenerationId,
        device: &OnDevice,
        draw: &Draw<'_>,
    ) -> Result<Option<AdjustedDraw>> {
        let Sampling { chain, .. } = self.programs.sampling()?;
        let adjusted = match device.adjusts {
            true => Some(self.programs.adjusted(&mut self.engine)?),
            false => None,
        };
        let is_new = self.sampling.replace(generation) != Some(generation);
        if is_new {
            self.engine.write_values(chain.buffer, 0, &device.values)?;
        }
        if let Some(adjusted) = &adjusted {
            self.write_changes(adjusted, is_new, draw)?;
        }
        Ok(adjusted)
    }

    /// Writes what `draw` changes, where another draw changes something else.
    fn write_changes(&mut self, to: &AdjustedDraw, is_new: bool, draw: &Draw) -> Result<()> {
        let &Draw { sampler, source, known, ahead, .. } = draw;
        let masked = sampler.mask().is_some();
        if is_new || sampler.penalizes() {
            let (tokens, ahead) = sampler.changes(known, ahead);
            let newest = source + known.len() + draw.ahead - 1;
            let changes = Changes { tokens: &tokens, ahead, newest, penalties: sampler.penalties(), masked };
            let words = adjust::words(&changes, self.decoder.vocab);
            self.engine.write_values(to.changes.buffer, 0, bytemuck::cast_slice(&words))?;
        }
        if let Some(mask) = sampler.mask() {
            let mut words = mask.to_vec();
            words.resize(to.mask.cols, 0);
            self.engine.write_values(to.mask.buffer, 0, bytemuck::cast_slice(&words))?;
        }
        Ok(())
    }

    /// Queues the layers for the newest token of a sequence, which has room, ahead of its draw: see
    /// [`OnDevice::computed`].
    pub fn run_ahead(&mut self, sequence: &mut Sequence, position: usize, ids: &[u32]) -> Result<u64> {
        self.write_angles(&rows(0, position, ids))?;
        self.run_layers(self.programs.steps.decode, sequence, position, ids)?;
        Ok(self.engine.counters().dispatches)
    }

    /// Tokens of the next chunk of a prompt, as one of `generations`.
    pub fn chunk(&self, generations: usize) -> usize {
        let rows = self.programs.rows;
        self.engine.prompt_chunk(self.programs.steps.prompt, generations > 1).clamp(1, rows)
    }

    /// Number of steps that each of `generations` may have queued.
    pub fn depth(&self, generations: usize) -> usize {
        // a text goes on from the state behind its last token, not behind one that was not drawn
        if self.programs.kv.has_slots() {
            return 1;
        }
        (self.engine.depth() / generations.max(1)).max(1)
    }
}

/// See [`Blocks::advance`](crate::model::kv_cache::Blocks::advance), of the sequences of a step.
fn advance(rows: &[Row], sequences: &mut [&mut Sequence]) -> Vec<[u32; 2]> {
    let mut advanced = vec![[NO_STATE; 2]; sequences.len()];
    for run in rows.chunk_by(|a, b| a.sequence == b.sequence) {
        let Row { position, sequence, .. } = run[0];
        advanced[sequence] = sequences[sequence].blocks.advance(position..position + run.len());
    }
    advanced
}
