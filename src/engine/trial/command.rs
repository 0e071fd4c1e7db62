//! Trials of recorded commands: the same pipelines on random operands of the same shape. Operands
//! that would be slow on the host are made smaller where kernels then differ only in parameters.

use super::{BLOCKS, Output, POSITIONS, Random, Trial, table};
use crate::engine::Engine;
use crate::format::layout::BLOCK;
use crate::ops::adjust::{self, Changes, RECENT};
use crate::ops::{
    Command, Embed, Epilogue, Gather, Index, Linear, LinearPair, NormLinear, Recording, RopeAttention, Sample, likely,
};
use crate::record::{KvCache, KvFormat, Matrix, Tensor};
use crate::sampling::{Change, Sampler, SamplingOptions};
use crate::{Error, Result};

/// Weights that a trial has at most, unless what decides on a kernel needs more.
const MOST: usize = 2 << 20;

/// Rows of a reduced matrix. It still counts as wide, see `ops::variants`.
const ROWS: usize = 2048;

/// Columns of a reduced matrix that has at most this many rows: so many that invocations which
/// share a row do not share its blocks evenly.
const COLS: usize = 1280;

/// Tokens of a trial if there is room, and earlier positions in the cache: more than one piece of
/// it.
const TOKENS: usize = 5;
const POSITION: usize = 70;

/// Tokens of a trial whose logits change: more than a workgroup has invocations.
const CHANGED: usize = 300;

/// Returns the reduced command. Two commands with the same reduced command need only one trial. Its
/// buffers are those of `command` and must not be used.
pub fn small(command: &Command) -> Command {
    let mut command = *command;
    match &mut command {
        Command::Embed(Embed { table, first_row, y, .. }) => {
            (*table, *first_row) = (small_matrix(*table), 0);
            y.cols = table.cols;
        }
        Command::Linear(op) => {
            let outputs = op.outputs();
            op.weight = small_matrix(op.weight);
            op.x.cols = op.weight.cols;
            if let Some(norm) = &mut op.norm {
                norm.weight.cols = op.weight.cols;
            }
            if let Some(affine) = &mut op.affine {
                affine.cols = op.weight.rows;
            }
            op.y.cols -= outputs - op.outputs();
        }
        Command::LinearPair(LinearPair { head, tail }) => {
            head.weight = small_matrix(head.weight);
            (tail.weight.rows, tail.weight.cols) = (tail.weight.rows.min(ROWS), head.weight.cols);
            head.x.cols = head.weight.cols;
            if let Some(norm) = &mut head.norm {
                norm.weight.cols = head.weight.cols;
            }
            put_behind(head, tail);
        }
        Command::NormLinear(NormLinear { linear: op, tail, .. }) => {
            // columns stay: they decide whether one dispatch does both
            let outputs = op.outputs();
            for weight in tail.iter_mut().map(|tail| &mut tail.weight).chain([&mut op.weight]) {
                if weight.rows * weight.cols > MOST {
                    weight.rows = weight.rows.min(ROWS);
                }
            }
            match tail {
                Some(tail) => put_behind(op, tail),
                None => op.y.cols -= outputs - op.outputs(),
            }
        }
        Command::ExpertLinear(op) => {
            let most = (MOST / (op.rows * op.weight.cols)).max(2);
            op.weight.rows = op.experts().min(most) * op.rows;
            if let Some(affine) = &mut op.affine {
                affine.cols = op.weight.rows;
            }
            op.first_expert = 0;
            match &mut op.gathered {
                // the number of all decides on the pipeline of `gather`
                Some(gathered) => gathered.cols = Gather::len(op.route.rows, op.chosen, op.all_experts),
                // and one that is in another part
                None => op.all_experts = op.experts() + 1,
            }
        }
        Command::Norm(_)
        | Command::Activate(_)
        | Command::RopeAppend(_)
        | Command::Attention(_)
        | Command::RopeAttention(_)
        | Command::Route(_)
        | Command::Gather(_)
        | Command::Combine(_)
        | Command::Convolve(_)
        | Command::CausalConvolve(_)
        | Command::DeltaRule(_)
        | Command::SelectiveScan(_)
        | Command::Wkv(_)
        | Command::AltUp(_)
        | Command::Rescale(_)
        | Command::Sparsify(_)
        | Command::PickColumns(_)
        | Command::PickRows(_)
        | Command::Adjust(_)
        | Command::Sample(_)
        | Command::Likely(_) => {}
    }
    command
}

/// Gives both projections of a pair, whose weights are set, the columns of y that they need.
fn put_behind(head: &mut Linear, tail: &mut Linear) {
    tail.y_offset = head.weight.rows;
    head.y.cols = head.weight.rows + tail.weight.rows;
    if let Some(affine) = &mut head.affine {
        affine.cols = head.y.cols;
    }
    (tail.x, tail.y, tail.norm, tail.affine) = (head.x, head.y, head.norm, head.affine);
}

fn small_matrix(matrix: Matrix) -> Matrix {
    let Matrix { mut rows, mut cols, .. } = matrix;
    if rows * cols > MOST {
        rows = rows.min(ROWS);
    }
    if rows * cols > MOST && cols.is_multiple_of(BLOCK) {
        cols = cols.min(COLS);
    }
    Matrix { rows, cols, ..matrix }
}

impl Trial {
    /// Creates a trial of a [`small`] command.
    pub fn of(command: &Command) -> Self {
        let command = *command;
        let (name, rows, context, weights) = about(&command);
        let tokens = rows.min(TOKENS).min(context);
        let position = POSITION.min(context - tokens);
        let last_id = if let Command::Embed(op) = &command { op.table.rows - 1 } else { 0 };
        let appends = match &command {
            Command::RopeAppend(op) | Command::RopeAttention(RopeAttention { rope: op, .. }) => Some(op.kv),
            _ => None,
        };
        let record = move |memory: &mut dyn Engine| record(&command, memory);
        Self {
            name,
            multiply_adds: (tokens * weights) as u64,
            position,
            ids: (0..tokens).map(|token| (last_id - token.min(last_id)) as u32).collect(),
            table: table(BLOCKS),
            record: Box::new(record),
            format: appends.map_or(KvFormat::F32, |kv| kv.format),
        }
    }
}

/// Name, room for tokens, positions of the context, number of weights.
fn about(command: &Command) -> (String, usize, usize, usize) {
    let any = usize::MAX;
    match command {
        Command::Embed(op) => {
            let positions = if op.index == Index::Position { op.table.rows } else { any };
            (format!("embedding, {:?}", op.table.layout), op.y.rows, positions, 0)
        }
        Command::Linear(op) => {
            let Matrix { layout, rows, cols, .. } = op.weight;
            let then = match &op.epilogue {
                Epilogue::Store => "",
                Epilogue::Accumulate { .. } => " and residual",
                Epilogue::Activate(_) => " and activation",
                Epilogue::Cap { .. } => " and bound",
            };
            (format!("projection{then}, {layout:?} {rows} × {cols}"), op.y.rows, any, rows * cols)
        }
        Command::LinearPair(LinearPair { head, tail }) => {
            let [first, second] = [head, tail].map(|part| part.weight);
            let (rows, cols) = (first.rows + second.rows, first.cols);
            let name = format!("projection, {:?} and {:?} {rows} × {cols}", first.layout, second.layout);
            (name, head.y.rows, any, rows * cols)
        }
        Command::NormLinear(NormLinear { linear: head, tail, .. }) => {
            let joined = tail.map_or(Command::Linear(*head), |tail| LinearPair { head: *head, tail }.into());
            let (name, capacity, context, weights) = about(&joined);
            (format!("residual and {name}"), capacity, context, weights)
        }
        Command::Norm(op) => ("normalisation".into(), op.y.rows, any, 0),
        Command::Activate(op) => ("activation".into(), op.y.rows, any, 0),
        Command::Route(op) => ("routing".into(), op.y.rows, any, 0),
        Command::Gather(op) => ("slots by expert".into(), op.route.rows, any, 0),
        Command::ExpertLinear(op) => {
            let Matrix { layout, cols, .. } = op.weight;
            let name = format!("projection by experts, {layout:?} {} × {} × {cols}", op.experts(), op.rows);
            (name, op.y.rows, any, op.chosen * op.rows * cols)
        }
        Command::Combine(op) => ("answers of experts".into(), op.y.rows, any, 0),
        Command::RopeAppend(op) => ("rope".into(), op.qkv.rows, POSITIONS, 0),
        Command::Convolve(op) => ("convolution".into(), op.y.rows, POSITIONS, 0),
        Command::CausalConvolve(op) => ("causal convolution".into(), op.y.rows, POSITIONS, 0),
        Command::DeltaRule(op) => ("delta rule".into(), op.y.rows, POSITIONS, 0),
        Command::SelectiveScan(op) => ("selective scan".into(), op.y.rows, POSITIONS, 0),
        Command::Wkv(op) => ("time mixing".into(), op.y.rows, POSITIONS, 0),
        Command::AltUp(op) => ("alternating updates".into(), op.y.rows, any, 0),
        Command::Rescale(op) => ("factors".into(), op.y.rows, any, 0),
        Command::Sparsify(op) => ("largest values".into(), op.y.rows, any, 0),
        Command::Attention(op) => ("attention".into(), op.y.rows, POSITIONS, 0),
        Command::RopeAttention(op) => ("rope and attention".into(), op.attention.y.rows, POSITIONS, 0),
        Command::PickColumns(op) => ("picked columns".into(), op.y.rows, any, 0),
        Command::PickRows(op) => ("picked rows".into(), op.x.rows, any, 0),
        Command::Adjust(op) => ("biases and penalties".into(), op.logits.rows, any, 0),
        Command::Sample(op) => ("sampling".into(), op.logits.rows, any, 0),
        Command::Likely(op) => ("log-probabilities".into(), op.logits.rows, any, 0),
    }
}

/// Records the command over its own operands. Returns also its outputs.
fn record(command: &Command, memory: &mut dyn Engine) -> Result<(Recording, Vec<Output>)> {
    let mut random = Random(4);
    let mut command = *command;
    // what makes an operand of it
    let mut before = None;
    let blocks = |kv: KvCache| Tensor { buffer: kv.buffer, rows: BLOCKS, cols: kv.block_len() };
    let outputs = match &mut command {
        Command::Embed(op) => {
            op.y = random.like(memory, op.y)?;
            op.table = random.matrix(memory, op.table.layout, op.table.rows, op.table.cols)?;
            vec![Output::all(op.y)]
        }
        Command::Linear(op) => {
            op.x = random.like(memory, op.x)?;
            op.y = random.like(memory, op.y)?;
            if let Some(norm) = &mut op.norm {
                norm.weight = random.norm(memory, norm.weight.cols)?;
            }
            if let Some(affine) = &mut op.affine {
                *affine = random.like(memory, *affine)?;
            }
            op.weight = random.matrix(memory, op.weight.layout, op.weight.rows, op.weight.cols)?;
            vec![Output::all(op.y)]
        }
        Command::LinearPair(LinearPair { head, tail }) => {
            (head.x, head.y) = (random.like(memory, head.x)?, random.like(memory, head.y)?);
            if let Some(norm) = &mut head.norm {
                norm.weight = random.norm(memory, norm.weight.cols)?;
            }
            if let Some(affine) = &mut head.affine {
                *affine = random.like(memory, *affine)?;
            }
            (tail.x, tail.y, tail.norm, tail.affine) = (head.x, head.y, head.norm, head.affine);
            for weight in [&mut head.weight, &mut tail.weight] {
                *weight = random.matrix(memory, weight.layout, weight.rows, weight.cols)?;
            }
            vec![Output::all(head.y)]
        }
        Command::NormLinear(NormLinear { norm, linear, tail }) => {
            (norm.x, norm.y) = (random.like(memory, norm.x)?, random.like(memory, norm.y)?);
            norm.weight = random.norm(memory, norm.weight.cols)?;
            if let Some(add) = &mut norm.add {
                // a sum does not fit eight bits, to which the parts may round
                *add = match add.rows {
                    1 => random.like(memory, *add)?,
                    rows => Random::put(memory, rows, add.cols, &vec![0.0; rows * add.cols])?,
                };
            }
            (linear.x, linear.y) = (norm.y, random.like(memory, linear.y)?);
            if let Some(norm) = &mut linear.norm {
                norm.weight = random.norm(memory, norm.weight.cols)?;
            }
            let Matrix { layout, rows, cols, .. } = linear.weight;
            linear.weight = random.matrix(memory, layout, rows, cols)?;
            if let Some(tail) = tail {
                (tail.x, tail.y, tail.norm) = (linear.x, linear.y, linear.norm);
                let Matrix { layout, rows, cols, .. } = tail.weight;
                tail.weight = random.matrix(memory, layout, rows, cols)?;
            }
            vec![Output::all(linear.y), Output::all(norm.y)]
        }
        Command::Norm(op) => {
            let in_place = op.x.buffer == op.y.buffer;
            op.x = random.like(memory, op.x)?;
            let adds_to_y = op.add.is_some_and(|add| add.buffer == op.y.buffer);
            op.y = if in_place { op.x } else { random.like(memory, op.y)? };
            if let Some(add) = &mut op.add {
                *add = if adds_to_y { op.y } else { random.like(memory, *add)? };
            }
            op.weight = random.like(memory, op.weight)?;
            if let Some(bias) = &mut op.bias {
                *bias = random.like(memory, *bias)?;
            }
            op.scale = op.scale.map(|scale| random.like(memory, scale)).transpose()?;
            vec![Output::all(op.y)]
        }
        Command::Route(op) => {
            (op.logits, op.y) = (random.like(memory, op.logits)?, random.like(memory, op.y)?);
            if let Some(bias) = &mut op.bias {
                *bias = random.like(memory, *bias)?;
            }
            vec![Output::all(op.y)]
        }
        Command::ExpertLinear(op) => {
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            if let Some(norm) = &mut op.norm {
                norm.weight = random.norm(memory, norm.weight.cols)?;
            }
            if let Some(affine) = &mut op.affine {
                *affine = random.like(memory, *affine)?;
            }
            let numbers = experts(&op.route, op.all_experts);
            op.route = Random::put(memory, op.route.rows, op.route.cols, &numbers)?;
            if let Some(gathered) = &mut op.gathered {
                *gathered = random.like(memory, *gathered)?;
                before = Some(Gather { route: op.route, chosen: op.chosen, experts: op.all_experts, y: *gathered });
            }
            op.weight = random.matrix(memory, op.weight.layout, op.weight.rows, op.weight.cols)?;
            vec![Output::all(op.y)]
        }
        Command::Gather(op) => {
            let numbers = experts(&op.route, op.experts);
            op.route = Random::put(memory, op.route.rows, op.route.cols, &numbers)?;
            op.y = Random::put(memory, 1, op.y.cols, &vec![0.0; op.y.cols])?;
            vec![Output::exact(op.y)]
        }
        Command::Combine(op) => {
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            op.route = random.like(memory, op.route)?;
            vec![Output::all(op.y)]
        }
        Command::Activate(op) => {
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            if let Some((up, _)) = &mut op.up {
                *up = random.like(memory, *up)?;
            }
            vec![Output::all(op.y)]
        }
        Command::RopeAppend(op) => {
            // where it appends nothing, a head that stays as it is
            let heads = op.kv.heads;
            op.kv = random.cache(memory, KvCache { heads: heads.max(1), ..op.kv }, BLOCKS)?;
            let cache = Output::all(blocks(op.kv));
            op.kv.heads = heads;
            (op.qkv, op.angles) = (random.like(memory, op.qkv)?, random.like(memory, op.angles)?);
            op.behind = op.behind.map(|behind| random.like(memory, behind)).transpose()?;
            let q = Output { cols: 0..op.heads * op.kv.head_dim, ..Output::all(op.qkv) };
            vec![q, cache]
        }
        Command::Convolve(op) => {
            op.state = random.cache(memory, op.state, BLOCKS)?;
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            op.weight = random.like(memory, op.weight)?;
            vec![Output::all(op.y), Output::all(blocks(op.state))]
        }
        Command::CausalConvolve(op) => {
            op.state = random.cache(memory, op.state, BLOCKS)?;
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            op.weight = random.like(memory, op.weight)?;
            vec![Output::all(op.y), Output::all(blocks(op.state))]
        }
        Command::DeltaRule(op) => {
            op.state = random.cache(memory, op.state, BLOCKS)?;
            (op.qkv, op.y) = (random.like(memory, op.qkv)?, random.like(memory, op.y)?);
            op.gates = random.like(memory, op.gates)?;
            let (count, norm) = (op.heads.value, op.heads.value_dim);
            // a matrix must fade
            let weights: Vec<f32> = (0..2 * count + norm).map(|i| if i < count { -0.5 } else { 0.75 }).collect();
            op.weights = Random::put(memory, 1, op.weights.cols, &weights)?;
            vec![Output::all(op.y), Output::all(blocks(op.state))]
        }
        Command::SelectiveScan(op) => {
            op.state = random.cache(memory, op.state, BLOCKS)?;
            (op.xbc, op.y) = (random.like(memory, op.xbc)?, random.like(memory, op.y)?);
            op.gates = random.like(memory, op.gates)?;
            // a matrix must fade
            let decays = if op.heads.columns { op.heads.matrices() } else { op.heads.count };
            let weights: Vec<f32> = (0..op.heads.weights()).map(|i| if i < decays { -0.5 } else { 0.75 }).collect();
            op.weights = Random::put(memory, 1, op.weights.cols, &weights)?;
            vec![Output::all(op.y), Output::all(blocks(op.state))]
        }
        Command::Wkv(op) => {
            op.state = random.cache(memory, op.state, BLOCKS)?;
            (op.projected, op.y) = (random.like(memory, op.projected)?, random.like(memory, op.y)?);
            (op.first_values, op.weights) = (random.like(memory, op.first_values)?, random.like(memory, op.weights)?);
            vec![Output::all(op.y), Output::all(blocks(op.state))]
        }
        Command::AltUp(op) => {
            (op.first, op.late, op.y) =
                (random.like(memory, op.first)?, random.like(memory, op.late)?, random.like(memory, op.y)?);
            (op.routed, op.weights) = (random.like(memory, op.routed)?, random.like(memory, op.weights)?);
            op.others = op.others.map(|others| random.like(memory, others)).transpose()?;
            let mut outputs = vec![Output::all(op.y)];
            if let Some(end) = &mut op.correction {
                (end.x, end.corrected) = (random.like(memory, end.x)?, random.like(memory, end.corrected)?);
                outputs.push(Output::all(op.first));
            }
            outputs
        }
        Command::Rescale(op) => {
            let in_place = op.x.buffer == op.y.buffer;
            let adds_to_y = op.add.is_some_and(|add| add.buffer == op.y.buffer);
            // where it makes zeros, it would show nothing
            op.factor = if op.factor == 0.0 { 1.0 } else { op.factor };
            op.x = random.like(memory, op.x)?;
            op.y = if in_place { op.x } else { random.like(memory, op.y)? };
            for (tensor, is_y) in [(&mut op.weight, false), (&mut op.like, false), (&mut op.add, adds_to_y)] {
                if let Some(tensor) = tensor {
                    *tensor = if is_y { op.y } else { random.like(memory, *tensor)? };
                }
            }
            vec![Output::all(op.y)]
        }
        Command::Sparsify(op) => {
            op.y = random.like(memory, op.y)?;
            vec![Output::all(op.y)]
        }
        Command::Attention(op) => {
            (op.q, op.y) = (random.like(memory, op.q)?, random.like(memory, op.y)?);
            op.kv = random.cache(memory, op.kv, BLOCKS)?;
            op.sinks = op.sinks.map(|sinks| random.like(memory, sinks)).transpose()?;
            op.bias = op.bias.map(|bias| random.like(memory, bias)).transpose()?;
            vec![Output::all(op.y)]
        }
        Command::RopeAttention(RopeAttention { norm, rope, attention }) => {
            rope.kv = random.cache(memory, rope.kv, BLOCKS)?;
            (rope.qkv, rope.angles) = (random.like(memory, rope.qkv)?, random.like(memory, rope.angles)?);
            if let Some(norm) = norm {
                (norm.x, norm.y, norm.weight) = (rope.qkv, rope.qkv, random.like(memory, norm.weight)?);
            }
            (attention.q, attention.kv, attention.y) = (rope.qkv, rope.kv, random.like(memory, attention.y)?);
            rope.behind = rope.behind.map(|behind| random.like(memory, behind)).transpose()?;
            attention.sinks = attention.sinks.map(|sinks| random.like(memory, sinks)).transpose()?;
            attention.bias = attention.bias.map(|bias| random.like(memory, bias)).transpose()?;
            vec![Output::all(attention.y), Output::all(blocks(rope.kv))]
        }
        Command::PickColumns(op) => {
            op.x = random.like(memory, op.x)?;
            for x in op.others.iter_mut().flatten() {
                *x = random.like(memory, *x)?;
            }
            let all = op.x.cols + op.others.iter().flatten().map(|x| x.cols).sum::<usize>();
            // in another order, each now and then
            let columns: Vec<f32> = (0..op.y.cols).map(|i| (i * 7 % all) as f32).collect();
            op.columns = Random::put(memory, 1, op.y.cols, &columns)?;
            op.y = random.like(memory, op.y)?;
            vec![Output::all(op.y)]
        }
        Command::PickRows(op) => {
            (op.x, op.y) = (random.like(memory, op.x)?, random.like(memory, op.y)?);
            vec![Output::all(op.y)]
        }
        Command::Adjust(op) => {
            (op.logits, op.y) = (random.like(memory, op.logits)?, random.like(memory, op.y)?);
            let vocab = op.logits.cols;
            let words = changes(vocab)?;
            op.changes = random.like(memory, op.changes)?;
            memory.write_values(op.changes.buffer, 0, bytemuck::cast_slice(&words))?;
            // one id more than once, and some that are changed anyway
            let recent: Vec<f32> = (0..RECENT).map(|i| f32::from_bits((i / 2 * 7 % vocab) as u32)).collect();
            op.recent = Random::put(memory, 1, RECENT, &recent)?;
            let mask: Vec<f32> = (0..op.mask.cols).map(|_| f32::from_bits(random.bits())).collect();
            op.mask = Random::put(memory, 1, op.mask.cols, &mask)?;
            vec![Output::exact(op.y)]
        }
        Command::Sample(op) => {
            let Sample { logits, chain, maxima, y } = op;
            (*logits, *maxima, *y) =
                (random.like(memory, *logits)?, random.like(memory, *maxima)?, random.like(memory, *y)?);
            *chain = random.like(memory, *chain)?;
            let values = Sampler::new(SamplingOptions::default(), 0)?.device_values();
            let missing = || Error::Internal { op: "self-test", expected: "a chain".into(), got: "none".into() };
            memory.write_values(chain.buffer, 0, &values.ok_or_else(missing)?)?;
            vec![Output::exact(*y)]
        }
        Command::Likely(op) => {
            for tensor in [&mut op.logits, &mut op.maxima, &mut op.sums, &mut op.y] {
                *tensor = random.like(memory, *tensor)?;
            }
            op.id = Random::put(memory, 1, 1, &[f32::from_bits(op.logits.cols as u32 / 2)])?;
            let exact = |cols| Output { cols, ..Output::exact(op.y) };
            let sum = Output { cols: likely::SUM..likely::SUM + 1, ..Output::all(op.y) };
            vec![exact(0..likely::SUM), sum, exact(likely::SUM + 1..op.y.cols)]
        }
    };
    let mut recording = Recording::default();
    before.into_iter().try_for_each(|gather| recording.push(gather))?;
    recording.push(command)?;
    Ok((recording, outputs))
}

/// The words of changes of tokens all over a vocabulary, of ids on their way, and a mask.
fn changes(vocab: usize) -> Result<Vec<u32>> {
    let options = SamplingOptions {
        repetition_penalty: 1.3,
        frequency_penalty: 0.2,
        presence_penalty: 0.4,
        ..SamplingOptions::default()
    };
    let penalties = Sampler::new(options, 0)?.penalties();
    let change = |(i, id)| Change { id: id as u32, bias: [0.5, -0.3, 0.0][i % 3], count: i as u32 % 4 };
    let ids = (0..vocab).step_by(vocab.div_ceil(CHANGED).max(1));
    let tokens: Vec<Change> = ids.enumerate().map(change).collect();
    let changes = Changes { tokens: &tokens, ahead: RECENT - 3, newest: 1, penalties, masked: true };
    Ok(adjust::words(&changes, vocab))
}

/// Experts for a router's result: the first one more often than all others, which come in turn.
fn experts(route: &Tensor, all: usize) -> Vec<f32> {
    (0..route.rows * route.cols).map(|i| if i % 4 == 3 { i / 4 % all } else { 0 } as f32).collect()
}
