//! What the shaders of `linear` load, for `linear` and `expert_linear`.

use std::iter::repeat_n;

use super::{Epilogue, Linear};
use crate::format::layout::BLOCK;
use crate::ops::Loads;
use crate::ops::gather::TILE;
use crate::ops::loads::f32s;
use crate::ops::variants::{LinearVariant, Rounded};
use crate::record::Matrix;

/// A matrix times the rows of some tokens, as a variant splits it into workgroups: each takes the
/// same number of rows of the matrix, and of tokens.
pub struct Product<'a> {
    pub variant: &'a LinearVariant,
    /// The layout of the matrix, and its columns.
    pub weight: Matrix,
    /// Rows of the matrix that a token takes.
    pub rows: usize,
    /// Rows that make one output: 2 if gated.
    pub inputs: usize,
    pub tokens: usize,
    pub normed: bool,
    pub affine: bool,
}

impl Product<'_> {
    fn outputs(&self) -> usize {
        self.rows / self.inputs
    }

    /// Invocations, or groups of them, that share the outputs of a token.
    fn lanes(&self) -> usize {
        self.outputs().div_ceil(self.variant.rows / self.inputs)
    }

    /// Workgroups along the rows of the matrix, and along the tokens.
    fn grid(&self) -> [usize; 2] {
        [self.lanes().div_ceil(self.variant.lanes), self.tokens.div_ceil(self.variant.tokens)]
    }

    /// A workgroup loads its rows of the matrix, its rows of x and the norm's weights. Rows that
    /// only fill up the last workgroup are left out.
    pub fn loads(&self) -> Loads {
        let [across, along] = self.grid();
        let cols = self.weight.cols;
        let scale = usize::from(self.variant.rounded() == Some(Rounded::F16));
        let x = across * self.tokens * (self.x_words() + scale);
        let norm = if self.normed { across * along * cols } else { 0 };
        let affine = if self.affine { 2 * self.rows } else { 0 };
        Loads {
            weights: (along * self.rows * self.weight.layout.row_bytes(cols)) as u64,
            activations: f32s(x + norm + along * affine),
            lane_activations: self.lane_activations() + f32s(self.tokens * affine),
            multiply_adds: (self.tokens * self.rows * cols) as u64,
            workgroups: (across * along) as u64,
            ..Loads::default()
        }
    }

    /// Words of a token of x.
    fn x_words(&self) -> usize {
        self.variant.rounded().map_or(self.weight.cols, |to| to.words(self.weight.cols))
    }

    /// The columns that all invocations load of x and of the norm's weights, and what they pass on
    /// in workgroup memory.
    fn lane_activations(&self) -> u64 {
        let LinearVariant { shader, rows, lanes, k_threads, tokens, .. } = *self.variant;
        let ([across, along], cols, norm) = (self.grid(), self.weight.cols, usize::from(self.normed));
        // workgroup memory of shared/parts.wgsl: the sums of pairs of rows, and of squares
        let finish = |parts: usize| across * along * (lanes * rows / 2) * parts * (2 + norm);
        f32s(match shader {
            // each row anew
            "linear" => along * self.lanes() * rows * cols * (1 + norm),
            "linear_split" => along * self.lanes() * cols * (1 + norm) + finish(k_threads),
            // with subgroups that are not smaller than the invocations of a row
            "linear_subgroup" => along * self.lanes() * cols * (1 + norm) + finish(1),
            "linear_rows_tile" => along * self.lanes() * cols * (tokens + norm),
            "linear_block" => {
                let fetched = self.fetched_tokens() * (self.x_words() + norm * cols);
                // each column of a token, then two parts of its squares, or its scale
                let (columns, scale) = if self.variant.rounded().is_some() { (cols / 2, 1) } else { (cols, 2 * norm) };
                across * (fetched + self.tile_tokens() * lanes * (columns + scale))
            }
            "linear_block_int8" => {
                let fetched = self.fetched_tokens() * self.x_words();
                // bytes, and a scale with sums
                let tile = self.tile_tokens() * lanes * cols / BLOCK * (BLOCK / 4 + 4);
                across * (fetched + tile)
            }
            // linear_rows
            _ => along * self.lanes() * cols * (1 + norm),
        })
    }

    /// Tokens in whole groups: the tokens of a tile are in as many as an invocation has tokens.
    fn fetched_tokens(&self) -> usize {
        self.tokens.next_multiple_of(self.variant.k_threads)
    }

    /// Tokens of the groups that are computed: of the last tile 1, 2, 4 or 8.
    fn tile_tokens(&self) -> usize {
        let LinearVariant { tokens, k_threads, .. } = *self.variant;
        let groups = (self.tokens % tokens).div_ceil(k_threads);
        let last = if groups == 0 { 0 } else { groups.next_power_of_two() * k_threads };
        self.tokens / tokens * tokens + last
    }
}

impl Linear {
    /// Of the product with its epilogue.
    pub(in crate::ops) fn product_loads(&self, variant: &'static LinearVariant, tokens: usize) -> Loads {
        let (weight, inputs) = (self.weight, self.epilogue.inputs());
        let (normed, affine) = (self.norm.is_some() && variant.rounded().is_none(), self.affine.is_some());
        let product = Product { variant, weight, rows: weight.rows, inputs, tokens, normed, affine };
        let epilogue = match &self.epilogue {
            Epilogue::Accumulate { .. } => Loads::once(tokens * self.outputs(), 0),
            Epilogue::Store | Epilogue::Activate(_) | Epilogue::Cap { .. } => Loads::default(),
        };
        product.loads() + epilogue
    }
}

/// What an expert's product loads besides: each invocation the number of the expert.
pub fn routed(product: &Product<'_>) -> Loads {
    let LinearVariant { shader, lanes, k_threads, .. } = *product.variant;
    let [across, along] = product.grid();
    let invocations = match shader {
        "linear_split" | "linear_subgroup" => across * lanes * k_threads,
        _ => product.lanes(),
    };
    let (activations, lane_activations) = (f32s(across * along), f32s(along * invocations));
    Loads { activations, lane_activations, ..Loads::default() }
}

/// The experts of a matrix times the slots that go to them, as `linear_gathered` and its like
/// take them.
pub struct GatheredProduct {
    pub variant: &'static LinearVariant,
    pub weight: Matrix,
    /// Of an expert.
    pub rows: usize,
    /// Of the grid: room for those of all experts.
    pub tiles: usize,
    pub normed: bool,
    pub affine: bool,
}

impl GatheredProduct {
    /// `slots`: those of each expert of the matrix.
    pub fn loads(&self, slots: impl Iterator<Item = usize>) -> Loads {
        let tiles = slots.flat_map(|slots| {
            let rest = slots % TILE;
            repeat_n(TILE, slots / TILE).chain((rest > 0).then_some(rest))
        });
        // every workgroup looks at its tile
        let across = self.rows.div_ceil(self.variant.rows * self.variant.lanes);
        let looks = f32s(3 * across * self.tiles);
        let lane_activations = looks * self.variant.workgroup() as u64;
        tiles.map(|slots| self.of_tile(across, slots)).sum::<Loads>()
            + Loads { activations: looks, lane_activations, ..Loads::default() }
    }

    fn of_tile(&self, across: usize, slots: usize) -> Loads {
        let LinearVariant { lanes, k_threads, .. } = *self.variant;
        let (cols, rows, norm) = (self.weight.cols, self.rows, usize::from(self.normed));
        let affine = if self.affine { 2 * rows } else { 0 };
        // slots that invocations multiply with
        let padded = slots.next_multiple_of(k_threads);
        let fetched = padded * (cols * (1 + norm) + 2);
        // each block of a slot, in f32 or in bytes with two scales and two sums
        let block = if self.variant.shader == "linear_gathered" { BLOCK } else { BLOCK / 4 + 4 };
        let multiplied = lanes * padded * cols / BLOCK * block;
        let finished = lanes * slots * (1 + 2 * norm);
        Loads {
            weights: (rows * self.weight.layout.row_bytes(cols)) as u64,
            activations: f32s(across * (slots * (cols + 1) + norm * cols) + affine),
            lane_activations: f32s(across * (fetched + multiplied + finished) + slots * affine),
            multiply_adds: (slots * rows * cols) as u64,
            workgroups: across as u64,
            ..Loads::default()
        }
    }
}
