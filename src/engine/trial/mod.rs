//! Trials: parts of a small model on random data, and the result of the reference. Shaders are
//! checked and timed on them before a model runs, and the kernel benches use them too.

mod command;

use std::ops::Range;
use std::time::Duration;

use super::host::{HostEngine, Reference};
use super::{Engine, ProgramId, now};
use crate::Result;
use crate::format::BlockType;
use crate::format::layout::{BLOCK, Layout};
use crate::ops::{Activation, Attention, Epilogue, Linear, Part, Recording, RmsNorm};
use crate::record::{KV_BLOCK, KvCache, KvFormat, Matrix, Step, Tensor, rows};

pub use command::small;

/// Creates the operands, the same in each call. Returns the recording and the outputs to compare.
type Record = dyn Fn(&mut dyn Engine) -> Result<(Recording, Vec<Output>)>;

/// An output to compare: some columns of every row.
pub struct Output {
    /// Its values, before a run those that an operation may add to.
    pub tensor: Tensor,
    /// The columns that mean something.
    pub cols: Range<usize>,
    /// Whether every bit of them is known: of ids, for example.
    pub exact: bool,
}

impl Output {
    fn all(tensor: Tensor) -> Self {
        Self { tensor, cols: 0..tensor.cols, exact: false }
    }

    fn exact(tensor: Tensor) -> Self {
        Self { exact: true, ..Self::all(tensor) }
    }
}

/// What a trial gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Values that may differ by rounding.
    pub near: Vec<f32>,
    /// The bits of those that may not.
    pub exact: Vec<u32>,
}

/// Random bits for a draw.
const RANDOM: u32 = 0x9e37_79b9;

/// Where the second segment begins, in rows.
const SECOND: usize = 2;

/// Blocks of the one sequence of a trial, and their positions.
const BLOCKS: usize = 8;
const POSITIONS: usize = BLOCKS * KV_BLOCK;

/// The block table of a sequence: out of order, as in a pool that has been in use.
fn table(blocks: usize) -> Vec<u32> {
    (0..blocks as u32).rev().collect()
}

/// Work with a known result.
pub struct Trial {
    /// Kind and shape.
    pub name: String,
    /// Multiply-adds per run.
    pub multiply_adds: u64,
    position: usize,
    /// The tokens.
    pub ids: Vec<u32>,
    table: Vec<u32>,
    record: Box<Record>,
    /// What results are rounded to; small differences can decide how.
    pub format: KvFormat,
}

impl Trial {
    /// First half of a feed-forward layer: norm, gate and up projection of shape (2 · ffn, hidden),
    /// SwiGLU.
    pub fn gate_up(tokens: usize, layout: Layout, ffn: usize, hidden: usize) -> Self {
        Self::normed(tokens, layout, (2 * ffn, hidden), true)
    }

    /// A projection of shape (rows, cols) behind a norm; if `gated`, that of gate and up.
    pub fn normed(tokens: usize, layout: Layout, (rows, cols): (usize, usize), gated: bool) -> Self {
        let record = move |memory: &mut dyn Engine| {
            let mut random = Random(1);
            let x = random.tensor(memory, tokens, cols)?;
            let norm = Some(RmsNorm { weight: random.norm(memory, cols)?, eps: 1e-5 });
            let weight = random.matrix(memory, layout, rows, cols)?;
            let epilogue = if gated { Epilogue::Activate(Activation::SWIGLU) } else { Epilogue::Store };
            let y = random.tensor(memory, tokens, rows / epilogue.inputs())?;
            let mut recording = Recording::default();
            recording.push(Linear { x, norm, weight, affine: None, epilogue, y_offset: 0, y })?;
            Ok((recording, vec![Output::all(y)]))
        };
        let what = if gated { "norm, gate·up and SwiGLU" } else { "norm and projection" };
        let name = format!("{what}, {layout:?} {rows} × {cols}, {tokens} tokens");
        Self::linear(name, tokens, rows * cols, Box::new(record))
    }

    /// Second half of a feed-forward layer: down projection of shape (hidden, ffn), added to the
    /// residual stream.
    pub fn down(tokens: usize, layout: Layout, hidden: usize, ffn: usize) -> Self {
        let record = move |memory: &mut dyn Engine| {
            let mut random = Random(2);
            let x = random.tensor(memory, tokens, ffn)?;
            let weight = random.matrix(memory, layout, hidden, ffn)?;
            let y = random.tensor(memory, tokens, hidden)?;
            let mut recording = Recording::default();
            let epilogue = Epilogue::ACCUMULATE;
            recording.push(Linear { x, norm: None, weight, affine: None, epilogue, y_offset: 0, y })?;
            Ok((recording, vec![Output::all(y)]))
        };
        let name = format!("down and residual, {layout:?} {hidden} × {ffn}, {tokens} tokens");
        Self::linear(name, tokens, hidden * ffn, Box::new(record))
    }

    fn linear(name: String, tokens: usize, weights: usize, record: Box<Record>) -> Self {
        let (multiply_adds, ids) = ((tokens * weights) as u64, vec![0; tokens]);
        Self { name, multiply_adds, position: 0, ids, table: table(BLOCKS), record, format: KvFormat::F32 }
    }

    /// Attention of nine query heads over three key heads, for tokens from `position` on.
    pub fn attention(tokens: usize, position: usize, format: KvFormat) -> Self {
        Self::attention_of((9, 3, 64), tokens, position, format)
    }

    /// The same of other shapes: query heads, key heads, values of a head.
    pub fn attention_of(
        (heads, kv_heads, head_dim): (usize, usize, usize),
        tokens: usize,
        position: usize,
        format: KvFormat,
    ) -> Self {
        let blocks = (position + tokens).div_ceil(KV_BLOCK).max(BLOCKS);
        let record = move |memory: &mut dyn Engine| {
            let mut random = Random(3);
            let q = random.tensor(memory, tokens, (heads + 2 * kv_heads) * head_dim)?;
            let shape = KvCache { buffer: q.buffer, heads: kv_heads, head_dim, format, parts: 1 };
            let kv = random.cache(memory, shape, blocks)?;
            let y = random.tensor(memory, tokens, heads * head_dim)?;
            let mut recording = Recording::default();
            let (cap, alibi, window, causal) = (None, None, None, true);
            recording.push(Attention {
                q,
                kv,
                heads,
                scale: 0.3,
                cap,
                alibi,
                window,
                causal,
                sinks: None,
                bias: None,
                part: Part::Whole,
                temperature: None,
                y,
            })?;
            Ok((recording, vec![Output::all(y)]))
        };
        let shape = format!("{heads}/{kv_heads} heads of {head_dim} in {}", format.name());
        let name = format!("attention, {shape}, {tokens} tokens at {position}");
        let positions: usize = (0..tokens).map(|token| position + token + 1).sum();
        let multiply_adds = (2 * positions * heads * head_dim) as u64;
        let (ids, table, record) = (vec![0; tokens], table(blocks), Box::new(record));
        Self { name, multiply_adds, position, ids, table, record, format: KvFormat::F32 }
    }

    /// Creates the operands, the same on each engine. Returns the recording and its outputs.
    pub fn record(&self, engine: &mut dyn Engine) -> Result<(Recording, Vec<Output>)> {
        (self.record)(engine)
    }

    /// The block table of its sequence.
    pub fn table(&self) -> &[u32] {
        &self.table
    }

    /// Gives the step of the trial to a function.
    pub(super) fn step<T>(&self, with: impl FnOnce(&Step) -> T) -> T {
        let rows = rows(0, self.position, &self.ids);
        let second = (self.position + SECOND) as u32;
        with(&Step { random: RANDOM, second, states: &[[0, 1]], sources: &[1], ..Step::new(&rows, &[&self.table]) })
    }

    fn run_step(&self, engine: &mut dyn Engine, program: ProgramId) -> Result<()> {
        self.step(|step| engine.run(program, step))
    }

    /// The result of the reference.
    pub async fn expected(&self) -> Result<Results> {
        let mut host = HostEngine::new(Reference);
        Ok(self.run(&mut host).await?.1)
    }

    /// Prepares the trial on `engine` and runs it once.
    pub async fn run(&self, engine: &mut dyn Engine) -> Result<(ProgramId, Results)> {
        let (recording, outputs) = self.record(engine)?;
        let program = engine.prepare(recording)?;
        self.run_step(engine, program)?;
        let mut results = Results::default();
        for Output { tensor, cols, exact } in outputs {
            let values = engine.read_values(tensor.buffer, tensor.rows * tensor.cols).await?;
            let values = values.chunks(tensor.cols).flat_map(|row| &row[cols.clone()]);
            if exact {
                results.exact.extend(values.map(|value| value.to_bits()));
            } else {
                results.near.extend(values);
            }
        }
        Ok((program, results))
    }

    /// Average time of a run when `runs` are queued at once.
    pub async fn time(&self, engine: &mut dyn Engine, program: ProgramId, runs: u32) -> Result<Duration> {
        let start = now();
        for _ in 0..runs {
            self.run_step(engine, program)?;
        }
        engine.synchronize().await?;
        Ok(start.elapsed() / runs)
    }
}

/// Largest difference, relative to the root mean square of what is expected; infinite if a value is
/// NaN, or if what should be exact is not.
pub fn relative_error(got: &Results, expected: &Results) -> f32 {
    if got.exact == expected.exact { relative_difference(&got.near, &expected.near) } else { f32::INFINITY }
}

/// The same for values that may differ by rounding. Equal bits do not differ, also where all are 0.
pub fn relative_difference(got: &[f32], expected: &[f32]) -> f32 {
    let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
    let difference = |(a, b): (&f32, &f32)| if a.to_bits() == b.to_bits() { 0.0 } else { (a - b).abs() / rms };
    let differences = got.iter().zip(expected).map(difference);
    differences.fold(0.0, |worst, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) })
}

/// Reproducible random numbers (xorshift32, Marsaglia 2003).
struct Random(u32);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number in (-1, 1).
    fn unit(&mut self) -> f32 {
        self.bits() as i32 as f32 / 2f32.powi(31)
    }

    fn like(&mut self, memory: &mut dyn Engine, Tensor { rows, cols, .. }: Tensor) -> Result<Tensor> {
        self.tensor(memory, rows, cols)
    }

    /// Values in (-1, 1) that eight bits hold exactly, with one scale per 32 of them, and that an
    /// f16 holds too: kernels that round activations must then be as accurate as others.
    fn tensor(&mut self, memory: &mut dyn Engine, rows: usize, cols: usize) -> Result<Tensor> {
        let values = self.values(rows * cols);
        Self::put(memory, rows, cols, &values)
    }

    fn values(&mut self, len: usize) -> Vec<f32> {
        let mut scale = 0.0;
        let value = |i: usize| {
            if i.is_multiple_of(BLOCK) {
                let unit = self.unit();
                // never 0, or all of the block would be
                scale = (unit * 15.0 + 1_f32.copysign(unit)).round() / 2048.0;
            }
            let byte = if i.is_multiple_of(BLOCK / 2) { 127 } else { (self.bits() % 255) as i32 - 127 };
            scale * byte as f32
        };
        (0..len).map(value).collect()
    }

    /// Norm weights, (1, cols), equal within each block: normalised rows still fit eight bits
    /// exactly.
    fn norm(&mut self, memory: &mut dyn Engine, cols: usize) -> Result<Tensor> {
        let blocks: Vec<f32> = (0..cols.div_ceil(BLOCK)).map(|_| self.unit()).collect();
        let values: Vec<f32> = (0..cols).map(|i| blocks[i / BLOCK]).collect();
        Self::put(memory, 1, cols, &values)
    }

    /// A KV cache of this shape with so many blocks, all of it filled.
    fn cache(&mut self, memory: &mut dyn Engine, shape: KvCache, blocks: usize) -> Result<KvCache> {
        let buffer = memory.create_blocks("trial", &shape, blocks)?;
        memory.write_values(buffer, 0, &self.values(blocks * shape.block_len()))?;
        Ok(KvCache { buffer, ..shape })
    }

    fn put(memory: &mut dyn Engine, rows: usize, cols: usize, values: &[f32]) -> Result<Tensor> {
        let buffer = memory.create_values("trial", rows * cols)?;
        memory.write_values(buffer, 0, values)?;
        Ok(Tensor { buffer, rows, cols })
    }

    /// Weights of shape (rows, cols), about in (-1/4, 1/4).
    fn matrix(&mut self, memory: &mut dyn Engine, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        // for each layout: a block type, and in a block the offset and the smallest value of each
        // f16
        let (block, halves): (BlockType, &[(usize, u16)]) = match layout {
            Layout::F32 => (BlockType::F32, &[]),
            Layout::F16 => (BlockType::F16, &[(0, power_of_two(-3))]),
            Layout::Bf16 => (BlockType::Bf16, &[]),
            Layout::Q4 => (BlockType::Q4_0, &[(0, power_of_two(-6))]),
            Layout::Q5 => (BlockType::Q5_0, &[(0, power_of_two(-7))]),
            Layout::Q8 => (BlockType::Q8_0, &[(0, power_of_two(-10))]),
            Layout::Q4K32 => (BlockType::Q4K, &[(0, power_of_two(-12)), (2, power_of_two(-8))]),
            Layout::Q3K16 => (BlockType::Q3K, &[(108, power_of_two(-10))]),
            Layout::Q2K16 => (BlockType::Q2K, &[(80, power_of_two(-8)), (82, power_of_two(-6))]),
            Layout::Q5K32 => (BlockType::Q5K, &[(0, power_of_two(-13)), (2, power_of_two(-8))]),
            Layout::Q6K16 => (BlockType::Q6K, &[(208, power_of_two(-14))]),
            Layout::Iq4 => (BlockType::Iq4Nl, &[(0, power_of_two(-10))]),
            Layout::Iq4K32 => (BlockType::Iq4Xs, &[(0, power_of_two(-14))]),
            Layout::Mx4 => (BlockType::Mxfp4, &[]),
            Layout::Q1 => (BlockType::Q1_0, &[(0, power_of_two(-4))]),
            Layout::Nv4 => (BlockType::Nvfp4, &[]),
            Layout::Q2K256 => (BlockType::Tq2_0, &[(64, power_of_two(-4))]),
            Layout::Iq1S => (BlockType::Iq1S, &[(0, power_of_two(-5))]),
            Layout::Iq1M => (BlockType::Iq1M, &[]),
            Layout::Iq2Xxs => (BlockType::Iq2Xxs, &[(0, power_of_two(-9))]),
            Layout::Iq2Xs => (BlockType::Iq2Xs, &[(0, power_of_two(-9))]),
            Layout::Iq2S => (BlockType::Iq2S, &[(0, power_of_two(-9))]),
            Layout::Iq3Xxs => (BlockType::Iq3Xxs, &[(0, power_of_two(-10))]),
            Layout::Iq3S => (BlockType::Iq3S, &[(0, power_of_two(-10))]),
        };
        let matrix = memory.create_matrix("trial", layout, rows, cols)?;
        let bytes = self.rows(block, halves, rows * cols);
        memory.write_rows(&matrix, 0, block, &bytes)?;
        Ok(matrix)
    }

    fn rows(&mut self, block: BlockType, halves: &[(usize, u16)], values: usize) -> Vec<u8> {
        let words = block.row_bytes(values).div_ceil(4);
        let mut bytes: Vec<u8> = (0..words).flat_map(|_| self.bits().to_le_bytes()).collect();
        bytes.truncate(block.row_bytes(values));
        for bytes in bytes.chunks_exact_mut(block.block_bytes()) {
            match block {
                BlockType::F32 => bytes.copy_from_slice(&(self.unit() / 4.0).to_le_bytes()),
                // a sign, an exponent of -3, any fraction
                BlockType::Bf16 => bytes.copy_from_slice(&((self.bits() & 0x807f) as u16 | 0x3e00).to_le_bytes()),
                // numbers up to 12, times 2^-6 or 2^-7
                BlockType::Mxfp4 => bytes[0] = 121 + (bytes[0] & 1),
                // the same, times 2^-6 to 2^-4
                BlockType::Nvfp4 => bytes[..4].iter_mut().for_each(|scale| *scale = 16 + (*scale & 15)),
                // the scale is in the upper halves of four bytes: 2^-6 to 2^-5
                BlockType::Iq1M => {
                    bytes[55] = bytes[55] & 0xf | 0x20;
                    bytes[53] = bytes[53] & 0x3f | 0x40;
                }
                _ => {}
            }
            for (at, least) in halves {
                // plain values have a sign too
                let fraction = self.bits() & if block == BlockType::F16 { 0x83ff } else { 0x3ff };
                bytes[*at..][..2].copy_from_slice(&(fraction as u16 | least).to_le_bytes());
            }
        }
        bytes
    }
}

/// Bits of the f16 2^exponent; the fraction is zero.
const fn power_of_two(exponent: i16) -> u16 {
    ((exponent + 15) as u16) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_an_infinite_error() {
        let error = |got: &[f32]| {
            let [got, expected] = [got, &[1.0, 1.0]].map(|near| Results { near: near.to_vec(), exact: vec![] });
            relative_error(&got, &expected)
        };
        assert_eq!(error(&[1.0, f32::NAN]), f32::INFINITY);
        assert_eq!(error(&[1.0, 3.0]), 2.0);
    }

    #[test]
    fn what_must_be_exact_is_right_or_wrong() {
        let of = |value: f32| Results { near: vec![1.0], exact: vec![value.to_bits(), f32::NEG_INFINITY.to_bits()] };
        assert_eq!(relative_error(&of(1.0), &of(1.0)), 0.0);
        assert_eq!(relative_error(&of(1.0 + f32::EPSILON), &of(1.0)), f32::INFINITY);
        assert_eq!(relative_error(&of(-0.0), &of(0.0)), f32::INFINITY);
    }

    #[test]
    fn results_are_large_enough_to_show_errors() {
        for layout in Layout::ALL {
            for trial in [
                Trial::gate_up(2, layout, 8, 256),
                Trial::down(1, layout, 8, 256),
                Trial::attention(2, 9, KvFormat::F16),
            ] {
                let expected = pollster::block_on(trial.expected()).unwrap().near;
                let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
                assert!((0.01..10.0).contains(&rms), "{}: {rms}", trial.name);
            }
        }
    }
}
