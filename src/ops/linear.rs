//! `linear`: activations times a weight matrix, with prologue and epilogue; nine tenths of a
//! model's work.

pub(super) mod loads;
mod rounding;

use rounding::Rounding;

use super::{Activation, Kernel, Loads, MatrixView, Op, RmsNorm, RowGrid, Variants, ceil_div, dot, ensure};
use crate::Result;
use crate::record::{Matrix, Step, Tensor};

/// What is done with a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// y = result
    Store,
    /// y += scale · result: the residual connection
    Accumulate {
        /// 1 in most models.
        scale: f32,
    },
    /// y = activation(result); if gated, the result holds gate and up projection of a feed-forward
    /// layer
    Activate(Activation),
    /// y = cap · tanh(scale · result / cap): a soft cap, as on logits
    Cap {
        /// Factor of the result.
        scale: f32,
        /// The soft cap; `None` only scales.
        cap: Option<f32>,
    },
}

/// y[t][y_offset + n] = epilogue(affine[0][n] · Σ_k weight[n][k] norm(x)[t][k] + affine[1][n])
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// (tokens, weight.cols)
    pub x: Tensor,
    /// Applied to x first.
    pub norm: Option<RmsNorm>,
    /// (outputs, inputs)
    pub weight: Matrix,
    /// Scales of the rows' products, then biases: (2, weight.rows), or (2, y.cols) of all that
    /// write to y, where these rows are those from `y_offset` on.
    pub affine: Option<Tensor>,
    /// What is done with the result.
    pub epilogue: Epilogue,
    /// First column of y to write: the parts of a split or mixed matrix write side by side.
    pub y_offset: usize,
    /// (tokens, at least y_offset + outputs)
    pub y: Tensor,
}

/// Sizes of a product, as the shaders of `linear` take them.
pub(super) struct ProductSizes {
    /// Rows of y.
    pub capacity: usize,
    /// Columns of the weight.
    pub cols: usize,
    /// Columns of y that are written, or that each expert writes.
    pub outputs: usize,
    pub y_cols: usize,
    pub y_offset: usize,
    pub affine_cols: usize,
    /// Column of `affine` that belongs to the weight's first row.
    pub affine_first: usize,
}

impl ProductSizes {
    /// The first words of the shaders' `Params`.
    pub fn params(&self, norm: Option<RmsNorm>, accumulates: bool, scale: f32, cap: f32) -> Vec<u32> {
        let &Self { capacity, cols, outputs, y_cols, y_offset, affine_cols, affine_first } = self;
        let sizes = [capacity, cols, outputs, y_cols, y_offset, affine_cols, affine_first].map(|size| size as u32);
        let eps = norm.map_or(0.0, |norm| norm.eps);
        let words = [eps.to_bits(), accumulates.into(), scale.to_bits(), cap.to_bits()];
        sizes.into_iter().chain(words).collect()
    }
}

/// What shaders of `linear` take besides where a weight may be one of experts.
pub(super) struct ExpertSizes {
    /// 0: it is not.
    pub experts: usize,
    pub first_expert: usize,
    pub chosen: usize,
    pub route_cols: usize,
    /// Of all experts, where slots are gathered.
    pub tiles: usize,
    /// Rows of x of a token.
    pub slot_inputs: usize,
    /// Where slots are gathered.
    pub normalises: bool,
}

impl ExpertSizes {
    /// Of a weight that is not one of experts.
    const NONE: Self =
        Self { experts: 0, first_expert: 0, chosen: 1, route_cols: 0, tiles: 0, slot_inputs: 1, normalises: false };

    /// The words that follow those of [`ProductSizes`].
    pub fn params(&self) -> [u32; 7] {
        let &Self { experts, first_expert, chosen, route_cols, tiles, slot_inputs, normalises } = self;
        [experts, first_expert, chosen, route_cols, tiles, slot_inputs, normalises.into()].map(|size| size as u32)
    }
}

/// Scales and biases of a weight's rows, in host memory, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine<'a> {
    /// (2, at least first + weight.rows)
    pub values: Option<&'a [f32]>,
    /// Column of the first row's.
    pub first: usize,
}

impl Affine<'_> {
    /// scale · product + bias
    #[inline]
    pub fn apply(&self, row: usize, product: f32) -> f32 {
        let row = self.first + row;
        match self.values {
            Some(values) => values[row] * product + values[values.len() / 2 + row],
            None => product,
        }
    }
}

impl Epilogue {
    /// y += result
    pub const ACCUMULATE: Self = Self::Accumulate { scale: 1.0 };

    /// Results per value of y.
    pub fn inputs(&self) -> usize {
        if let Self::Activate(activation) = self { activation.inputs() } else { 1 }
    }

    /// The new value of y, from its old value, the `result`, and `up`, the up projection of a gated
    /// activation.
    #[inline]
    pub fn apply(&self, y: f32, result: f32, up: f32) -> f32 {
        match *self {
            Self::Store => result,
            Self::Accumulate { scale } => y + scale * result,
            Self::Activate(Activation { function, gated }) => {
                function.at(result) * if gated { function.up(up) } else { 1.0 }
            }
            Self::Cap { scale, cap: None } => scale * result,
            Self::Cap { scale, cap: Some(cap) } => cap * (scale * result / cap).tanh(),
        }
    }
}

impl Linear {
    /// Number of columns of y that are written.
    pub fn outputs(&self) -> usize {
        self.weight.rows / self.epilogue.inputs()
    }

    /// Column of `affine` that belongs to the first row.
    pub fn affine_first(&self) -> usize {
        let of_all = self.affine.is_some_and(|affine| affine.cols != self.weight.rows);
        if of_all { self.y_offset } else { 0 }
    }

    /// The dispatch; with a tail also for its rows, see [`LinearPair`](super::LinearPair).
    pub(super) fn kernel(&self, variants: &Variants, tail: Option<&Self>) -> Kernel {
        let variant = variants.linear(&self.weight, self.y.rows);
        let (mut bindings, mut defines) = (Vec::new(), vec![self.weight.define()]);
        let rounding = variant.rounded().map(|to| Rounding { op: self, to });
        match &rounding {
            Some(rounding) => {
                defines.push("ROUNDED");
                bindings.push(rounding.result());
            }
            None => bindings.push(self.x.into()),
        }
        bindings.push(self.y.into());
        if let Some(affine) = self.affine {
            defines.push("AFFINE");
            bindings.push(affine.into());
        }
        if let Some(norm) = self.norm.filter(|_| rounding.is_none()) {
            defines.push("NORM");
            bindings.push(norm.weight.into());
        }
        let row_tile = variants.row_tile(self.weight.rows);
        let mut constants = variant.constants(row_tile, self.epilogue.inputs()).to_vec();
        // an emulated adapter checks an index faster against a constant: worth a pipeline a length
        if variant.software_only && variant.tokens == 1 {
            constants.extend(self.weight.lengths(row_tile));
        }
        let outputs_per_invocation = variant.rows / self.epilogue.inputs();
        let (mut accumulates, mut scale, mut bound) = (false, 1.0, 0.0);
        match &self.epilogue {
            Epilogue::Store => {}
            Epilogue::Accumulate { scale: factor } => {
                (accumulates, scale) = (true, *factor);
            }
            Epilogue::Activate(activation) => {
                defines.push("ACTIVATE");
                defines.extend(activation.gated.then_some("GATED"));
                constants.push(activation.constant());
            }
            Epilogue::Cap { scale: factor, cap } => {
                defines.push("CAP");
                (scale, bound) = (*factor, cap.unwrap_or(0.0));
            }
        }
        bindings.extend(self.weight.bindings());
        let outputs = self.outputs() + tail.map_or(0, Self::outputs);
        let sizes = ProductSizes {
            capacity: self.y.rows,
            cols: self.weight.cols,
            outputs,
            y_cols: self.y.cols,
            y_offset: self.y_offset,
            affine_cols: self.affine.map_or(0, |affine| affine.cols),
            affine_first: self.affine_first(),
        };
        let mut params = sizes.params(self.norm, accumulates, scale, bound);
        if let Some(tail) = tail {
            defines.push("TAIL");
            bindings.extend(tail.weight.bindings());
            constants.push(("TAIL_TILE", variants.row_tile(tail.weight.rows) as u32));
            params.push(self.outputs() as u32);
        }
        let across = ceil_div(outputs, outputs_per_invocation * variant.lanes);
        let along = ceil_div(self.y.rows, variant.tokens);
        let dimension = if variant.tokens_first() { 0 } else { 1 };
        Kernel {
            shader: variant.shader,
            defines,
            constants,
            bindings,
            params,
            workgroups: if variant.tokens_first() { [along, across, 1] } else { [across, along, 1] },
            rows: RowGrid { dimension, each: variant.tokens },
            pieces: None,
        }
    }
}

impl Op for Linear {
    fn check(&self) -> Result<()> {
        let (weight, y) = (&self.weight, &self.y);
        ensure(weight.cols.is_multiple_of(weight.row_unit()), "linear", "columns in whole groups", weight)?;
        ensure(self.x.cols == weight.cols, "linear", "x.cols = weight.cols", (self.x.cols, weight.cols))?;
        ensure(self.x.rows >= y.rows, "linear", "x.rows ≥ y.rows", (self.x.rows, y.rows))?;
        ensure(self.y_offset + self.outputs() <= y.cols, "linear", "outputs within y.cols", self)?;
        ensure(self.norm.is_none_or(|n| n.weight.cols == weight.cols), "linear", "norm.cols = weight.cols", self.norm)?;
        let affine_fits =
            self.affine.is_none_or(|affine| affine.rows == 2 && [weight.rows, y.cols].contains(&affine.cols));
        ensure(affine_fits, "linear", "two values of affine for each row of the weight", self.affine)?;
        match &self.epilogue {
            Epilogue::Store | Epilogue::Accumulate { .. } => Ok(()),
            Epilogue::Activate(activation) => {
                let even = weight.rows.is_multiple_of(activation.inputs());
                ensure(even, "linear", "an even number of rows", weight)
            }
            Epilogue::Cap { cap, .. } => {
                ensure(cap.is_none_or(|cap| cap > 0.0), "linear", "a bound above 0", self.epilogue)
            }
        }
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let variant = variants.linear(&self.weight, self.y.rows);
        let rounding = variant.rounded().map(|to| Rounding { op: self, to }.kernel());
        let mut kernel = self.kernel(variants, None);
        // a pipeline for products of one token with the weights of experts and with others
        if variant.tokens == 1 && matches!(self.epilogue, Epilogue::Store | Epilogue::Accumulate { .. }) {
            kernel.defines.insert(1, "EXPERTS");
            // there is no route to read
            kernel.bindings.insert(2, self.x.into());
            kernel.params.extend(ExpertSizes::NONE.params());
        }
        rounding.into_iter().chain([kernel]).collect()
    }

    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        let variant = variants.linear(&self.weight, self.y.rows);
        let tokens = step.count(self.y.rows);
        let rounding = variant.rounded().map(|to| Rounding { op: self, to }.loads(tokens));
        rounding.into_iter().chain([self.product_loads(variant, tokens)]).collect()
    }
}

impl Linear {
    /// `x`: (tokens, weight.cols); `y`: (tokens, y.cols); `norm`: (weight.cols).
    pub fn reference(&self, x: &[f32], norm: Option<&[f32]>, weight: MatrixView, affine: Affine, y: &mut [f32]) {
        let n = self.outputs();
        let tokens = y.len() / self.y.cols;
        let mut x = x[..tokens * weight.cols].to_vec();
        if let (Some(op), Some(norm)) = (self.norm, norm) {
            op.reference(&x.clone(), norm, &mut x);
        }
        let mut row = vec![0.0; weight.cols];
        let product = |n: usize, t: usize, row: &mut [f32]| {
            if t == 0 {
                weight.dequantize(n, row);
            }
            let x = &x[t * weight.cols..][..weight.cols];
            affine.apply(n, dot(row, x))
        };
        let mut up = vec![0.0; weight.cols];
        let gated = self.epilogue.inputs() == 2;
        for i in 0..n {
            for t in 0..tokens {
                let result = product(i, t, &mut row);
                let up = if gated { product(n + i, t, &mut up) } else { 1.0 };
                let y = &mut y[t * self.y.cols + self.y_offset + i];
                *y = self.epilogue.apply(*y, result, up);
            }
        }
    }
}
