//! What the candidates race on.

use super::rows::Shape;
use crate::engine::LARGEST_CHUNK;
use crate::engine::shapes::{Product, Shapes};
use crate::engine::trial::Trial;
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

/// Tokens before a part of a prompt whose attention is timed.
const BEFORE: usize = 512;

/// What a race is about.
pub struct Heat {
    /// Where each candidate must be right. The host computes its results too, so it is small.
    pub trial: Trial,
    /// What is timed in [`Timing::Rows`](super::Timing::Rows).
    pub shape: Shape,
}

impl Heat {
    /// Whether its weights are quantised, which kernels are for that round activations.
    pub fn rounds(&self) -> bool {
        matches!(self.shape, Shape::Normed { product, .. } if product.layout.quantised().is_some())
    }
}

/// All heats.
pub struct Heats {
    /// `None` if the model has no such matrix: then the other one's winner is good enough.
    pub wide: Option<Heat>,
    pub narrow: Option<Heat>,
    pub prompt: Heat,
    pub attend_many: Heat,
}

impl Heats {
    /// For a model. Its layouts and heads are those of the shapes, so that what is timed are its
    /// own pipelines.
    pub fn of(shapes: &Shapes) -> Self {
        let Shapes { wide, narrow, gated, heads, kv_heads, head_dim } = *shapes;
        let whole = |Product { layout, rows, cols }: Product| Product {
            layout,
            // whole blocks and tiles, whatever the layout, and no narrow matrix becomes a wide one
            rows: (rows / 64).max(1) * 64,
            cols: cols.next_multiple_of(256),
        };
        let largest = wide.or(narrow).unwrap_or(Product { layout: Layout::Q4, rows: ROWS, cols: COLS });
        let part = Product { rows: largest.rows.min(ROWS), cols: largest.cols.min(COLS), ..largest };
        Self {
            wide: wide.map(|product| Heat {
                trial: Trial::normed(1, product.layout, (2048, 512), gated),
                shape: Shape::Normed { product: whole(product), tokens: 1, gated },
            }),
            narrow: narrow.map(|product| Heat {
                trial: Trial::down(1, product.layout, 576, 1024),
                shape: Shape::Down(whole(product)),
            }),
            prompt: Heat {
                trial: Trial::normed(PROMPT_OF_TILES, part.layout, (160, 256), gated),
                shape: Shape::Normed { product: whole(part), tokens: LARGEST_CHUNK, gated },
            },
            attend_many: Heat {
                trial: Trial::attention(PROMPT, 200, KvFormat::F16),
                shape: Shape::Attention { shape: (heads, kv_heads, head_dim), tokens: LARGEST_CHUNK, position: BEFORE },
            },
        }
    }

    /// For a software adapter, where the trials themselves are timed. The wide one has as many rows
    /// as wide matrices have: fewer are too few workgroups for many rows an invocation, and take
    /// less time than a browser's clock tells apart.
    pub fn of_trials() -> Self {
        let Self { wide, narrow, prompt, attend_many } = Self::of(&Shapes::default());
        let of = |heat: Heat, trial| Heat { trial, ..heat };
        Self {
            wide: wide.map(|heat| of(heat, Trial::gate_up(1, Layout::Q4, 4096, 576))),
            narrow: narrow.map(|heat| of(heat, Trial::down(1, Layout::Q4, 576, 1536))),
            prompt: of(prompt, Trial::gate_up(PROMPT_OF_TILES, Layout::Q4, 80, 320)),
            attend_many,
        }
    }
}
