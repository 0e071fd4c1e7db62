//! Races on a real GPU, timed in rows of replays: see [`crate::engine::race`].
//!
//! Products for one token run over more weights than a GPU's caches hold, since a token of a model
//! reads each weight once, from memory.

use std::time::Duration;

use super::{Candidate, Race, run_checked};
use crate::Result;
use crate::engine::gpu::{GpuEngine, ProgramId};
use crate::engine::race::{self, Course};
use crate::engine::trial::Trial;
use crate::engine::{Engine, now};
use crate::format::layout::Layout;
use crate::ops::variants::Variants;
use crate::ops::{Activation, Epilogue, Linear, Recording, RmsNorm};
use crate::record::{Matrix, Memory, Step, Tensor, rows};

/// The layout of the weights of timed products.
const LAYOUT: Layout = Layout::Q4;

/// Where one product takes longer, a trial in rows would take seconds.
const SLOWEST: Duration = Duration::from_millis(20);

/// A matrix product as large as in a model.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Rows of the activations.
    pub tokens: usize,
    /// Rows of the weight: half of them gate and half of them up projections, unless it is narrow.
    pub rows: usize,
    /// Columns of the weight.
    pub cols: usize,
    /// Whether it is a down projection, added to the residual stream.
    pub narrow: bool,
}

impl Shape {
    /// With this fraction of the rows and columns.
    pub fn shrunk(self, shrink: usize) -> Self {
        Self { rows: self.rows / shrink, cols: self.cols / shrink, ..self }
    }

    /// Products with one matrix after the other, over at least so many bytes of weights. These are
    /// zeros: only the time counts.
    fn record(&self, engine: &mut GpuEngine, bytes: usize) -> Result<Recording> {
        let Self { tokens, rows, cols, narrow } = *self;
        let mut tensor = |rows, cols| -> Result<Tensor> {
            Ok(Tensor { buffer: engine.create_values("trial", rows * cols)?, rows, cols })
        };
        let x = tensor(tokens, cols)?;
        let (norm, epilogue, y) = if narrow {
            (None, Epilogue::ACCUMULATE, tensor(tokens, rows)?)
        } else {
            let norm = RmsNorm { weight: tensor(1, cols)?, eps: 1e-5 };
            (Some(norm), Epilogue::Activate(Activation::SWIGLU), tensor(tokens, rows / 2)?)
        };
        let matrix_bytes = rows * (LAYOUT.quants_row_bytes(cols) + LAYOUT.scales_row_bytes(cols));
        // many tokens are bound by arithmetic
        let copies = if tokens == 1 { bytes.div_ceil(matrix_bytes) } else { 1 };
        let mut recording = Recording::default();
        for _ in 0..copies {
            let weight: Matrix = engine.create_matrix("trial", LAYOUT, rows, cols)?;
            recording.push(Linear { x, norm, weight, affine: None, epilogue, y_offset: 0, y })?;
        }
        Ok(recording)
    }

    fn step<T>(&self, with: impl FnOnce(&Step) -> T) -> T {
        with(&Step::new(&rows(0, 0, &vec![0; self.tokens]), &[&[0]]))
    }
}

/// What a race is about.
pub(super) struct Timed<'a> {
    /// Each candidate must be right in it.
    pub trial: &'a Trial,
    /// What is timed: products of this shape, or this trial, or else the first one.
    pub shape: Option<Shape>,
    pub larger: Option<&'a Trial>,
}

/// The programs of the candidates.
struct Track<'a> {
    engine: &'a mut GpuEngine,
    trial: &'a Trial,
    shape: Option<Shape>,
    programs: Vec<ProgramId>,
}

impl Course for Track<'_> {
    async fn time(&mut self, candidate: usize, replays: u32) -> Result<Duration> {
        let (engine, program) = (&mut *self.engine, self.programs[candidate]);
        let start = now();
        let run = |step: &Step| engine.run_times(program, step, replays);
        match self.shape {
            Some(shape) => shape.step(run)?,
            None => self.trial.step(run)?,
        }
        engine.synchronize().await?;
        Ok(start.elapsed())
    }
}

/// Whether the adapter is too slow for rows, as one that is emulated without saying so: whether one
/// product of this shape takes longer than [`SLOWEST`] with these variants.
pub(super) async fn is_slow(engine: &mut GpuEngine, trial: &Trial, shape: Shape, variants: Variants) -> Result<bool> {
    engine.reset(variants)?;
    let recording = shape.record(engine, 1)?;
    let program = engine.prepare(recording)?;
    let mut track = Track { engine, trial, shape: Some(shape), programs: vec![program] };
    // the first run includes the upload of the step and what a driver leaves for the first time
    track.time(0, 1).await?;
    Ok(track.time(0, 1).await? > SLOWEST)
}

/// Finds the fastest of the candidates that are right; the first is the favourite. A product is
/// checked when it has won, since its check is another pipeline. `bytes`: least bytes of weights.
pub(super) async fn race<V: Candidate>(
    engine: &mut GpuEngine,
    timed: &Timed<'_>,
    candidates: &[&'static V],
    with: impl Fn(&'static V) -> Variants,
    bytes: usize,
) -> Result<Race<V>> {
    let &Timed { trial, shape, larger } = timed;
    let expected = trial.expected().await?;
    engine.reset(Variants::PLAIN)?;
    let recording = shape.map(|shape| shape.record(engine, bytes)).transpose()?;
    let mut field: Vec<(&V, ProgramId)> = Vec::new();
    for &candidate in candidates {
        engine.set_variants(with(candidate));
        let program = match &recording {
            None => match (run_checked(engine, trial, &expected).await, larger) {
                (Ok(_), Some(larger)) => larger.run(engine).await.map(|(program, _)| program),
                (checked, _) => checked,
            },
            Some(recording) => match engine.prepare(recording.clone()) {
                // a browser reports a refused pipeline when it runs
                Ok(program) => {
                    let mut track = Track { engine, trial, shape, programs: vec![program] };
                    track.time(0, 1).await.map(|_| program)
                }
                error => error,
            },
        };
        match program {
            Ok(program) => field.push((candidate, program)),
            Err(error) => engine.drop_out(candidate.name(), trial, error)?,
        }
    }
    while !field.is_empty() {
        let programs = field.iter().map(|(_, program)| *program).collect();
        let mut track = Track { engine, trial: larger.unwrap_or(trial), shape, programs };
        let finish = race::race(&mut track, field.len()).await?;
        let (winner, _) = field[finish.winner];
        engine.set_variants(with(winner));
        match run_checked(engine, trial, &expected).await {
            Ok(_) => {
                let hopeful = field.iter().map(|(candidate, _)| *candidate).collect();
                return Ok(Race { quickest: Some(winner), hopeful, time: Duration::from_secs_f64(finish.seconds) });
            }
            Err(error) => engine.drop_out(winner.name(), trial, error)?,
        }
        field.remove(finish.winner);
    }
    Ok(Race { quickest: None, hopeful: Vec::new(), time: Duration::MAX })
}
