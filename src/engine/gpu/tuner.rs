//! Chooses among the shaders of `ops::variants` by measuring them on this GPU.
//!
//! Each candidate computes a part of a small model on random data. Those that differ from the
//! reference are never used; the fastest of the others wins. This happens before weights arrive,
//! since their layout depends on it. The choice is remembered as JSON; a remembered choice is
//! checked but not measured again.

use std::time::Duration;

use super::{GpuEngine, ProgramId};
use crate::engine::trial::{Trial, relative_error};
use crate::format::layout::Layout;
use crate::ops::variants::{
    ATTEND_MANY, ATTEND_ONE, AttentionVariant, LinearVariant, MATMUL, MATMUL_INT8, MATVEC, Variants,
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Incremented when a variant or shader changes, which makes older choices invalid.
const VERSION: u32 = 4;

/// Largest error of a correct variant, relative to the root mean square of the results. Wrong ones
/// differ by about one.
const TOLERANCE: f32 = 1e-3;

/// A variant that rounds activations must be this many times as fast as the best exact one.
const INT8_WORTH: f64 = 1.2;

/// A candidate this many times as slow as the best is out after its first run.
const SLOW: u32 = 2;

/// A candidate this many times as slow is not compiled for other sizes and shapes.
const HOPELESS: u32 = 4;

/// Differences between single runs below this mean nothing: browsers' clocks are coarse.
const GRAIN: Duration = Duration::from_millis(2);

/// Largest number of runs of a candidate per round, and their time.
const MOST_RUNS: u32 = 50;
const ROUND: Duration = Duration::from_millis(8);

/// Rounds, in which the candidates take turns. The fastest round of a candidate counts, since other
/// programs use the machine too.
const ROUNDS: usize = 3;

/// Tokens per chunk of a prompt in the measurement.
const PROMPT: usize = 16;

/// The remembered form of a choice.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    version: u32,
    matvec_wide: String,
    matvec_narrow: String,
    matmul: String,
    matmul_int8: Option<String>,
    attend_one: String,
    attend_many: String,
}

/// The choice as JSON.
pub(super) fn remember(variants: &Variants) -> Option<String> {
    let Variants { matvec_wide, matvec_narrow, matmul, matmul_int8, attend_one, attend_many, .. } = variants;
    let remembered = Remembered {
        version: VERSION,
        matvec_wide: matvec_wide.name.into(),
        matvec_narrow: matvec_narrow.name.into(),
        matmul: matmul.name.into(),
        matmul_int8: matmul_int8.map(|variant| variant.name.into()),
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
        matmul_int8: match remembered.matmul_int8 {
            Some(name) => Some(linear(MATMUL_INT8, &name)?),
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

/// The trials. The host computes their results too, which is slow for many tokens.
struct Trials {
    wide: Trial,
    narrow: Trial,
    prompt: Trial,
    prompt_f16: Trial,
    attend_one: Trial,
    attend_many: Trial,
}

impl Trials {
    fn new() -> Self {
        Self {
            wide: Trial::gate_up(1, Layout::Q4, 1024, 576),
            narrow: Trial::down(1, Layout::Q4, 576, 1536),
            prompt: Trial::gate_up(PROMPT, Layout::Q4, 320, 320),
            prompt_f16: Trial::gate_up(PROMPT, Layout::F16, 32, 320),
            attend_one: Trial::attention(1, 200),
            attend_many: Trial::attention(PROMPT, 200),
        }
    }
}

/// Sets the engine's variants and notes. `engine` has no buffers before and after.
///
/// Errors: `GpuUnavailable` if no candidate of a kind is correct, and errors that end an engine,
/// such as a lost device.
pub(super) async fn tune(engine: &mut GpuEngine, remembered: Option<&str>) -> Result<()> {
    let trials = Trials::new();
    let suits = |variants: &Variants| variants.suits(engine.is_software(), &engine.gpu.features);
    if let Some(variants) = remembered.and_then(recall).filter(suits) {
        if check(engine, variants, &trials).await? {
            return engine.reset(variants);
        }
        engine.note("A remembered choice of shaders gave wrong results; they were chosen anew.".into());
    }
    let mut chosen = Variants::PLAIN;
    let with = |matvec_wide| Variants { matvec_wide, ..chosen };
    let wide = race(engine, &trials.wide, MATVEC, with).await?;
    let with = |matvec_narrow| Variants { matvec_narrow, ..chosen };
    chosen.matvec_narrow = race(engine, &trials.narrow, wide.hopeful.clone(), with).await?.winner(&trials.narrow)?;
    chosen.matvec_wide = wide.winner(&trials.wide)?;
    // these read the layout that the choices above determine
    let exact = race(engine, &trials.prompt, MATMUL, |matmul| Variants { matmul, ..chosen }).await?;
    let with = |int8| Variants { matmul_int8: Some(int8), ..chosen };
    let int8 = race(engine, &trials.prompt, MATMUL_INT8, with).await?;
    chosen.matmul_int8 = int8.quickest.filter(|_| int8.time.mul_f64(INT8_WORTH) < exact.time);
    chosen.matmul = exact.winner(&trials.prompt)?;
    let with = |attend_one| Variants { attend_one, ..chosen };
    chosen.attend_one = race(engine, &trials.attend_one, ATTEND_ONE, with).await?.winner(&trials.attend_one)?;
    let with = |attend_many| Variants { attend_many, ..chosen };
    chosen.attend_many = race(engine, &trials.attend_many, ATTEND_MANY, with).await?.winner(&trials.attend_many)?;
    engine.reset(chosen)
}

/// Whether a choice gives correct results.
async fn check(engine: &mut GpuEngine, variants: Variants, trials: &Trials) -> Result<bool> {
    let Trials { wide, narrow, prompt, prompt_f16, attend_one, attend_many } = trials;
    for trial in [wide, narrow, prompt, prompt_f16, attend_one, attend_many] {
        engine.reset(variants)?;
        let expected = trial.expected().await?;
        if let Err(error) = run_checked(engine, trial, &expected).await {
            return if engine.recover(&error) { Ok(false) } else { Err(error) };
        }
    }
    Ok(true)
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
    fn winner(self, trial: &Trial) -> Result<&'static V> {
        let failed = || Error::GpuUnavailable(format!("no shader gives right results for {} on this GPU", trial.name));
        self.quickest.ok_or_else(failed)
    }
}

/// Finds the fastest of the correct candidates.
async fn race<V: Candidate>(
    engine: &mut GpuEngine,
    trial: &Trial,
    candidates: impl IntoIterator<Item = &'static V>,
    with: impl Fn(&'static V) -> Variants,
) -> Result<Race<V>> {
    let expected = trial.expected().await?;
    let mut field: Vec<(Duration, ProgramId, &V)> = Vec::new();
    engine.reset(Variants::PLAIN)?;
    for candidate in candidates {
        let quickest = |of: &dyn Fn(&V) -> bool| field.iter().filter(|(.., v)| of(v)).map(|(time, ..)| *time).min();
        let limit = quickest(&|_| true).unwrap_or(Duration::MAX).saturating_mul(HOPELESS).saturating_add(GRAIN);
        let same = quickest(&|other| other.shader() == candidate.shader());
        if !candidate.runs_on(engine) || same.is_some_and(|time| time > limit) {
            continue;
        }
        engine.set_variants(with(candidate));
        match run_checked(engine, trial, &expected).await {
            Ok(program) => field.push((trial.time(engine, program, 1).await?, program, candidate)),
            Err(error) if engine.recover(&error) => {
                engine.note(format!("`{}` is not used for {}: {error}", candidate.name(), trial.name));
            }
            Err(error) => return Err(error),
        }
    }
    let best = field.iter().map(|(time, ..)| *time).min().unwrap_or_default();
    field.retain(|(time, ..)| *time <= best * HOPELESS + GRAIN);
    let hopeful = field.iter().map(|(.., candidate)| *candidate).collect();
    field.retain(|(time, ..)| *time <= best * SLOW + GRAIN);
    for round in 0..ROUNDS {
        for (time, program, _) in &mut field {
            let runs = (ROUND.as_micros() / time.as_micros().max(1)).clamp(1, u128::from(MOST_RUNS)) as u32;
            let took = trial.time(engine, *program, runs).await?;
            // the first time includes the wait for the results
            *time = if round == 0 { took } else { took.min(*time) };
        }
    }
    let quickest = field.iter().min_by_key(|(time, ..)| *time);
    let time = quickest.map_or(Duration::MAX, |entry| entry.0);
    Ok(Race { quickest: quickest.map(|entry| entry.2), hopeful, time })
}

/// Runs a trial once and compares its results.
pub(super) async fn run_checked(engine: &mut GpuEngine, trial: &Trial, expected: &[f32]) -> Result<ProgramId> {
    let (program, got) = trial.run(engine).await?;
    let error = relative_error(&got, expected);
    if error > TOLERANCE {
        let (expected, got) = (format!("results within {TOLERANCE}"), format!("{error:.1e} off"));
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
            matmul_int8: Some(&MATMUL_INT8[0]),
            attend_one: &ATTEND_ONE[2],
            attend_many: &ATTEND_MANY[1],
            row_tiles: None,
        };
        for variants in [variants, Variants { matmul_int8: None, ..variants }] {
            let json = remember(&variants).unwrap();
            assert_eq!(recall(&json), Some(variants));
            assert_eq!(recall(&json.replace(&format!("\"version\":{VERSION}"), "\"version\":0")), None);
            assert_eq!(recall(&json.replace(MATVEC[3].name, "no such variant")), None);
        }
        assert_eq!(recall("{}"), None);
    }
}
