//! Races on a real GPU, timed in rows of replays: see [`crate::engine::race`].
//!
//! Products for one token run over more weights than a GPU's caches hold, since a token of a model
//! reads each weight once, from memory.

use std::time::Duration;

use web_time::Instant;

use super::{Candidate, Heat, run_checked};
use crate::Result;
use crate::engine::gpu::{GpuEngine, ProgramId};
use crate::engine::race::{self, Course};
use crate::engine::shapes::Product;
use crate::engine::{Engine, now};
use crate::ops::variants::Variants;
use crate::ops::{Activation, Attention, Epilogue, Linear, Part, Recording, RmsNorm};
use crate::record::{KV_BLOCK, KvCache, KvFormat, Matrix, Memory, Step, Tensor, rows};

/// Where one product takes longer, a trial in rows would take seconds.
const SLOWEST: Duration = Duration::from_millis(20);

/// Matrices of a row at most.
const MOST_COPIES: usize = 64;

/// Columns are a multiple of it, and rows, whatever the layout.
const WHOLE: usize = 256;

/// Work as large as in a model.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A projection of so many tokens, with their norm; of gate and up, with SwiGLU.
    Normed { product: Product, tokens: usize, gated: bool },
    /// A down projection of one token, added to the residual stream.
    Down(Product),
    /// Attention of tokens behind so many others.
    Attention {
        /// Query heads, key heads, values of a head.
        shape: (usize, usize, usize),
        tokens: usize,
        position: usize,
    },
}

impl Shape {
    /// With this fraction of the rows and columns, or of the tokens and positions.
    pub fn shrunk(self, shrink: usize) -> Self {
        let part = |size: usize| (size / shrink).max(1).next_multiple_of(WHOLE);
        let of = |Product { layout, rows, cols }| Product { layout, rows: part(rows), cols: part(cols) };
        match self {
            Self::Normed { product, tokens, gated } => Self::Normed { product: of(product), tokens, gated },
            Self::Down(product) => Self::Down(of(product)),
            Self::Attention { shape, tokens, position } => {
                Self::Attention { shape, tokens: tokens.div_ceil(shrink), position: position / shrink }
            }
        }
    }

    fn tokens(&self) -> usize {
        match *self {
            Self::Normed { tokens, .. } | Self::Attention { tokens, .. } => tokens,
            Self::Down(_) => 1,
        }
    }

    /// Over zeros: only the time counts. Products for one token are made with one matrix after the
    /// other, over at least so many bytes of weights; many tokens are bound by arithmetic.
    fn record(&self, engine: &mut GpuEngine, bytes: usize) -> Result<Recording> {
        let mut tensor = |rows, cols| -> Result<Tensor> {
            Ok(Tensor { buffer: engine.create_values("trial", rows * cols)?, rows, cols })
        };
        let mut recording = Recording::default();
        let (product, x, norm, epilogue, y) = match *self {
            Self::Normed { product, tokens, gated } => {
                let norm = RmsNorm { weight: tensor(1, product.cols)?, eps: 1e-5 };
                let epilogue = if gated { Epilogue::Activate(Activation::SWIGLU) } else { Epilogue::Store };
                let (x, y) = (tensor(tokens, product.cols)?, tensor(tokens, product.rows / epilogue.inputs())?);
                (product, x, Some(norm), epilogue, y)
            }
            Self::Down(product) => {
                (product, tensor(1, product.cols)?, None, Epilogue::ACCUMULATE, tensor(1, product.rows)?)
            }
            Self::Attention { shape: (heads, kv_heads, head_dim), tokens, position } => {
                let q = tensor(tokens, (heads + 2 * kv_heads) * head_dim)?;
                let y = tensor(tokens, heads * head_dim)?;
                let kv = KvCache { buffer: q.buffer, heads: kv_heads, head_dim, format: KvFormat::F16, parts: 1 };
                let blocks = (position + tokens).div_ceil(KV_BLOCK);
                let kv = KvCache { buffer: engine.create_blocks("trial", &kv, blocks)?, ..kv };
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
                return Ok(recording);
            }
        };
        let Product { layout, rows, cols } = product;
        let matrix_bytes = rows * (layout.quants_row_bytes(cols) + layout.scales_row_bytes(cols));
        let copies = if self.tokens() == 1 { bytes.div_ceil(matrix_bytes).min(MOST_COPIES) } else { 1 };
        for _ in 0..copies {
            let weight: Matrix = engine.create_matrix("trial", layout, rows, cols)?;
            recording.push(Linear { x, norm, weight, affine: None, epilogue, y_offset: 0, y })?;
        }
        Ok(recording)
    }

    fn step<T>(&self, with: impl FnOnce(&Step) -> T) -> T {
        let position = if let Self::Attention { position, .. } = *self { position } else { 0 };
        let blocks = (position + self.tokens()).div_ceil(KV_BLOCK) as u32;
        let table: Vec<u32> = (0..blocks).collect();
        with(&Step::new(&rows(0, position, &vec![0; self.tokens()]), &[&table]))
    }
}

/// The programs of the candidates.
struct Track<'a> {
    engine: &'a mut GpuEngine,
    shape: Shape,
    programs: Vec<ProgramId>,
    ends: Instant,
}

impl Course for Track<'_> {
    async fn time(&mut self, candidate: usize, replays: u32) -> Result<Duration> {
        let (engine, program) = (&mut *self.engine, self.programs[candidate]);
        let start = now();
        self.shape.step(|step| engine.run_times(program, step, replays))?;
        engine.synchronize().await?;
        Ok(start.elapsed())
    }

    fn is_over(&self) -> bool {
        now() >= self.ends
    }
}

/// Whether the adapter is too slow for rows, as one that is emulated without saying so: whether
/// work of this shape takes longer than [`SLOWEST`] with these variants.
pub(super) async fn is_slow(engine: &mut GpuEngine, shape: Shape, variants: Variants) -> Result<bool> {
    engine.reset(variants)?;
    let recording = shape.record(engine, 1)?;
    let program = engine.prepare(recording)?;
    let mut track = Track { engine, shape, programs: vec![program], ends: now() };
    // the first run includes the upload of the step and what a driver leaves for the first time
    track.time(0, 1).await?;
    Ok(track.time(0, 1).await? > SLOWEST)
}

/// Finds the fastest of the candidates that are right; the first is the favourite, and wins unless
/// another one is found to be faster before the race `ends`. `None`: none is right. A candidate is
/// checked when it has won, and only where it decides about a layout. `bytes`: least bytes of
/// weights.
pub(super) async fn race(
    engine: &mut GpuEngine,
    (heat, shape): (&Heat, Shape),
    candidates: &[Candidate],
    bytes: usize,
    ends: Instant,
) -> Result<Option<Variants>> {
    engine.reset(Variants::PLAIN)?;
    let recording = shape.record(engine, bytes)?;
    // compiling takes at most the first half
    let compiled = now() + ends.saturating_duration_since(now()) / 2;
    let mut field: Vec<(Candidate, ProgramId)> = Vec::new();
    for &candidate in candidates {
        if !field.is_empty() && now() >= compiled {
            break;
        }
        engine.set_variants(candidate.variants);
        let program = match engine.prepare(recording.clone()) {
            // a browser reports a refused pipeline when it runs
            Ok(program) => {
                let mut track = Track { engine, shape, programs: vec![program], ends };
                track.time(0, 1).await.map(|_| program)
            }
            error => error,
        };
        match program {
            Ok(program) => field.push((candidate, program)),
            Err(error) => engine.drop_out(candidate.name, &heat.trial, error)?,
        }
    }
    while !field.is_empty() {
        let mut winner = 0;
        if field.len() > 1 {
            let programs = field.iter().map(|(_, program)| *program).collect();
            winner = race::race(&mut Track { engine, shape, programs, ends }, field.len()).await?.winner;
        }
        let (candidate, _) = field.remove(winner);
        if matches!(shape, Shape::Attention { .. }) {
            return Ok(Some(candidate.variants));
        }
        engine.set_variants(candidate.variants);
        match run_checked(engine, &heat.trial, &heat.trial.expected().await?).await {
            Ok(_) => return Ok(Some(candidate.variants)),
            Err(error) => engine.drop_out(candidate.name, &heat.trial, error)?,
        }
    }
    Ok(None)
}
