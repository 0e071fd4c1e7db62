//! Chooses among the shaders of `ops::variants` by measuring them on this GPU.
//!
//! Each candidate computes a part of a small model on random data. Those that differ from the
//! reference are never used; the fastest of the others wins, on the shapes of the model that is
//! being loaded. This happens before its weights arrive, since their layout depends on it, and in a
//! bounded time: what is known of a kind of GPU decides the rest. The choices are remembered as
//! JSON; a remembered choice is checked but not measured again.

mod heats;
mod prior;
mod remembered;
mod rows;
mod runs;

use std::time::Duration;

use heats::{Heat, Heats};
pub(super) use prior::vendor;
use remembered::recall;
pub(super) use remembered::remember;
use web_time::Instant;

use super::{GpuEngine, ProgramId};
use crate::engine::now;
use crate::engine::race::Budget;
use crate::engine::shapes::Shapes;
use crate::engine::trial::{Results, Trial, relative_error};
use crate::ops::variants::{
    ATTEND_MANY, ATTEND_ONE, AttentionVariant, Feature, LinearVariant, MATMUL, MATMUL_ROUNDED, MATVEC, PLAIN, Variants,
};
use crate::record::KvFormat;
use crate::{Error, Result};

/// Time of all races. What ends them is then checked, and pipelines that are being compiled are
/// waited for: 300 ms together.
const BUDGET: Duration = Duration::from_millis(200);

/// Visits on which races are held that were cut short: a browser keeps what it compiled, so each
/// gets further.
const TRIES: u32 = 3;

/// Number of races that are timed.
const RACES: u32 = 5;

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

    /// Run by run if the adapter turns out to be slow with one token.
    async fn for_speed_of(self, engine: &mut GpuEngine, heats: &Heats) -> Result<Self> {
        let Self::Rows { shrink, .. } = self else { return Ok(self) };
        let (Some(heat), Some(&favourite)) =
            (heats.wide.as_ref().or(heats.narrow.as_ref()), favourites(MATVEC, engine).first())
        else {
            return Ok(self);
        };
        let variants = Variants { matvec_wide: favourite, matvec_narrow: favourite, ..Variants::PLAIN };
        match rows::is_slow(engine, heat.shape.shrunk(shrink), variants).await {
            Ok(slow) => Ok(if slow { Self::Runs } else { self }),
            // the race itself notes what is wrong with a shader
            Err(error) if engine.recover(&error) => Ok(self),
            Err(error) => Err(error),
        }
    }
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

/// Sets the engine's variants and notes, and what is to be remembered. `engine` has no buffers
/// before and after. `remembered`: of an earlier tuner.
///
/// Errors: `GpuUnavailable` if no candidate of a kind is correct, and errors that end an engine,
/// such as a lost device.
pub(super) async fn tune(
    engine: &mut GpuEngine,
    shapes: &Shapes,
    remembered: Option<&str>,
    timing: Timing,
) -> Result<()> {
    let (heats, key) = match timing {
        Timing::Runs => (Heats::of_trials(), String::new()),
        Timing::Rows { .. } => (Heats::of(shapes), shapes.key()),
    };
    let found = remembered.and_then(|json| recall(json, &key));
    let cut = found.map_or(0, |(_, cut)| cut);
    let usable = found.map(|(variants, _)| variants).filter(|_| cut == 0 || cut >= TRIES);
    let (software, features) = (engine.is_software(), engine.gpu.features.clone());
    let (chosen, cut) = match usable.filter(|variants| variants.suits(software, &features)) {
        Some(variants) if check(engine, variants, &heats).await? => (variants, cut),
        usable => {
            if usable.is_some() {
                engine.note("A remembered choice of shaders gave wrong results; they were chosen anew.".into());
            }
            let (variants, is_cut) = choose(engine, heats, timing).await?;
            (variants, if is_cut { cut % TRIES + 1 } else { 0 })
        }
    };
    engine.reset(chosen)?;
    engine.shaders.borrow_mut().remembered = remember(&chosen, cut, &key, remembered);
    Ok(())
}

/// Finds the fastest candidate of each kind. Returns also whether the time for it was too short.
async fn choose(engine: &mut GpuEngine, heats: Heats, timing: Timing) -> Result<(Variants, bool)> {
    let mut stand = Stand::new(timing);
    let heats = match timing.for_speed_of(engine, &heats).await? {
        Timing::Runs if matches!(timing, Timing::Rows { .. }) => {
            stand.timing = Timing::Runs;
            Heats::of_trials()
        }
        _ => heats,
    };
    let mut chosen = Variants::PLAIN;
    let mut matvecs = favourites(MATVEC, engine);
    let mut wide = None;
    if let Some(heat) = &heats.wide {
        let with = |matvec_wide| Variants { matvec_wide, ..chosen };
        let race = stand.race(engine, heat, matvecs, with).await?;
        matvecs = race.hopeful.clone();
        wide = Some(race.winner(heat)?);
    }
    let narrow = match &heats.narrow {
        None => None,
        Some(heat) => {
            let with = |matvec_narrow| Variants { matvec_narrow, ..chosen };
            Some(stand.race(engine, heat, matvecs, with).await?.winner(heat)?)
        }
    };
    if let Some(either) = wide.or(narrow) {
        (chosen.matvec_wide, chosen.matvec_narrow) = (wide.unwrap_or(either), narrow.unwrap_or(either));
    }
    // these read the layout that the choices above determine
    let with = |matmul| Variants { matmul, ..chosen };
    let exact = stand.race(engine, &heats.prompt, favourites(MATMUL, engine), with).await?;
    let with = |rounded| Variants { matmul_rounded: Some(rounded), ..chosen };
    let rounded = match heats.prompt.rounds() {
        true => stand.race(engine, &heats.prompt, favourites(MATMUL_ROUNDED, engine), with).await?,
        false => Race::NOBODY,
    };
    let untimed = exact.seconds.is_infinite() || rounded.seconds.is_infinite();
    let is_worth = match untimed {
        true => prior::rounds(&engine.gpu.family),
        false => rounded.seconds * ROUNDED_WORTH < exact.seconds,
    };
    chosen.matmul_rounded = rounded.quickest.filter(|_| is_worth);
    chosen.narrow_tiles = true;
    chosen.matmul = exact.winner(&heats.prompt)?;
    let with = |attend_one| Variants { attend_one, ..chosen };
    let one = stand.race(engine, &heats.attend_one, favourites(ATTEND_ONE, engine), with).await?;
    chosen.attend_one = one.winner(&heats.attend_one)?;
    let with = |attend_many| Variants { attend_many, ..chosen };
    let many = stand.race(engine, &heats.attend_many, favourites(ATTEND_MANY, engine), with).await?;
    chosen.attend_many = many.winner(&heats.attend_many)?;
    Ok((chosen, stand.is_cut))
}

/// The candidates that suit the adapter, the likeliest winner first.
fn favourites<V: Candidate>(all: &'static [V], engine: &GpuEngine) -> Vec<&'static V> {
    let mut suitable: Vec<&V> = all.iter().filter(|candidate| candidate.runs_on(engine)).collect();
    let order = prior::order(&engine.gpu.family[0], engine.gpu.subgroup_lanes());
    let rank = |name| order.iter().position(|known| *known == name).unwrap_or(order.len());
    suitable.sort_by_key(|candidate| rank(candidate.name()));
    suitable
}

/// How races are held, and the time for them.
struct Stand {
    timing: Timing,
    start: Instant,
    budget: Budget,
    /// Whether a race was cut short.
    is_cut: bool,
}

impl Stand {
    fn new(timing: Timing) -> Self {
        Self { timing, start: now(), budget: Budget::new(BUDGET, RACES), is_cut: false }
    }

    /// Finds the fastest of the candidates that give right results.
    async fn race<V: Candidate>(
        &mut self,
        engine: &mut GpuEngine,
        heat: &Heat,
        candidates: Vec<&'static V>,
        with: impl Fn(&'static V) -> Variants,
    ) -> Result<Race<V>> {
        let Timing::Rows { bytes, shrink } = self.timing else {
            return runs::race(engine, heat, &candidates, with).await;
        };
        // the plain one is for adapters on which nothing else is right
        let (plain, fast): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|candidate| candidate.name() == PLAIN.name);
        let elapsed = self.start.elapsed();
        // one candidate needs no time
        let ends = if fast.len() > 1 { self.budget.next(elapsed) } else { elapsed };
        let (ends, shape) = (self.start + ends, heat.shape.shrunk(shrink));
        let race = rows::race(engine, (heat, shape), &fast, &with, bytes, ends).await?;
        self.is_cut |= fast.len() > 1 && race.is_cut;
        if race.quickest.is_some() {
            return Ok(race);
        }
        rows::race(engine, (heat, shape), &plain, with, bytes, self.start).await
    }
}

/// The result of a race.
struct Race<V: 'static> {
    quickest: Option<&'static V>,
    /// Candidates that may be the fastest for another shape.
    hopeful: Vec<&'static V>,
    /// What the fastest takes; infinite if it was not timed.
    seconds: f64,
    /// Whether the time was over before all were timed.
    is_cut: bool,
}

impl<V> Race<V> {
    const NOBODY: Self = Self { quickest: None, hopeful: Vec::new(), seconds: f64::INFINITY, is_cut: false };

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
    engine.reset(variants)?;
    for heat in heats.all() {
        if let Err(error) = run_checked(engine, &heat.trial, heat.expected().await?).await {
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
