//! What the candidates race on.

use std::cell::OnceCell;

use super::rows::Shape;
use crate::Result;
use crate::engine::LARGEST_CHUNK;
use crate::engine::shapes::{Product, Shapes};
use crate::engine::trial::{Results, Trial};
use crate::format::layout::Layout;
use crate::record::KvFormat;

/// Tokens per chunk of a prompt in the trials.
const PROMPT: usize = 16;

/// The same for products: more than the tokens of the largest tile, so that a second one begins.
const PROMPT_OF_TILES: usize = 300;

/// Rows and columns of a prompt's product at most: as many rows as the narrow matrices of a large
/// model have.
const ROWS: usize = 4096;
const COLS: usize = 1024;

/// A part of a prompt, and the tokens before it: with fewer, a tile of queries would leave a GPU
/// idle.
const QUERIES: usize = 128;
const BEFORE: usize = 896;

/// What a race is about.
pub struct Heat {
    /// Each candidate must be right in it. The host computes its results too, so it is small.
    pub trial: Trial,
    /// What is timed in [`Timing::Rows`](super::Timing::Rows).
    pub shape: Shape,
    expected: OnceCell<Results>,
}

impl Heat {
    fn new(trial: Trial, shape: Shape) -> Self {
        Self { trial, shape, expected: OnceCell::new() }
    }

    /// Whether its weights are quantised, which kernels are for that round activations.
    pub fn rounds(&self) -> bool {
        matches!(self.shape, Shape::GateUp(product, _) if product.layout.quantised().is_some())
    }

    /// The results of the trial, computed once.
    pub async fn expected(&self) -> Result<&Results> {
        if let Some(expected) = self.expected.get() {
            return Ok(expected);
        }
        let expected = self.trial.expected().await?;
        Ok(self.expected.get_or_init(|| expected))
    }
}

/// All heats.
pub struct Heats {
    /// `None` if the model has no such matrix: then the other one's winner is good enough.
    pub wide: Option<Heat>,
    pub narrow: Option<Heat>,
    pub prompt: Heat,
    pub prompt_f16: Option<Heat>,
    pub attend_one: Heat,
    pub attend_many: Heat,
}

impl Heats {
    /// For a model. Its layouts and heads are those of the trials too, so that a trial's pipelines
    /// may be the model's.
    pub fn of(shapes: &Shapes) -> Self {
        let Shapes { wide, narrow, heads, kv_heads, head_dim } = *shapes;
        let whole = |Product { layout, rows, cols }: Product| Product {
            layout,
            // whole blocks and tiles, whatever the layout, and no narrow matrix becomes a wide one
            rows: (rows / 64).max(1) * 64,
            cols: cols.next_multiple_of(256),
        };
        let of_wide = |product: Product| {
            Heat::new(Trial::gate_up(1, product.layout, 1024, 512), Shape::GateUp(whole(product), 1))
        };
        let of_narrow =
            |product: Product| Heat::new(Trial::down(1, product.layout, 576, 1024), Shape::Down(whole(product)));
        let largest = wide.or(narrow).unwrap_or(Product { layout: Layout::Q4, rows: ROWS, cols: COLS });
        let part = Product { rows: largest.rows.min(ROWS), cols: largest.cols.min(COLS), ..largest };
        let prompt = Trial::gate_up(PROMPT_OF_TILES, part.layout, 80, 256);
        // of one key head, since the host is slow
        let shared = heads.checked_div(kv_heads).unwrap_or(1).max(1);
        let attention = |tokens| Trial::attention_of((shared, 1, head_dim), tokens, 200, KvFormat::F16);
        let shape = |tokens, position| Shape::Attention { shape: (heads, kv_heads, head_dim), tokens, position };
        Self {
            wide: wide.map(of_wide),
            narrow: narrow.map(of_narrow),
            prompt: Heat::new(prompt, Shape::GateUp(whole(part), LARGEST_CHUNK)),
            prompt_f16: None,
            attend_one: Heat::new(attention(1), shape(1, BEFORE)),
            attend_many: Heat::new(attention(PROMPT), shape(QUERIES, BEFORE)),
        }
    }

    /// For a software adapter, where the trials themselves are timed.
    pub fn of_trials() -> Self {
        let Self { wide, narrow, prompt, attend_one, attend_many, .. } = Self::of(&Shapes::default());
        let f16 = Trial::gate_up(PROMPT_OF_TILES, Layout::F16, 32, 320);
        let of = |heat: Heat, trial| Heat::new(trial, heat.shape);
        Self {
            wide: wide.map(|heat| of(heat, Trial::gate_up(1, Layout::Q4, 1024, 576))),
            narrow: narrow.map(|heat| of(heat, Trial::down(1, Layout::Q4, 576, 1536))),
            prompt_f16: Some(Heat::new(f16, prompt.shape)),
            prompt: of(prompt, Trial::gate_up(PROMPT_OF_TILES, Layout::Q4, 80, 320)),
            attend_one: of(attend_one, Trial::attention(1, 200, KvFormat::F16)),
            attend_many: of(attend_many, Trial::attention(PROMPT, 200, KvFormat::F16)),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Heat> {
        let Self { wide, narrow, prompt, prompt_f16, attend_one, attend_many } = self;
        let optional = [wide, narrow, prompt_f16].into_iter().flatten();
        optional.chain([prompt, attend_one, attend_many])
    }
}
