//! Races on a software adapter, timed run by run: a run takes milliseconds there.

use std::time::Duration;

use super::{Candidate, Heat, run_checked};
use crate::Result;
use crate::engine::gpu::{GpuEngine, ProgramId};
use crate::ops::variants::Variants;

/// A candidate this many times as slow as the best is out after its first run.
const SLOW: u32 = 2;

/// Differences between single runs below this mean nothing: browsers' clocks are coarse.
const GRAIN: Duration = Duration::from_millis(2);

/// Largest number of runs of a candidate per round, and their time.
const MOST_RUNS: u32 = 50;
const ROUND: Duration = Duration::from_millis(8);

/// Rounds, in which the candidates take turns. The fastest round of a candidate counts, since other
/// programs use the machine too.
const ROUNDS: usize = 3;

/// Finds the fastest of the candidates that are right; `None`: none is. The first is the favourite,
/// and wins unless another one takes a tenth less.
pub(super) async fn race(engine: &mut GpuEngine, heat: &Heat, candidates: &[Candidate]) -> Result<Option<Variants>> {
    let (trial, expected) = (&heat.trial, heat.trial.expected().await?);
    let mut field: Vec<(Duration, ProgramId, Candidate)> = Vec::new();
    engine.reset(Variants::PLAIN)?;
    for &candidate in candidates {
        engine.set_variants(candidate.variants);
        match run_checked(engine, trial, &expected).await {
            Ok(program) => field.push((trial.time(engine, program, 1).await?, program, candidate)),
            Err(error) => engine.drop_out(candidate.name, trial, error)?,
        }
    }
    let best = field.iter().map(|(time, ..)| *time).min().unwrap_or_default();
    field.retain(|(time, ..)| *time <= best * SLOW + GRAIN);
    for round in 0..ROUNDS {
        for (time, program, _) in &mut field {
            let runs = (ROUND.as_micros() / time.as_micros().max(1)).clamp(1, u128::from(MOST_RUNS)) as u32;
            let took = trial.time(engine, *program, runs).await?;
            // the first time includes the wait for the results
            *time = if round == 0 { took } else { took.min(*time) };
        }
    }
    let favourite = candidates.first().map(|candidate| candidate.name);
    let with_handicap = |(time, _, candidate): &(Duration, ProgramId, Candidate)| {
        if Some(candidate.name) == favourite { *time } else { *time * 10 / 9 }
    };
    Ok(field.into_iter().min_by_key(with_handicap).map(|(.., candidate)| candidate.variants))
}
