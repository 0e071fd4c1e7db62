//! Chooses among the shaders of `ops::variants` by measuring them on this GPU.
//!
//! The candidate that is expected to win on a kind of GPU races against a challenger, on the shapes
//! of the model that is being loaded. That happens before its weights arrive, since their layout
//! depends on it, in a bounded time and with few pipelines, which a browser compiles slowly. The
//! winner is remembered as JSON, and meets the next challenger on the next visit.
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

/// Number of races.
const RACES: u32 = 4;

/// Candidates that may meet the champion, one on each visit.
const CHALLENGERS: usize = 3;

/// Visits on which they meet in [`Timing::Rows`]. On the first one, a pipeline may take longer than
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
        let favourite = Field::new(MATVEC, engine, None, 0).racers[0];
        let Some(heat) = heats.wide.as_ref().or(heats.narrow.as_ref()) else { return Ok(self) };
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
    fn runs_on(&self, engine: &GpuEngine) -> bool;
    /// Whether it may win where it runs.
    fn is_hopeful(&self, engine: &GpuEngine) -> bool;
}

impl Candidate for LinearVariant {
    fn name(&self) -> &'static str {
        self.name
    }
    fn runs_on(&self, engine: &GpuEngine) -> bool {
        self.suits(engine.is_software(), &engine.gpu.features)
    }
    fn is_hopeful(&self, engine: &GpuEngine) -> bool {
        // the plain one is for adapters on which nothing else is right
        self.software_only == engine.is_software() && *self != PLAIN
    }
}

impl Candidate for AttentionVariant {
    fn name(&self) -> &'static str {
        self.name
    }
    fn runs_on(&self, engine: &GpuEngine) -> bool {
        self.suits(engine.is_software())
    }
    fn is_hopeful(&self, engine: &GpuEngine) -> bool {
        self.software_only == engine.is_software()
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
    let visits = CHALLENGERS * meetings;
    let found = remembered.and_then(|json| recall(json, &key));
    let found = found.filter(|(variants, _)| variants.suits(software, &features));
    let (champions, left) = (found.map(|(variants, _)| variants), found.map_or(visits, |(_, left)| left));
    let chosen = match champions {
        Some(champions) if left == 0 => champions,
        _ => choose(engine, heats, timing, champions, visits.saturating_sub(left)).await?,
    };
    engine.reset(chosen)?;
    engine.shaders.borrow_mut().remembered = remember(&chosen, left.saturating_sub(1), &key, remembered);
    Ok(())
}

/// Holds the races of a visit, before which there were so many others. `champions`: the winners of
/// those.
async fn choose(
    engine: &mut GpuEngine,
    heats: Heats,
    timing: Timing,
    champions: Option<Variants>,
    visit: usize,
) -> Result<Variants> {
    let timing = timing.for_speed_of(engine, &heats).await?;
    let heats = if matches!(timing, Timing::Runs) { Heats::of_trials() } else { heats };
    let mut stand = Stand { timing, start: now(), budget: Budget::new(BUDGET, RACES) };
    let mut chosen = Variants { narrow_tiles: true, ..Variants::PLAIN };

    if let Some(heat) = &heats.wide {
        let field = Field::new(MATVEC, engine, champions.map(|of| of.matvec_wide), visit);
        let with = |matvec| Variants { matvec_wide: matvec, matvec_narrow: matvec, ..chosen };
        chosen = stand.race(engine, heat, field, with).await?;
    }
    if let Some(heat) = &heats.narrow {
        let field = Field::new(MATVEC, engine, champions.map(|of| of.matvec_narrow), visit);
        let wide = heats.wide.as_ref().map(|_| chosen.matvec_wide);
        let with = |narrow| Variants { matvec_wide: wide.unwrap_or(narrow), matvec_narrow: narrow, ..chosen };
        chosen = stand.race(engine, heat, field, with).await?;
    }

    // these read the layout that the choices above determine
    let exact = Field::new(MATMUL, engine, champions.map(|of| of.matmul), visit).racers[0];
    let rounding: &[_] = if heats.prompt.rounds() { MATMUL_ROUNDED } else { &[] };
    let champion = champions.map(|of| of.matmul_rounded.unwrap_or(of.matmul));
    let field = Field::new(MATMUL.iter().chain(rounding), engine, champion, visit);
    let with = |many: &'static LinearVariant| match many.rounded() {
        Some(_) => Variants { matmul: exact, matmul_rounded: Some(many), ..chosen },
        None => Variants { matmul: many, matmul_rounded: None, ..chosen },
    };
    chosen = stand.race(engine, &heats.prompt, field, with).await?;

    chosen.attend_one = Field::new(ATTEND_ONE, engine, None, visit).racers[0];
    let field = Field::new(ATTEND_MANY, engine, champions.map(|of| of.attend_many), visit);
    stand.race(engine, &heats.attend_many, field, |attend_many| Variants { attend_many, ..chosen }).await
}

/// The candidates of a race.
struct Field<V: 'static> {
    /// The champion, and a challenger if there is one.
    racers: Vec<&'static V>,
    /// What is tried, one after the other, if none of these is right.
    others: Vec<&'static V>,
}

impl<V: Candidate> Field<V> {
    /// Of the candidates that suit the adapter; without a champion, the likeliest winner is it. On
    /// each visit it meets another challenger.
    fn new(
        all: impl IntoIterator<Item = &'static V>,
        engine: &GpuEngine,
        champion: Option<&'static V>,
        visit: usize,
    ) -> Self {
        let order = prior::order(&engine.gpu.family, engine.gpu.subgroup_lanes());
        let rank = |name| order.iter().position(|known| *known == name).unwrap_or(order.len());
        let mut others: Vec<&V> = all.into_iter().filter(|candidate| candidate.runs_on(engine)).collect();
        others.sort_by_key(|candidate| (!candidate.is_hopeful(engine), rank(candidate.name())));
        let mut take = |name| others.iter().position(|other| other.name() == name).map(|index| others.remove(index));
        let champion = champion.map_or("", |champion| champion.name());
        // every table has candidates for every adapter
        let first = take(champion).unwrap_or_else(|| others.remove(0));
        let challengers = others.iter().take_while(|other| other.is_hopeful(engine)).take(CHALLENGERS).count();
        let challenger = visit.checked_rem(challengers).map(|index| others.remove(index));
        Self { racers: [first].into_iter().chain(challenger).collect(), others }
    }
}

/// How races are held, and the time for them.
struct Stand {
    timing: Timing,
    start: Instant,
    budget: Budget,
}

impl Stand {
    /// The choice with the faster of the racers that is right.
    async fn race<V: Candidate>(
        &mut self,
        engine: &mut GpuEngine,
        heat: &Heat,
        Field { racers, others }: Field<V>,
        with: impl Fn(&'static V) -> Variants,
    ) -> Result<Variants> {
        // whether it is right, the model's self-test says
        if let [only] = racers[..] {
            return Ok(with(only));
        }
        let ends = self.start + self.budget.next(self.start.elapsed());
        for racers in std::iter::once(racers).chain(others.into_iter().map(|other| vec![other])) {
            let winner = match self.timing {
                Timing::Runs => runs::race(engine, heat, &racers, &with).await?,
                Timing::Rows { bytes, shrink } => {
                    rows::race(engine, (heat, heat.shape.shrunk(shrink)), &racers, &with, bytes, ends).await?
                }
            };
            if let Some(winner) = winner {
                return Ok(with(winner));
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
        KvFormat::Q8 => TOLERANCE_Q8,
    };
    if error > tolerance {
        let (expected, got) = (format!("results within {tolerance}"), format!("{error:.1e} off"));
        return Err(Error::Internal { op: "self-test", expected, got });
    }
    Ok(program)
}
