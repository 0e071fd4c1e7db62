//! What a decoder costs on a GPU, from the headers of its files: recorded as usual, into memory
//! that only counts.

mod report;

use serde::Serialize;

use super::estimate::HeaderLoader;
use super::generation::chunk_end;
use super::programs::{Programs, Steps};
use crate::cost::profiles::Profile;
use crate::cost::roofs::{GPUS, Rates, Roof};
use crate::cost::{self, Cost};
use crate::engine::gpu::planned::Planned;
use crate::format::ModelReader;
use crate::model::{Decoder, Network};
use crate::ops::{Command, Kernel, Loads, Op, Recording, Variants};
use crate::record::{KV_BLOCK, KvFormat, Memory, Step, rows};
use crate::{Error, Result};

/// What is asked: a whole prompt, and one token behind `position` others.
#[derive(Clone, Copy, Debug)]
pub struct CostOptions {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Position of the token that is decoded.
    pub position: usize,
    /// How keys and values are kept.
    pub kv_format: KvFormat,
    /// The shaders.
    pub profile: &'static Profile,
    /// Most bytes of a buffer: a larger matrix is split.
    pub max_buffer_bytes: u64,
}

/// The costs of a model.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelCost {
    /// Name that the files give the model.
    pub name: String,
    /// Its GGUF architecture.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Block type of most weights.
    pub quantization: String,
    /// The profile that the shaders are of.
    pub profile: &'static str,
    /// What the profile is for.
    pub about: &'static str,
    /// The shaders, for people.
    pub shaders: Vec<String>,
    /// The format of keys and values.
    pub kv: KvFormat,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Position of the token that is decoded.
    pub position: usize,
    /// A whole prompt from position 0, in chunks, up to its first sampled token.
    pub prompt: StepCost,
    /// One token, sampled on the device.
    pub decode: StepCost,
    /// Pipelines of the programs of a generation.
    pub pipelines: usize,
    /// Bytes of the largest buffer before a sequence begins.
    pub largest_buffer_bytes: u64,
    /// Bytes of all buffers, with keys and values of the prompt and `position` more: the sum of
    /// `memory`.
    pub memory_bytes: u64,
    /// What the bytes are for.
    pub memory: MemoryCost,
}

/// Bytes of engine memory.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryCost {
    /// Weights in the engine's layouts, norms, biases.
    pub weights: u64,
    /// Keys and values, in whole blocks.
    pub kv: u64,
    /// Activations, logits, and what sampling needs.
    pub activations: u64,
    /// Buffers of programs: parameters, rows and tables of a step, pieces of attention.
    pub programs: u64,
}

/// The cost of a prompt or of a token.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepCost {
    /// Of all operations.
    #[serde(flatten)]
    pub sum: Counts,
    /// Command buffers handed to the GPU.
    pub submits: u64,
    /// Fewest workgroups that a dispatch with a matrix keeps busy.
    pub least_workgroups: u64,
    /// Dispatches of the layers in one step, per layer.
    pub dispatches_per_layer: f64,
    /// What it takes at least on named GPUs.
    pub roofs: Vec<(&'static str, Roof)>,
    /// Each operation.
    pub operations: Vec<OperationCost>,
}

/// The cost of all operations of a name.
#[derive(Clone, Debug, Serialize)]
pub struct OperationCost {
    /// The weight that it multiplies with, else what it does.
    pub name: &'static str,
    /// Of the operation.
    #[serde(flatten)]
    pub sum: Counts,
}

/// What is counted of operations.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Kernels started.
    pub dispatches: u64,
    /// Bytes of weights that workgroups load, see [`Loads`].
    pub weight_bytes: u64,
    /// Bytes of keys and values that workgroups load.
    pub kv_bytes: u64,
    /// Bytes of other values that workgroups load.
    pub activation_bytes: u64,
    /// Of these, bytes that invocations load, from caches and from workgroup memory.
    pub lane_activation_bytes: u64,
    /// Multiply-adds of matrices and attention.
    pub multiply_adds: u64,
    /// Workgroups of all grids.
    pub workgroups: u64,
}

impl From<Cost> for Counts {
    fn from(Cost { dispatches, workgroups, loads, .. }: Cost) -> Self {
        let Loads { weights, keys_values, activations, lane_activations, multiply_adds, .. } = loads;
        Self {
            dispatches,
            weight_bytes: weights,
            kv_bytes: keys_values,
            activation_bytes: activations,
            lane_activation_bytes: lane_activations,
            multiply_adds,
            workgroups,
        }
    }
}

/// Reads the headers of a decoder's files.
pub struct CostModel {
    headers: HeaderLoader<Planned>,
    options: CostOptions,
}

impl CostModel {
    /// The costs of the model that `reader` reads. Errors: `InvalidOption` for a prompt without
    /// tokens.
    pub fn new(reader: ModelReader, options: CostOptions) -> Result<Self> {
        if options.prompt == 0 {
            let (expected, got) = ("at least one token".into(), "0".into());
            return Err(Error::InvalidOption { name: "prompt".into(), expected, got });
        }
        let context = options.prompt.saturating_add(options.position);
        let memory = Planned::new(options.profile.variants, options.max_buffer_bytes);
        Ok(Self { headers: HeaderLoader::new(reader, Some(context), memory), options })
    }

    /// See [`Estimator::feed`](super::Estimator::feed).
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        self.headers.feed(bytes)
    }

    /// Call before the bytes of the next file. Errors: `TruncatedFile`.
    pub fn end_file(&mut self) -> Result<()> {
        self.headers.end_file()
    }

    /// The programs that a load compiles, and the draws that an answer may need later; after the
    /// last header. Errors: those of [`CostModel::finish`].
    pub fn recordings(self) -> Result<[Vec<Recording>; 2]> {
        let (decoder, mut memory) = decoder_of(self.headers)?;
        let CostOptions { profile, kv_format, .. } = self.options;
        let programs = Programs::record(&mut memory, &decoder, profile.prompt_rows, true, kv_format)?;
        let (adjusted, likely) = programs.later_draws()?;
        Ok([programs.recordings().cloned().collect(), vec![adjusted, likely]])
    }

    /// Call after the last header. Errors: `TruncatedFile`, `UnsupportedTask` for an encoder, and
    /// `OutOfMemory` naming a tensor that exceeds the largest buffer and cannot be split.
    pub fn finish(self) -> Result<ModelCost> {
        let (parameters, quantization) = self.headers.census();
        let options = self.options;
        let (decoder, mut memory) = decoder_of(self.headers)?;
        let weights = memory.memory_bytes();
        let rows = options.profile.prompt_rows;
        let programs = Programs::record(&mut memory, &decoder, rows, true, options.kv_format)?;
        let activations = memory.memory_bytes() - weights;
        let costing = Costing { decoder: &decoder, programs: &programs, variants: options.profile.variants };
        let positions = options.prompt + options.position;
        let kernels = costing.kernels();
        let kv = programs.kv.sequence_bytes(positions);
        let of_program = |kernels: &Vec<Kernel>| Planned::program_bytes(kernels, positions);
        let memory_cost = MemoryCost { weights, kv, activations, programs: kernels.iter().map(of_program).sum() };
        let MemoryCost { weights, kv, activations, programs } = memory_cost;
        Ok(ModelCost {
            name: decoder.config.name.clone(),
            architecture: decoder.config.architecture.name.into(),
            parameters,
            quantization: quantization.into(),
            profile: options.profile.name,
            about: options.profile.about,
            shaders: options.profile.shaders(),
            kv: options.kv_format,
            prompt_tokens: options.prompt,
            position: options.position,
            prompt: costing.prompt(options.prompt)?,
            decode: costing.decode(options.position)?,
            pipelines: cost::pipelines(kernels.iter().flatten()),
            largest_buffer_bytes: memory.largest(),
            memory_bytes: weights + kv + activations + programs,
            memory: memory_cost,
        })
    }
}

fn decoder_of(headers: HeaderLoader<Planned>) -> Result<(Decoder, Planned)> {
    match headers.finish()? {
        (Network::Decoder(decoder), memory) => Ok((*decoder, memory)),
        (Network::Encoder(_), _) => {
            let (needs, found) = ("a decoder, which continues a text".into(), "an encoder".into());
            Err(Error::UnsupportedTask { task: "cost", needs, found, can: "info".into() })
        }
    }
}

/// What counts the costs of a decoder with a choice of shaders.
pub(super) struct Costing<'a> {
    pub decoder: &'a Decoder,
    pub programs: &'a Programs<Recording>,
    pub variants: Variants,
}

impl Costing<'_> {
    /// The dispatches of each program.
    fn kernels(&self) -> Vec<Vec<Kernel>> {
        let of = |recording: &Recording| {
            recording.commands.iter().flat_map(|command| command.kernels(&self.variants)).collect()
        };
        self.programs.recordings().map(of).collect()
    }

    /// A prompt of so many tokens, in the chunks of [`Runner`](super::runner::Runner); a source
    /// text as a whole, with the token behind it. Whatever part of the positions before a token is
    /// a source text, attention goes over all of them.
    pub fn prompt(&self, tokens: usize) -> Result<StepCost> {
        let mut total = Total::default();
        if let Some(source) = &self.programs.source {
            let name = |command: &Command| self.decoder.source_operation(command);
            total.add(&self.variants, &source.program.commands, (0, tokens), name);
            (total.steps, total.submits) = (1, self.submits(&source.program.commands));
            self.token(&mut total, tokens)?;
            return Ok(total.finish(self.decoder.layers.len()));
        }
        let mut first = 0;
        while first < tokens {
            let end = chunk_end(first, self.programs.rows, tokens);
            let count = end - first;
            match (count, end == tokens) {
                (1, true) => self.token(&mut total, first)?,
                (1, false) => drop(self.layers(&mut total, first, 1)?),
                (_, is_last) => {
                    self.layers(&mut total, first, count)?;
                    if is_last {
                        self.head(&mut total, self.sampling().1, (first, count), 0)?;
                    }
                }
            }
            first = end;
        }
        Ok(total.finish(self.decoder.layers.len()))
    }

    /// The token at a position.
    pub fn decode(&self, position: usize) -> Result<StepCost> {
        let mut total = Total::default();
        self.token(&mut total, position)?;
        Ok(total.finish(self.decoder.layers.len()))
    }

    fn token(&self, total: &mut Total, position: usize) -> Result<()> {
        let layers = self.layers(total, position, 1)?;
        // one submit has all
        total.submits -= 1;
        self.head(total, self.sampling().0, (position, 1), layers)
    }

    /// The programs that end with a sampled id: of a token, and of the last one of a chunk.
    fn sampling(&self) -> (&Recording, &Recording) {
        let Steps { decode, last_logits, sampled, .. } = &self.programs.steps;
        sampled.as_ref().map_or((decode, last_logits), |[decode, last]| (decode, last))
    }

    /// The embedding and the layers. Returns the number of their commands.
    fn layers(&self, total: &mut Total, first: usize, count: usize) -> Result<usize> {
        let (a, kv) = (&self.programs.steps.activations, &self.programs.kv);
        let stages = self.decoder.stages(kv, &a.first(if count > 1 { self.programs.rows } else { 1 }))?;
        let mut commands = Vec::new();
        for (i, recording) in stages.into_iter().enumerate() {
            let stage = i.checked_sub(1);
            let name = |command: &Command| self.decoder.operation(stage, command);
            let dispatches = total.add(&self.variants, &recording.commands, (first, count), name);
            total.layer_dispatches += if stage.is_some() { dispatches } else { 0 };
            commands.extend(recording.commands);
        }
        total.steps += 1;
        total.submits += self.submits(&commands);
        Ok(commands.len())
    }

    /// The commands of a program from the `skipped`th on.
    fn head(&self, total: &mut Total, program: &Recording, rows: (usize, usize), skipped: usize) -> Result<()> {
        let name = |command: &Command| self.decoder.operation(None, command);
        total.add(&self.variants, &program.commands[skipped..], rows, name);
        total.submits += self.submits(&program.commands);
        Ok(())
    }

    fn submits(&self, commands: &[Command]) -> u64 {
        let kernels: Vec<Kernel> = commands.iter().flat_map(|command| command.kernels(&self.variants)).collect();
        Planned::submits(&kernels) as u64
    }
}

/// Costs by the names of operations, in the order in which they come.
#[derive(Default)]
struct Total {
    operations: Vec<(&'static str, Cost)>,
    submits: u64,
    steps: u64,
    layer_dispatches: u64,
}

impl Total {
    /// Adds commands in a step of rows from `first` on. Returns their dispatches.
    fn add(
        &mut self,
        variants: &Variants,
        commands: &[Command],
        (first, count): (usize, usize),
        name: impl Fn(&Command) -> &'static str,
    ) -> u64 {
        let table = vec![0; (first + count).div_ceil(KV_BLOCK)];
        let (rows, tables) = (rows(0, first, &vec![0; count]), [table.as_slice()]);
        let costs =
            cost::of(commands, &Step { states: &[[0, 0]], sources: &[first], ..Step::new(&rows, &tables) }, variants);
        let mut dispatches = 0;
        for (command, cost) in commands.iter().zip(costs) {
            let name = name(command);
            dispatches += cost.dispatches;
            match self.operations.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => *sum = *sum + cost,
                None => self.operations.push((name, cost)),
            }
        }
        dispatches
    }

    fn finish(self, layers: usize) -> StepCost {
        let all: Cost = self.operations.iter().map(|(_, cost)| *cost).sum();
        let operations = self.operations.iter().map(|&(name, cost)| OperationCost { name, sum: cost.into() }).collect();
        let sum = Counts::from(all);
        let bytes = sum.weight_bytes + sum.kv_bytes;
        let roof = |(name, rates): &(_, Rates)| (*name, rates.roof(sum.dispatches, bytes, sum.multiply_adds));
        StepCost {
            sum,
            submits: self.submits,
            least_workgroups: all.least_workgroups.unwrap_or(0),
            dispatches_per_layer: self.layer_dispatches as f64 / (self.steps * layers as u64) as f64,
            roofs: GPUS.iter().map(roof).collect(),
            operations,
        }
    }
}
