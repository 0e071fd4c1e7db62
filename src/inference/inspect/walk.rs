//! Reads tokens layer by layer, and looks at each layer.
//!
//! The residual stream is on the host between two units of work, so that they need no activations
//! of their own: generations may use the model's meanwhile.

use super::times::Times;
use super::types::{ChosenExpert, Floats, InspectOptions, LayerSeen, LensPosition, probabilities};
use crate::engine::Engine;
use crate::engine::shared::Share;
use crate::inference::runner::Runner;
use crate::inference::sequences::Sequence;
use crate::model::config::LayerKind;
use crate::model::decoder::FeedForward;
use crate::ops::attention::Learned;
use crate::ops::{Attention, Recording};
use crate::record::{KvCache, Memory, Step, Tensor, rows};
use crate::sampling::{log_probability, log_sum_exp, most_likely};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Tokens that are read layer by layer, from the embedding on.
pub(in crate::inference) struct Walk {
    ids: Vec<u32>,
    /// Position of the first of them.
    first: usize,
    /// Number of layers to read.
    depth: usize,
    /// The stage that is under way: 0 for the embedding, then the layers.
    stage: usize,
    /// Tokens that have passed it.
    done: usize,
    /// (ids, hidden): residual stream of each token.
    x: Vec<f32>,
    /// (ids, heads · head_dim): queries, where they are wanted.
    q: Vec<f32>,
    /// (ids, …): see [`Route`](crate::ops::Route).
    routes: Vec<f32>,
    lens: Vec<LensPosition>,
    times: Option<Times>,
    /// See [`Blocks::advance`](crate::model::kv_cache::Blocks::advance).
    states: Option<[u32; 2]>,
}

impl Walk {
    /// `ids`: the tokens of a sequence from position `first` on. Looks at the first `depth` layers.
    pub fn new(ids: Vec<u32>, first: usize, depth: usize, options: &InspectOptions) -> Self {
        let (x, q, routes, lens, states) = Default::default();
        let times = options.timing.then(Times::default);
        Self { ids, first, depth, stage: 0, done: 0, x, q, routes, lens, times, states }
    }

    /// Whether all layers were read.
    pub fn is_over(&self) -> bool {
        self.stage > self.depth
    }

    /// The residual stream of the tokens from the `from`-th on: (tokens, hidden).
    pub fn output(&self, from: usize) -> &[f32] {
        &self.x[self.x.len() / self.ids.len() * from..]
    }

    /// The times, once all layers were read; and that of the output head.
    pub async fn times(&mut self, runner: &mut Runner) -> Result<Option<Times>> {
        let Some(mut times) = self.times.take() else { return Ok(None) };
        let (x, a) = (self.output(self.ids.len() - 1), runner.programs.steps.activations.first(1));
        runner.engine.write_values(a.x.buffer, 0, x)?;
        times.release(runner);
        let mut head = Recording::default();
        runner.decoder.record_logits(&mut head, &a, runner.programs.logits)?;
        times.prepare(runner, None, head)?;
        let result = times.run(runner, &Step::new(&rows(0, 0, &[0]), &[])).await;
        times.release(runner);
        result.map(|()| Some(times))
    }

    /// Gives back what the engine holds for it.
    pub fn release(&mut self, runner: &mut Runner) {
        self.times.iter_mut().for_each(|times| times.release(runner));
    }

    /// Does one unit of work: a chunk of the tokens through a layer, or the output head for some
    /// positions. Returns what was seen of the layer once all have passed it.
    pub async fn next(
        &mut self,
        runner: &mut Runner,
        sequence: &mut Sequence,
        tokenizer: &Tokenizer,
        options: &InspectOptions,
    ) -> Result<Option<LayerSeen>> {
        if self.done < self.ids.len() {
            self.compute(runner, sequence, options).await?;
            if self.done < self.ids.len() {
                return Ok(None);
            }
        }
        if !self.lens(runner, tokenizer, options).await? {
            return Ok(None);
        }
        let seen = self.seen(runner, sequence, options).await?;
        self.stage += 1;
        self.done = if self.is_over() { self.done } else { 0 };
        Ok(Some(seen))
    }

    fn layer(&self) -> Option<usize> {
        self.stage.checked_sub(1)
    }

    /// Computes the stage for the next chunk of tokens.
    async fn compute(&mut self, runner: &mut Runner, sequence: &mut Sequence, options: &InspectOptions) -> Result<()> {
        let end = (self.done + runner.programs.read).min(self.ids.len());
        let (chunk, layer) = (self.done..end, self.layer());
        let rows = rows(0, self.first + chunk.start, &self.ids[chunk.clone()]);
        // no room is missing later on, and other calls wait for memory before the first layer
        runner.grow(sequence, self.first..self.first + self.ids.len()).await?;
        let all = self.first..self.first + self.ids.len();
        let states = *self.states.get_or_insert_with(|| sequence.blocks.advance(all));
        let (x, hidden) = (runner.programs.steps.activations.x, runner.decoder.config.hidden);
        if layer.is_some() {
            let values = &self.x[chunk.start * hidden..chunk.end * hidden];
            runner.engine.write_values(x.buffer, 0, values)?;
        } else if self.x.is_empty() {
            self.x = vec![0.0; self.ids.len() * hidden];
        }
        runner.write_angles(&rows)?;
        let tables = [sequence.blocks.table()];
        let states = [if chunk.start == 0 { states } else { [states[1]; 2] }];
        let step = Step { states: &states, ..Step::new(&rows, &tables) };
        match &mut self.times {
            None => {
                let program = runner.stage(layer, self.ids.len()).await?;
                runner.engine.run(program, &step)?;
            }
            Some(times) => {
                if chunk.start == 0 {
                    times.release(runner);
                    let recording = runner.programs.record_stage(&runner.decoder, layer, self.ids.len())?;
                    times.prepare(runner, layer, recording.in_parts())?;
                }
                times.run(runner, &step).await?;
            }
        }
        let count = chunk.len();
        let reads_q = layer.filter(|&layer| attends(runner, options, layer)).map(|layer| attention(runner, layer));
        let q = reads_q.map(|Attention { q, heads, kv, .. }| {
            let ranges = (0..count).map(|row| row * q.cols..row * q.cols + heads * kv.head_dim);
            runner.engine.read_ranges(q.buffer, ranges.collect())
        });
        let route = route(runner, layer).filter(|_| options.experts);
        let routes = route.map(|Tensor { buffer, cols, .. }| runner.engine.read_values(buffer, count * cols));
        let x = runner.engine.read_values(x.buffer, count * hidden);
        // all reads are on their way before the first is awaited
        if let Some(q) = q {
            self.q.extend(q.await?);
        }
        if let Some(routes) = routes {
            self.routes.extend(routes.await?);
        }
        self.x[chunk.start * hidden..chunk.end * hidden].copy_from_slice(&x.await?);
        self.done = end;
        Ok(())
    }

    /// What the layer would say at the next positions that are asked for. Returns whether that was
    /// all.
    async fn lens(&mut self, runner: &mut Runner, tokenizer: &Tokenizer, options: &InspectOptions) -> Result<bool> {
        let Some(lens) = self.layer().and_then(|layer| options.lens_after(layer)) else { return Ok(true) };
        let last = [self.first + self.ids.len() - 1];
        let positions = lens.positions.as_deref().unwrap_or(&last);
        if positions.is_empty() {
            return Ok(true);
        }
        let end = (self.lens.len() + runner.programs.read).min(positions.len());
        let now = &positions[self.lens.len()..end];
        let hidden = runner.decoder.config.hidden;
        let row = |&position: &usize| &self.x[(position - self.first) * hidden..][..hidden];
        let x: Vec<f32> = now.iter().flat_map(row).copied().collect();
        let logits = runner.logits_of(&x).await?;
        for (&position, logits) in now.iter().zip(logits.chunks_exact(runner.decoder.vocab)) {
            let sum = log_sum_exp(logits);
            let ids = most_likely(logits, lens.top)?;
            let top: Vec<_> = ids.into_iter().map(|id| (id, log_probability(logits, sum, id).exp())).collect();
            self.lens.push(LensPosition { position, top: probabilities(tokenizer, &top) });
        }
        Ok(self.lens.len() == positions.len())
    }

    /// What was seen of the stage that all tokens have passed.
    async fn seen(&mut self, runner: &mut Runner, sequence: &Sequence, options: &InspectOptions) -> Result<LayerSeen> {
        let (layer, hidden) = (self.layer(), runner.decoder.config.hidden);
        let mut seen = LayerSeen { layer, heads: runner.decoder.config.heads, ..LayerSeen::default() };
        if options.hidden_states {
            seen.norms = Some(Floats(self.x.chunks_exact(hidden).map(norm).collect()));
        }
        let Some(layer) = layer else { return Ok(seen) };
        if attends(runner, options, layer) {
            let positions = self.first + self.ids.len();
            let mut ranges = runner.programs.kv.ranges(layer, &sequence.blocks, positions);
            ranges.truncate(ranges.len() / 2); // the keys
            let attention = attention(runner, layer);
            let keys = runner.read_kv(layer, &ranges).await?;
            let [sinks, bias] = vectors(&mut runner.engine, &attention).await?;
            let learned = Learned { sinks: sinks.as_deref(), bias: bias.as_deref() };
            let q = std::mem::take(&mut self.q);
            seen.attention = Some(Floats(weights(&attention, self.first, positions, &q, &keys, learned)?));
        }
        seen.lens = options.lens_after(layer).map(|_| std::mem::take(&mut self.lens));
        if let (Some(route), true) = (route(runner, Some(layer)), options.experts) {
            let chosen = runner.decoder.config.experts.as_ref().map_or(0, |experts| experts.chosen);
            let of = |row: &[f32]| {
                let (experts, weights) = row.split_at(chosen);
                experts
                    .iter()
                    .zip(weights)
                    .map(|(&expert, &weight)| ChosenExpert { expert: expert as usize, weight })
                    .collect()
            };
            seen.experts = Some(std::mem::take(&mut self.routes).chunks_exact(route.cols).map(of).collect());
        }
        Ok(seen)
    }
}

/// Sinks and biases of an attention, if it has any.
pub(super) async fn vectors(engine: &mut Share, attention: &Attention) -> Result<[Option<Vec<f32>>; 2]> {
    let mut vectors = [None, None];
    for (values, tensor) in vectors.iter_mut().zip([attention.sinks, attention.bias]) {
        if let Some(Tensor { buffer, cols, .. }) = tensor {
            *values = Some(engine.read_values(buffer, cols).await?);
        }
    }
    Ok(vectors)
}

/// Whether the attention of a layer is wanted, which has some.
fn attends(runner: &Runner, options: &InspectOptions, layer: usize) -> bool {
    options.attends(layer) && runner.decoder.config.kinds[layer] == LayerKind::Attention
}

fn attention(runner: &Runner, layer: usize) -> Attention {
    runner.decoder.attention(layer, runner.programs.kv.layer(layer), &runner.programs.steps.activations)
}

/// Where a layer writes the experts of each token, if it has some.
fn route(runner: &Runner, layer: Option<usize>) -> Option<Tensor> {
    let has_some =
        layer.is_some_and(|layer| matches!(runner.decoder.layers[layer].feed_forward, FeedForward::Experts(_)));
    runner.programs.steps.activations.route().filter(|_| has_some)
}

pub(super) fn norm(row: &[f32]) -> f32 {
    row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt() as f32
}

/// The weights of an attention: (heads, rows, positions). `q`: (rows, heads · head_dim), of the
/// positions from `first` on; `keys`: (kv_heads, positions, head_dim). Errors: `OutOfMemory`.
pub(in crate::inference) fn weights(
    attention: &Attention,
    first: usize,
    positions: usize,
    q: &[f32],
    keys: &[f32],
    learned: Learned,
) -> Result<Vec<f32>> {
    let &Attention { heads, kv: KvCache { heads: kv_heads, head_dim, .. }, .. } = attention;
    let rows = positions - first;
    let len = heads * rows * positions;
    let mut weights = Vec::new();
    weights.try_reserve_exact(len).map_err(|_| Error::OutOfMemory {
        what: format!("attention weights of {rows} tokens"),
        needed: (len * size_of::<f32>()) as u64,
        limit: "more than is free".into(),
    })?;
    weights.resize(len, 0.0);
    for (head, weights) in weights.chunks_exact_mut(rows * positions).enumerate() {
        let keys = &keys[head / (heads / kv_heads) * positions * head_dim..][..positions * head_dim];
        let key = |p: usize| &keys[p * head_dim..][..head_dim];
        for (row, weights) in weights.chunks_exact_mut(positions).enumerate() {
            let q = &q[(row * heads + head) * head_dim..][..head_dim];
            let seen = attention.seen(first + row, positions, 0);
            weights[seen.clone()].copy_from_slice(&attention.weights(head, first + row, seen, q, key, learned));
        }
    }
    Ok(weights)
}
