//! Chooses among the shaders of `ops::variants` by measuring them on this GPU.
//!
//! The candidate that is expected to win on a kind of GPU races against a challenger, on the shapes
//! of the model that is being loaded. That happens before its weights arrive, since their layout
//! depends on it, in a bounded time and with few pipelines, which a browser compiles slowly: a
//! visit holds half of the races. The winner is remembered as JSON, and meets the next challenger
//! on a later visit.
//!
//! A winner that decides about the layout of weights must compute what the reference does, on
//! random data. Whether every kernel of a model does is for `self_test`.

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

/// All races, in the order of the visits that hold them: those of the largest matrices and of
/// prompts, then those of small matrices and of attention.
const RACES: usize = 4;

/// Races of a visit. The loser of each is a pipeline that the model has no use for; a mixture of
/// experts has more that it needs.
fn races_of_visit(shapes: &Shapes) -> usize {
    if shapes.gated { 2 } else { 1 }
}

/// Candidates that may meet the champion, one after the other.
const CHALLENGERS: usize = 3;

/// How often they meet in [`Timing::Rows`]. On the first one, a pipeline may take longer than
/// the race; a browser keeps what it compiled.
const MEETINGS: usize = 2;

/// Largest error of a correct variant, relative to the root mean square of the results. Wrong ones
/// differ by about one.
const TOLERANCE: f32 = 1e-3;

/// The same where results or weights are rounded to f16. GPUs may round down what others round up:
/// that is a 1024th of a value, and a few values are some times the root mean square.
const TOLERANCE_F16: f32 = 1e-2;

/// The same where results are rounded to bytes: by up to a 127th of the largest of 32 values, which
/// is a few times the root mean square.
const TOLERANCE_Q8: f32 = 4e-2;

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
        let Some(heat) = heats.wide.as_ref().or(heats.narrow.as_ref()) else { return Ok(self) };
        let with = |matvec| Variants { matvec_wide: matvec, matvec_narrow: matvec, ..Variants::PLAIN };
        let variants = Field::linear(engine, &[MATVEC], &with, None, None).favourite();
        match rows::is_slow(engine, heat.shape.shrunk(shrink), variants).await {
            Ok(slow) => Ok(if slow { Self::Runs } else { self }),
            // the race itself notes what is wrong with a shader
            Err(error) if engine.recover(&error) => Ok(self),
            Err(error) => Err(error),
        }
    }
}

/// Sets the engine's variants and notes, and what is to be remembered. `engine` has no buffers
/// before and after. `remembered`: of an earlier tuner.
///
/// Errors: `GpuUnavailable` if a race has no correct candidate, and errors that end an engine, such
/// as a lost device.
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
    let (software, features) = (engine.is_software(), engine.gpu.features.clone());
    let meetings = if matches!(timing, Timing::Runs) { 1 } else { MEETINGS };
    let races = races_of_visit(shapes);
    let visits = CHALLENGERS * meetings * RACES / races;
    let found = remembered.and_then(|json| recall(json, &key));
    let found = found.filter(|(variants, _)| variants.suits(software, &features));
    let (champions, left) = (found.map(|(variants, _)| variants), found.map_or(visits, |(_, left)| left));
    let chosen = match champions {
        Some(champions) if left == 0 => champions,
        _ => choose(engine, heats, timing, champions, (visits.saturating_sub(left), races)).await?,
    };
    engine.reset(chosen)?;
    engine.shaders.borrow_mut().remembered = remember(&chosen, left.saturating_sub(1), &key, remembered);
    Ok(())
}

/// Holds the races of a visit, before which there were so many others. `champions`: the winners of
/// those. `races`: of a visit.
async fn choose(
    engine: &mut GpuEngine,
    heats: Heats,
    timing: Timing,
    champions: Option<Variants>,
    (visit, races): (usize, usize),
) -> Result<Variants> {
    let timing = timing.for_speed_of(engine, &heats).await?;
    let heats = if matches!(timing, Timing::Runs) { Heats::of_trials() } else { heats };
    let mut stand = Stand { timing, start: now(), budget: Budget::new(BUDGET, races as u32) };
    let mut chosen = Variants { narrow_tiles: true, ..Variants::PLAIN };
    let turns = RACES / races;
    let [of_wide, of_prompt, of_narrow, of_attention] =
        std::array::from_fn(|race: usize| (visit % turns == race / races).then_some(visit / turns));

    if let Some(heat) = &heats.wide {
        let with = |matvec| Variants { matvec_wide: matvec, matvec_narrow: matvec, ..chosen };
        let field = Field::linear(engine, &[MATVEC], &with, champions.map(|of| of.matvec_wide), of_wide);
        chosen = stand.race(engine, heat, field).await?;
    }
    if let Some(heat) = &heats.narrow {
        let wide = heats.wide.as_ref().map(|_| chosen.matvec_wide);
        let with = |narrow| Variants { matvec_wide: wide.unwrap_or(narrow), matvec_narrow: narrow, ..chosen };
        // few rows an invocation, or a small matrix leaves threads of the adapter idle
        let fewest = || MATVEC.iter().filter(|variant| variant.software_only).min_by_key(|variant| variant.rows);
        let usual = if engine.is_software() { fewest() } else { None };
        // one pipeline for both, unless the races of later visits find that two are faster
        let champion = champions.map(|of| of.matvec_narrow).or(usual).or(wide);
        let field = Field::linear(engine, &[MATVEC], &with, champion, of_narrow);
        chosen = stand.race(engine, heat, field).await?;
    }

    // these read the layout that the choices above determine
    let with = |matmul| Variants { matmul, ..chosen };
    chosen = Field::linear(engine, &[MATMUL], &with, champions.map(|of| of.matmul), None).favourite();
    let rounding: &[_] = if heats.prompt.rounds() { MATMUL_ROUNDED } else { &[] };
    let with = |many: &'static LinearVariant| match many.rounded() {
        Some(_) => Variants { matmul_rounded: Some(many), ..chosen },
        None => Variants { matmul: many, ..chosen },
    };
    let champion = champions.map(|of| of.matmul_rounded.unwrap_or(of.matmul));
    let field = Field::linear(engine, &[MATMUL, rounding], &with, champion, of_prompt);
    chosen = stand.race(engine, &heats.prompt, field).await?;

    let with = |attend_one| Variants { attend_one, ..chosen };
    chosen = Field::attention(engine, ATTEND_ONE, &with, None, None).favourite();
    let with = |attend_many| Variants { attend_many, ..chosen };
    let field = Field::attention(engine, ATTEND_MANY, &with, champions.map(|of| of.attend_many), of_attention);
    stand.race(engine, &heats.attend_many, field).await
}

/// A choice that takes part in a race.
#[derive(Clone, Copy)]
struct Candidate {
    /// Of the variant that makes the difference.
    name: &'static str,
    variants: Variants,
}

/// The candidates of a race.
struct Field {
    /// The champion, and a challenger if there is one.
    racers: Vec<Candidate>,
    /// What is tried, one after the other, if none of these is right.
    others: Vec<Candidate>,
}

impl Field {
    /// Of candidates, each with whether it may win where it runs. Without a champion, the likeliest
    /// winner is it. `meeting`: how often it has met a challenger, each time another one; `None`:
    /// it meets none.
    fn new(
        engine: &GpuEngine,
        mut all: Vec<(bool, Candidate)>,
        champion: Option<&'static str>,
        meeting: Option<usize>,
    ) -> Self {
        let mut take = |name| {
            let found = all.iter().position(|(_, candidate)| candidate.name == name);
            found.map(|index| all.remove(index))
        };
        let order = prior::order(&engine.gpu.family, engine.gpu.subgroup_lanes());
        let champion = champion.and_then(&mut take);
        let known: Vec<_> = order.into_iter().filter_map(take).collect();
        let (mut hopeful, mut others) = (Vec::new(), Vec::new());
        for (is_hopeful, candidate) in champion.into_iter().chain(known).chain(all) {
            if is_hopeful { hopeful.push(candidate) } else { others.push(candidate) }
        }
        // a champion that was the last resort still is
        if hopeful.is_empty() {
            return Self { racers: others.drain(..1).collect(), others };
        }
        let challengers = (hopeful.len() - 1).min(CHALLENGERS);
        let challenger = meeting.and_then(|meeting| meeting.checked_rem(challengers));
        let challenger = challenger.map(|index| hopeful.remove(1 + index));
        let racers = [hopeful.remove(0)].into_iter().chain(challenger).collect();
        Self { racers, others: [hopeful, others].concat() }
    }

    /// Of the variants of `linear` in some tables that suit the adapter.
    fn linear(
        engine: &GpuEngine,
        tables: &[&'static [LinearVariant]],
        with: &dyn Fn(&'static LinearVariant) -> Variants,
        champion: Option<&'static LinearVariant>,
        meeting: Option<usize>,
    ) -> Self {
        let software = engine.is_software();
        let all = tables.iter().copied().flatten();
        let suitable = all.filter(|variant| variant.suits(software, &engine.gpu.features));
        // the plain one is for adapters on which nothing else is right
        let is_hopeful = |variant: &LinearVariant| variant.software_only == software && *variant != PLAIN;
        let of = |variant: &'static LinearVariant| {
            (is_hopeful(variant), Candidate { name: variant.name, variants: with(variant) })
        };
        Self::new(engine, suitable.map(of).collect(), champion.map(|champion| champion.name), meeting)
    }

    /// Of the variants of `attention` that suit the adapter.
    fn attention(
        engine: &GpuEngine,
        all: &'static [AttentionVariant],
        with: &dyn Fn(&'static AttentionVariant) -> Variants,
        champion: Option<&'static AttentionVariant>,
        meeting: Option<usize>,
    ) -> Self {
        let software = engine.is_software();
        let suitable = all.iter().filter(|variant| variant.suits(software));
        let of = |variant: &'static AttentionVariant| {
            let candidate = Candidate { name: variant.name, variants: with(variant) };
            (variant.software_only == software, candidate)
        };
        Self::new(engine, suitable.map(of).collect(), champion.map(|champion| champion.name), meeting)
    }

    /// The likeliest winner.
    fn favourite(&self) -> Variants {
        self.racers[0].variants
    }
}

/// How races are held, and the time for them.
struct Stand {
    timing: Timing,
    start: Instant,
    budget: Budget,
}

impl Stand {
    /// The choice of the faster of the racers that is right.
    async fn race(&mut self, engine: &mut GpuEngine, heat: &Heat, Field { racers, others }: Field) -> Result<Variants> {
        // whether it is right, the model's self-test says
        if let [only] = racers[..] {
            return Ok(only.variants);
        }
        let ends = self.start + self.budget.next(self.start.elapsed());
        for racers in std::iter::once(racers).chain(others.into_iter().map(|other| vec![other])) {
            let winner = match self.timing {
                Timing::Runs => runs::race(engine, heat, &racers).await?,
                Timing::Rows { bytes, shrink } => {
                    rows::race(engine, (heat, heat.shape.shrunk(shrink)), &racers, bytes, ends).await?
                }
            };
            if let Some(winner) = winner {
                return Ok(winner);
            }
        }
        let name = &heat.trial.name;
        Err(Error::GpuUnavailable(format!("no shader gives right results for {name} on this GPU")))
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

/// Runs a trial once and compares its results.
pub(super) async fn run_checked(engine: &mut GpuEngine, trial: &Trial, expected: &Results) -> Result<ProgramId> {
    let (program, got) = trial.run(engine).await?;
    let error = relative_error(&got, expected);
    let rounds_weights = engine.variants().needs().contains(&Feature::F16);
    let tolerance = match trial.format {
        KvFormat::F32 if !rounds_weights => TOLERANCE,
        KvFormat::F32 | KvFormat::F16 => TOLERANCE_F16,
        KvFormat::Q8 | KvFormat::Q4 => TOLERANCE_Q8,
    };
    if error > tolerance {
        let (expected, got) = (format!("results within {tolerance}"), format!("{error:.1e} off"));
        return Err(Error::Internal { op: "self-test", expected, got });
    }
    Ok(program)
}
