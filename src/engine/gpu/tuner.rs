//! Chooses among the shaders of `ops::variants` by measuring them on this GPU.
//!
//! Each candidate computes a part of a small model on random data. Those that differ from the
//! reference are never used; the fastest of the others wins. This happens before weights arrive,
//! since their layout depends on it. The choice is remembered as JSON; a remembered choice is
//! checked but not measured again.

mod rows;
mod runs;

use std::time::Duration;

use rows::{Shape, Timed};

use super::{GpuEngine, ProgramId};
use crate::engine::LARGEST_CHUNK;
use crate::engine::trial::{Results, Trial, relative_error};
use crate::format::layout::Layout;
use crate::ops::variants::{
    ATTEND_MANY, ATTEND_ONE, AttentionVariant, Feature, LinearVariant, MATMUL, MATMUL_ROUNDED, MATVEC, PLAIN, Variants,
};
use crate::record::KvFormat;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Incremented when a variant or shader changes, which makes older choices invalid.
const VERSION: u32 = 8;

/// Largest error of a correct variant, relative to the root mean square of the results. Wrong ones
/// differ by about one.
const TOLERANCE: f32 = 1e-3;

/// The same where results or weights are rounded to f16. GPUs may round down what others round up:
/// that is a 1024th of a value, and a few values are some times the root mean square.
const TOLERANCE_F16: f32 = 1e-2;

/// The same where results are rounded to bytes: by up to a 127th of the largest of 32 values, which
/// is a few times the root mean square.
const TOLERANCE_Q8: f32 = 4e-2;

/// A variant that rounds activations must be this many times as fast as the best exact one.
const ROUNDED_WORTH: f64 = 1.2;

/// Tokens per chunk of a prompt in the trials.
const PROMPT: usize = 16;

/// The same for products: more than the tokens of the largest tile, so that a second one begins.
const PROMPT_OF_TILES: usize = 300;

/// More than the last caches of most GPUs hold.
const CACHES: usize = 64 << 20;

/// How candidates are timed.
#[derive(Clone, Copy, Debug)]
pub enum Timing {
    /// Run by run, on the shapes of the trials: for software adapters.
    Runs,
    /// In rows of replays over at least so many bytes of weights, on the shapes of a model: for
    /// real GPUs.
    Rows {
        /// 64 MiB unless a test wants less.
        bytes: usize,
        /// Divides rows and columns of the weights: 1 unless a test wants less.
        shrink: usize,
    },
}

impl Timing {
    /// As suits the adapter.
    pub fn of(engine: &GpuEngine) -> Self {
        if engine.is_software() { Self::Runs } else { Self::Rows { bytes: CACHES, shrink: 1 } }
    }

    /// Run by run if the adapter turns out to be slow in the heat `wide`.
    async fn for_speed_of(self, engine: &mut GpuEngine, wide: &Heat) -> Result<Self> {
        let (Self::Rows { shrink, .. }, Some(shape)) = (self, wide.shape) else { return Ok(self) };
        let Some(favourite) = favourites(MATVEC, engine).first().copied() else { return Ok(self) };
        let variants = Variants { matvec_wide: favourite, ..Variants::PLAIN };
        match rows::is_slow(engine, &wide.trial, shape.shrunk(shrink), variants).await {
            Ok(slow) => Ok(if slow { Self::Runs } else { self }),
            // the race itself notes what is wrong with a shader
            Err(error) if engine.recover(&error) => Ok(self),
            Err(error) => Err(error),
        }
    }
}

/// The remembered form of a choice.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    version: u32,
    matvec_wide: String,
    matvec_narrow: String,
    matmul: String,
    matmul_rounded: Option<String>,
    attend_one: String,
    attend_many: String,
}

/// The choice as JSON.
pub(super) fn remember(variants: &Variants) -> Option<String> {
    let Variants { matvec_wide, matvec_narrow, matmul, matmul_rounded, attend_one, attend_many, .. } = variants;
    let remembered = Remembered {
        version: VERSION,
        matvec_wide: matvec_wide.name.into(),
        matvec_narrow: matvec_narrow.name.into(),
        matmul: matmul.name.into(),
        matmul_rounded: matmul_rounded.map(|variant| variant.name.into()),
        attend_one: attend_one.name.into(),
        attend_many: attend_many.name.into(),
    };
    serde_json::to_string(&remembered).ok()
}

/// Parses a choice; `None` if it is from another version.
fn recall(json: &str) -> Option<Variants> {
    let remembered: Remembered = serde_json::from_str(json).ok().filter(|r: &Remembered| r.version == VERSION)?;
    let linear = |variants: &'static [LinearVariant], name: &str| variants.iter().find(|v| v.name == name);
    let attention = |variants: &'static [AttentionVariant], name: &str| variants.iter().find(|v| v.name == name);
    Some(Variants {
        matvec_wide: linear(MATVEC, &remembered.matvec_wide)?,
        matvec_narrow: linear(MATVEC, &remembered.matvec_narrow)?,
        matmul: linear(MATMUL, &remembered.matmul)?,
        matmul_rounded: match remembered.matmul_rounded {
            Some(name) => Some(linear(MATMUL_ROUNDED, &name)?),
            None => None,
        },
        attend_one: attention(ATTEND_ONE, &remembered.attend_one)?,
        attend_many: attention(ATTEND_MANY, &remembered.attend_many)?,
        row_tiles: None,
    })
}

/// A variant that can be measured.
trait Candidate: 'static {
    fn name(&self) -> &'static str;
    fn shader(&self) -> &'static str;
    fn runs_on(&self, engine: &GpuEngine) -> bool;
}

impl Candidate for LinearVariant {
    fn name(&self) -> &'static str {
        self.name
    }
    fn shader(&self) -> &'static str {
        self.shader
    }
    fn runs_on(&self, engine: &GpuEngine) -> bool {
        self.suits(engine.is_software(), &engine.gpu.features)
    }
}

impl Candidate for AttentionVariant {
    fn name(&self) -> &'static str {
        self.name
    }
    fn shader(&self) -> &'static str {
        self.shader
    }
    fn runs_on(&self, engine: &GpuEngine) -> bool {
        self.suits(engine.is_software())
    }
}

/// What a race is about.
struct Heat {
    /// Each candidate must be right in it. The host computes its results too, so it is small.
    trial: Trial,
    /// What is timed in [`Timing::Rows`]; `None`: the trial, or a larger one.
    shape: Option<Shape>,
    /// A trial as large as in a model, with this fraction of its sizes.
    larger: Option<fn(usize) -> Trial>,
}

/// Attention of a part of a prompt: with few rows, a tile of queries would leave a GPU idle.
fn attention_of_a_prompt(shrink: usize) -> Trial {
    Trial::attention_of((24, 8, 128), (128 / shrink).max(PROMPT), 896 / shrink, KvFormat::F16)
}

/// All heats.
struct Heats {
    wide: Heat,
    narrow: Heat,
    prompt: Heat,
    prompt_f16: Heat,
    attend_one: Heat,
    attend_many: Heat,
}

impl Heats {
    /// The shapes are those of Llama 3.2 3B; the narrow one is of Qwen3 0.6B, since a larger model
    /// has no matrix of fewer than 2048 rows with so many columns.
    fn new() -> Self {
        let heat = |trial, shape| Heat { trial, shape, larger: None };
        let wide = Shape { tokens: 1, rows: 16_384, cols: 3072, narrow: false };
        let narrow = Shape { tokens: 1, rows: 1024, cols: 3072, narrow: true };
        // as many rows as the narrow matrices of a large model
        let prompt = Shape { tokens: LARGEST_CHUNK, rows: 4096, cols: 1024, ..wide };
        Self {
            wide: heat(Trial::gate_up(1, Layout::Q4, 1024, 576), Some(wide)),
            narrow: heat(Trial::down(1, Layout::Q4, 576, 1536), Some(narrow)),
            prompt: heat(Trial::gate_up(PROMPT_OF_TILES, Layout::Q4, 80, 320), Some(prompt)),
            prompt_f16: heat(Trial::gate_up(PROMPT_OF_TILES, Layout::F16, 32, 320), None),
            attend_one: heat(Trial::attention(1, 200, KvFormat::F16), None),
            attend_many: Heat {
                trial: Trial::attention(PROMPT, 200, KvFormat::F16),
                shape: None,
                larger: Some(attention_of_a_prompt),
            },
        }
    }

    fn trials(&self) -> [&Trial; 6] {
        let Self { wide, narrow, prompt, prompt_f16, attend_one, attend_many } = self;
        [wide, narrow, prompt, prompt_f16, attend_one, attend_many].map(|heat| &heat.trial)
    }
}

/// Sets the engine's variants and notes. `engine` has no buffers before and after.
///
/// Errors: `GpuUnavailable` if no candidate of a kind is correct, and errors that end an engine,
/// such as a lost device.
pub(super) async fn tune(engine: &mut GpuEngine, remembered: Option<&str>, timing: Timing) -> Result<()> {
    let heats = Heats::new();
    let suits = |variants: &Variants| variants.suits(engine.is_software(), &engine.gpu.features);
    if let Some(variants) = remembered.and_then(recall).filter(suits) {
        if check(engine, variants, &heats).await? {
            return engine.reset(variants);
        }
        engine.note("A remembered choice of shaders gave wrong results; they were chosen anew.".into());
    }
    let timing = timing.for_speed_of(engine, &heats.wide).await?;
    let mut chosen = Variants::PLAIN;
    let with = |matvec_wide| Variants { matvec_wide, ..chosen };
    let wide = race(engine, timing, &heats.wide, favourites(MATVEC, engine), with).await?;
    let with = |matvec_narrow| Variants { matvec_narrow, ..chosen };
    let narrow = race(engine, timing, &heats.narrow, wide.hopeful.clone(), with).await?;
    chosen.matvec_narrow = narrow.winner(&heats.narrow)?;
    chosen.matvec_wide = wide.winner(&heats.wide)?;
    // these read the layout that the choices above determine
    let with = |matmul| Variants { matmul, ..chosen };
    let exact = race(engine, timing, &heats.prompt, favourites(MATMUL, engine), with).await?;
    let with = |rounded| Variants { matmul_rounded: Some(rounded), ..chosen };
    let rounded = race(engine, timing, &heats.prompt, favourites(MATMUL_ROUNDED, engine), with).await?;
    chosen.matmul_rounded = rounded.quickest.filter(|_| rounded.time.mul_f64(ROUNDED_WORTH) < exact.time);
    chosen.matmul = exact.winner(&heats.prompt)?;
    let with = |attend_one| Variants { attend_one, ..chosen };
    let one = race(engine, timing, &heats.attend_one, favourites(ATTEND_ONE, engine), with).await?;
    chosen.attend_one = one.winner(&heats.attend_one)?;
    let with = |attend_many| Variants { attend_many, ..chosen };
    let many = race(engine, timing, &heats.attend_many, favourites(ATTEND_MANY, engine), with).await?;
    chosen.attend_many = many.winner(&heats.attend_many)?;
    engine.reset(chosen)
}

/// The candidates that suit the adapter, the likeliest winner first.
fn favourites<V: Candidate>(all: &'static [V], engine: &GpuEngine) -> Vec<&'static V> {
    let mut suitable: Vec<&V> = all.iter().filter(|candidate| candidate.runs_on(engine)).collect();
    let order = prior(engine.gpu.subgroup_lanes());
    let rank = |name| order.iter().position(|known| *known == name).unwrap_or(order.len());
    suitable.sort_by_key(|candidate| rank(candidate.name()));
    suitable
}

/// Kernels for one token in the order in which they are expected to win on a GPU whose subgroups
/// have at least so many lanes; 0: it has no subgroups. 32 and more are those of NVIDIA, AMD, Apple
/// and Qualcomm, fewer those of Intel, which prefers more rows a workgroup.
fn prior(lanes: u32) -> &'static [&'static str] {
    match lanes {
        32.. => &[
            "16 rows by 32 invocations in subgroups",
            "8 rows by 32 invocations in subgroups",
            "32 rows by 16 invocations in subgroups",
            "16 rows by 32 invocations",
        ],
        1..32 => &["32 rows by 16 invocations in subgroups", "16 rows by 16 invocations", "32 rows by 8 invocations"],
        0 => &["16 rows by 32 invocations", "16 rows by 16 invocations", "32 rows by 8 invocations"],
    }
}

/// Finds the fastest of the candidates that give right results.
async fn race<V: Candidate>(
    engine: &mut GpuEngine,
    timing: Timing,
    heat: &Heat,
    candidates: Vec<&'static V>,
    with: impl Fn(&'static V) -> Variants,
) -> Result<Race<V>> {
    let Timing::Rows { bytes, shrink } = timing else {
        return runs::race(engine, &heat.trial, &candidates, with).await;
    };
    let shape = heat.shape.map(|shape| shape.shrunk(shrink));
    let larger = heat.larger.map(|trial| trial(shrink));
    let timed = Timed { trial: &heat.trial, larger: larger.as_ref(), shape };
    // the plain one is for adapters on which nothing else is right
    let (plain, fast): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| candidate.name() == PLAIN.name);
    let race = rows::race(engine, &timed, &fast, &with, bytes).await?;
    if race.quickest.is_some() { Ok(race) } else { rows::race(engine, &timed, &plain, with, bytes).await }
}

/// The result of a race.
struct Race<V: 'static> {
    quickest: Option<&'static V>,
    /// Candidates that may be the fastest for another shape.
    hopeful: Vec<&'static V>,
    /// Time of the fastest.
    time: Duration,
}

impl<V> Race<V> {
    fn winner(self, heat: &Heat) -> Result<&'static V> {
        let name = &heat.trial.name;
        let failed = || Error::GpuUnavailable(format!("no shader gives right results for {name} on this GPU"));
        self.quickest.ok_or_else(failed)
    }
}

impl GpuEngine {
    /// Notes why a candidate is out of a race. Errors: `error` itself if it ends the engine.
    fn drop_out(&mut self, candidate: &str, trial: &Trial, error: Error) -> Result<()> {
        if !self.recover(&error) {
            return Err(error);
        }
        self.note(format!("`{candidate}` is not used for {}: {error}", trial.name));
        Ok(())
    }
}

/// Whether a choice gives correct results.
async fn check(engine: &mut GpuEngine, variants: Variants, heats: &Heats) -> Result<bool> {
    for trial in heats.trials() {
        engine.reset(variants)?;
        let expected = trial.expected().await?;
        if let Err(error) = run_checked(engine, trial, &expected).await {
            return if engine.recover(&error) { Ok(false) } else { Err(error) };
        }
    }
    Ok(true)
}

/// Runs a trial once and compares its results.
pub(super) async fn run_checked(engine: &mut GpuEngine, trial: &Trial, expected: &Results) -> Result<ProgramId> {
    let (program, got) = trial.run(engine).await?;
    let error = relative_error(&got, expected);
    let rounds_weights = engine.variants().needs().contains(&Feature::F16);
    let tolerance = match trial.format {
        KvFormat::F32 if !rounds_weights => TOLERANCE,
        KvFormat::F32 | KvFormat::F16 => TOLERANCE_F16,
        KvFormat::Q8 => TOLERANCE_Q8,
    };
    if error > tolerance {
        let (expected, got) = (format!("results within {tolerance}"), format!("{error:.1e} off"));
        return Err(Error::Internal { op: "self-test", expected, got });
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_recalled_unless_it_is_of_another_version() {
        let variants = Variants {
            matvec_wide: &MATVEC[3],
            matvec_narrow: &MATVEC[4],
            matmul: &MATMUL[1],
            matmul_rounded: Some(&MATMUL_ROUNDED[0]),
            attend_one: &ATTEND_ONE[1],
            attend_many: &ATTEND_MANY[1],
            row_tiles: None,
        };
        for variants in [variants, Variants { matmul_rounded: None, ..variants }] {
            let json = remember(&variants).unwrap();
            assert_eq!(recall(&json), Some(variants));
            assert_eq!(recall(&json.replace(&format!("\"version\":{VERSION}"), "\"version\":0")), None);
            assert_eq!(recall(&json.replace(MATVEC[3].name, "no such variant")), None);
        }
        assert_eq!(recall("{}"), None);
    }
}
