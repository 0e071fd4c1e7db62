//! Chooses among the shaders of `ops::variants`, by trying them on the GPU at hand.
//!
//! Each candidate computes a piece of a small model on random data. Those that differ from the plain reference are
//! never used; the quickest of the others wins. That happens before weights come, since their layout depends on it. The
//! choice is remembered as JSON, and a remembered one is only checked, not raced again.

use std::time::Duration;

use super::program::now;
use super::{GpuEngine, ProgramId};
use crate::engine::Engine;
use crate::engine::host::{HostEngine, Reference};
use crate::format::block::BlockType;
use crate::format::layout::Layout;
use crate::ops::variants::{ATTEND_MANY, ATTEND_ONE, AttentionVariant, LinearVariant, MATMUL, MATVEC, Variants};
use crate::ops::{Attention, Epilogue, Linear, Recording, RmsNorm};
use crate::record::{Matrix, Step, Tensor};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Grows when a variant or a shader changes, so that an older choice is made anew.
const VERSION: u32 = 1;

/// Largest error of a right variant, relative to the root mean square of the results. Wrong ones are off by about one.
const TOLERANCE: f32 = 1e-3;

/// A candidate that takes this many times as long as the best so far is not measured again.
const HOPELESS: u32 = 2;

/// What measuring a candidate may take, beside compiling it and running it once.
const MEASURE: Duration = Duration::from_millis(20);

/// Most runs of a measurement.
const MOST_RUNS: u32 = 50;

/// Tokens of a prompt's chunk in the race.
const PROMPT: usize = 16;

/// A choice as it is remembered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    version: u32,
    matvec: String,
    matmul: String,
    attend_one: String,
    attend_many: String,
}

/// The choice as JSON.
pub(super) fn remember(variants: &Variants) -> Option<String> {
    let Variants { matvec, matmul, attend_one, attend_many } = variants;
    let remembered = Remembered {
        version: VERSION,
        matvec: matvec.name.into(),
        matmul: matmul.name.into(),
        attend_one: attend_one.name.into(),
        attend_many: attend_many.name.into(),
    };
    serde_json::to_string(&remembered).ok()
}

/// The choice that `json` stands for; `None` where it is of another version.
fn recall(json: &str) -> Option<Variants> {
    let remembered: Remembered = serde_json::from_str(json).ok().filter(|r: &Remembered| r.version == VERSION)?;
    Some(Variants {
        matvec: MATVEC.iter().find(|v| v.name == remembered.matvec)?,
        matmul: MATMUL.iter().find(|v| v.name == remembered.matmul)?,
        attend_one: ATTEND_ONE.iter().find(|v| v.name == remembered.attend_one)?,
        attend_many: ATTEND_MANY.iter().find(|v| v.name == remembered.attend_many)?,
    })
}

/// Sets the engine's variants and notes. `engine` has no buffers yet, and has none afterwards.
///
/// Errors: `GpuUnavailable` where no candidate of a kind is right, and what ends an engine, as a lost device.
pub(super) async fn tune(engine: &mut GpuEngine, remembered: Option<&str>) -> Result<()> {
    if let Some(variants) = remembered.and_then(recall) {
        if check(engine, variants).await? {
            return engine.reset(variants);
        }
        engine.notes.push("A remembered choice of shaders gave wrong results; they were chosen anew.".into());
    }
    let mut variants = Variants::PLAIN;
    let with = |variants, matvec| Variants { matvec, ..variants };
    variants.matvec = race(engine, MATVEC, |v: &LinearVariant| v.name, |v| with(variants, v), linear(1)).await?;
    let with = |variants, matmul| Variants { matmul, ..variants };
    variants.matmul = race(engine, MATMUL, |v: &LinearVariant| v.name, |v| with(variants, v), linear(PROMPT)).await?;
    let name = |v: &AttentionVariant| v.name;
    let with = |variants, attend_one| Variants { attend_one, ..variants };
    variants.attend_one = race(engine, ATTEND_ONE, name, |v| with(variants, v), attention(1)).await?;
    let with = |variants, attend_many| Variants { attend_many, ..variants };
    variants.attend_many = race(engine, ATTEND_MANY, name, |v| with(variants, v), attention(PROMPT)).await?;
    engine.reset(variants)
}

/// Whether a choice gives right results.
async fn check(engine: &mut GpuEngine, variants: Variants) -> Result<bool> {
    for case in [linear(1), linear(PROMPT), attention(1), attention(PROMPT)] {
        engine.reset(variants)?;
        let expected = case.expected().await?;
        if let Err(error) = run_checked(engine, &case, &expected).await {
            return if engine.recover(&error) { Ok(false) } else { Err(error) };
        }
    }
    Ok(true)
}

/// The quickest of the candidates that are right.
async fn race<V>(
    engine: &mut GpuEngine,
    candidates: &'static [V],
    name: impl Fn(&V) -> &'static str,
    with: impl Fn(&'static V) -> Variants,
    case: Case,
) -> Result<&'static V> {
    let expected = case.expected().await?;
    let mut best: Option<(Duration, &V)> = None;
    for candidate in candidates {
        engine.reset(with(candidate))?;
        let time = match run_checked(engine, &case, &expected).await {
            Ok(program) => measure(engine, program, &case, best.map(|(time, _)| time)).await?,
            Err(error) if engine.recover(&error) => {
                engine.notes.push(format!("{} `{}` is not used: {error}", case.name, name(candidate)));
                continue;
            }
            Err(error) => return Err(error),
        };
        if best.is_none_or(|(quickest, _)| time < quickest) {
            best = Some((time, candidate));
        }
    }
    let failed = || Error::GpuUnavailable(format!("no shader for {} gives right results on this GPU", case.name));
    best.map(|(_, candidate)| candidate).ok_or_else(failed)
}

/// Runs a case once and compares.
async fn run_checked(engine: &mut GpuEngine, case: &Case, expected: &[f32]) -> Result<ProgramId> {
    let (recording, y) = (case.record)(engine)?;
    let program = engine.prepare(recording)?;
    engine.run(program, &case.step())?;
    let got = engine.read(y.buffer, y.rows * y.cols).await?;
    let error = relative_error(&got, expected);
    if error > TOLERANCE {
        let (expected, got) = (format!("results within {TOLERANCE}"), format!("{error:.1e} off"));
        return Err(Error::Internal { op: "self-test", expected, got });
    }
    Ok(program)
}

/// What a run takes when several are queued; one that cannot win is measured once.
async fn measure(engine: &mut GpuEngine, program: ProgramId, case: &Case, best: Option<Duration>) -> Result<Duration> {
    let once = time(engine, program, case, 1).await?;
    if best.is_some_and(|best| once > best * HOPELESS + Duration::from_millis(2)) {
        return Ok(once);
    }
    let runs = (MEASURE.as_micros() / once.as_micros().max(1)).clamp(1, u128::from(MOST_RUNS)) as u32;
    time(engine, program, case, runs).await
}

async fn time(engine: &mut GpuEngine, program: ProgramId, case: &Case, runs: u32) -> Result<Duration> {
    let start = now();
    for _ in 0..runs {
        engine.run(program, &case.step())?;
    }
    engine.synchronize().await?;
    Ok(start.elapsed() / runs)
}

/// Largest difference, relative to the root mean square of `expected`; infinite where one is not a number.
fn relative_error(got: &[f32], expected: &[f32]) -> f32 {
    let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
    let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / rms);
    differences.fold(0.0, |worst, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) })
}

/// Creates the operands, the same each time; gives what to run and the result to compare.
type Record = dyn Fn(&mut dyn Engine) -> Result<(Recording, Tensor)>;

/// Work to race on, and to check with.
struct Case {
    name: &'static str,
    position: usize,
    ids: Vec<u32>,
    record: Box<Record>,
}

impl Case {
    fn step(&self) -> Step<'_> {
        Step::new(self.position, &self.ids)
    }

    async fn expected(&self) -> Result<Vec<f32>> {
        let mut host = HostEngine::new(Reference);
        let (recording, y) = (self.record)(&mut host)?;
        let program = host.prepare(recording)?;
        host.run(program, &self.step())?;
        host.read_values(y.buffer, y.rows * y.cols).await
    }
}

/// The first half of a small model's feed-forward layer, on 4-bit weights.
fn linear(tokens: usize) -> Case {
    // the host must know the result, and takes its time for many tokens
    let (hidden, ffn) = if tokens == 1 { (576, 1024) } else { (320, 320) };
    let record = move |memory: &mut dyn Engine| {
        let mut random = Random(1);
        let x = random.tensor(memory, tokens, hidden)?;
        let norm = Some(RmsNorm { weight: random.tensor(memory, 1, hidden)?, eps: 1e-5 });
        let weight = random.matrix(memory, 2 * ffn, hidden)?;
        let y = random.tensor(memory, tokens, ffn)?;
        let mut recording = Recording::default();
        recording.push(Linear { x, norm, weight, bias: None, epilogue: Epilogue::SwiGlu, y_offset: 0, y })?;
        Ok((recording, y))
    };
    let name = if tokens == 1 { "linear for one token:" } else { "linear for many tokens:" };
    Case { name, position: 0, ids: vec![0; tokens], record: Box::new(record) }
}

/// Attention of a small model in the middle of its context.
fn attention(tokens: usize) -> Case {
    let (heads, kv_heads, head_dim, context) = (9, 3, 64, 512);
    let record = move |memory: &mut dyn Engine| {
        let mut random = Random(2);
        let q = random.tensor(memory, tokens, (heads + 2 * kv_heads) * head_dim)?;
        let k_cache = random.tensor(memory, kv_heads * context, head_dim)?.buffer;
        let v_cache = random.tensor(memory, kv_heads * context, head_dim)?.buffer;
        let y = random.tensor(memory, tokens, heads * head_dim)?;
        let mut recording = Recording::default();
        recording.push(Attention { q, k_cache, v_cache, context, heads, kv_heads, head_dim, scale: 0.3, y })?;
        Ok((recording, y))
    };
    let name = if tokens == 1 { "attention for one token:" } else { "attention for many tokens:" };
    Case { name, position: 200, ids: vec![0; tokens], record: Box::new(record) }
}

/// Repeatable numbers (xorshift32, Marsaglia 2003).
struct Random(u32);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Values in (-1, 1) of shape (rows, cols).
    fn tensor(&mut self, memory: &mut dyn Engine, rows: usize, cols: usize) -> Result<Tensor> {
        let buffer = memory.create_values("trial", rows * cols)?;
        let values: Vec<f32> = (0..rows * cols).map(|_| (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect();
        memory.write_values(buffer, 0, &values)?;
        Ok(Tensor { buffer, rows, cols })
    }

    /// 4-bit weights of shape (rows, cols) in about (-1/4, 1/4).
    fn matrix(&mut self, memory: &mut dyn Engine, rows: usize, cols: usize) -> Result<Matrix> {
        let matrix = memory.create_matrix("trial", Layout::Q4, rows, cols)?;
        let mut bytes = Vec::with_capacity(BlockType::Q4_0.row_bytes(cols) * rows);
        for _ in 0..rows * cols / BlockType::Q4_0.block_len() {
            // an f16 between 2⁻⁶ and 2⁻⁵, then 16 bytes of two nibbles
            bytes.extend((0x2400 | (self.bits() & 0x3ff) as u16).to_le_bytes());
            bytes.extend((0..4).flat_map(|_| self.bits().to_le_bytes()));
        }
        memory.write_rows(&matrix, 0, BlockType::Q4_0, &bytes)?;
        Ok(matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_recalled_unless_it_is_of_another_version() {
        let variants = Variants {
            matvec: &MATVEC[3],
            matmul: &MATMUL[1],
            attend_one: &ATTEND_ONE[2],
            attend_many: &ATTEND_MANY[1],
        };
        let json = remember(&variants).unwrap();
        assert_eq!(recall(&json), Some(variants));
        assert_eq!(recall(&json.replace("\"version\":1", "\"version\":0")), None);
        assert_eq!(recall(&json.replace(MATVEC[3].name, "no such variant")), None);
        assert_eq!(recall("{}"), None);
    }

    #[test]
    fn not_a_number_is_an_error_without_bound() {
        assert_eq!(relative_error(&[1.0, f32::NAN], &[1.0, 1.0]), f32::INFINITY);
        assert_eq!(relative_error(&[1.0, 3.0], &[1.0, 1.0]), 2.0);
    }
}
