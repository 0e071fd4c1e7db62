//! `expert_linear`: a projection by the experts of each token (Fedus et al. 2021, arXiv
//! 2101.03961).
//!
//! For few tokens, the GPU takes each slot on its own, with the shaders of
//! [`Linear`](super::Linear) for one token. For many, [`Gather`] puts the slots of an expert
//! together, and a shader for tiles reads the expert's weights once for up to 32 of them.

use super::linear::loads::{GatheredProduct, Product, routed};
use super::linear::{ExpertSizes, ProductSizes};
use super::variants::LinearVariant;
use super::{Affine, Gather, Kernel, Loads, MatrixView, Op, RmsNorm, RowGrid, Variants, ceil_div, dot, ensure};
use crate::Result;
use crate::record::{Matrix, Step, Tensor};

/// y[t][y_offset + j · rows + n] = affine[0][m] · Σ_k weight[m][k] norm(x)[t][k] + affine[1][m]
/// with m = (e - first_expert) · rows + n and e = route[t][j], for the experts in this part of the
/// weights.
#[derive(Clone, Copy, Debug)]
pub struct ExpertLinear {
    /// (tokens, weight.cols), shared by all slots j, or (tokens, chosen · weight.cols) with columns
    /// per slot
    pub x: Tensor,
    /// Applied to x first.
    pub norm: Option<RmsNorm>,
    /// (experts of this part · rows, inputs)
    pub weight: Matrix,
    /// See [`Linear::affine`](super::Linear::affine).
    pub affine: Option<Tensor>,
    /// Outputs per expert.
    pub rows: usize,
    /// Index of the first expert of this part.
    pub first_expert: usize,
    /// Experts of all parts.
    pub all_experts: usize,
    /// (tokens, at least chosen): the indices of a token's experts
    pub route: Tensor,
    /// Experts per token.
    pub chosen: usize,
    /// The result of [`Gather`] for `route`, where there are many tokens. It changes the way to the
    /// result, not the result.
    pub gathered: Option<Tensor>,
    /// First column of y to write.
    pub y_offset: usize,
    /// (tokens, at least y_offset + chosen · rows)
    pub y: Tensor,
}

impl ExpertLinear {
    /// Number of experts in this part.
    pub fn experts(&self) -> usize {
        self.weight.rows / self.rows
    }

    /// Whether each slot has its own columns of x.
    pub fn slot_inputs(&self) -> bool {
        self.x.cols != self.weight.cols
    }

    /// The row of x for slot `j` of token `t`, in rows of weight.cols.
    pub fn x_row(&self, t: usize, j: usize) -> usize {
        if self.slot_inputs() { t * self.chosen + j } else { t }
    }

    /// The shader that is chosen, and what `gather` found if it takes that.
    pub fn variant(&self, variants: &Variants) -> (&'static LinearVariant, Option<Tensor>) {
        match variants.gathered(&self.weight) {
            Some(tiled) if self.gathered.is_some() => (tiled, self.gathered),
            _ => (variants.linear(&self.weight, 1), None),
        }
    }

    /// The (token, slot) pairs of expert `e` of this part.
    pub fn slots_of(&self, e: usize, route: &[f32]) -> impl Iterator<Item = (usize, usize)> {
        let number = (self.first_expert + e) as f32;
        let slots = route.chunks_exact(self.route.cols).enumerate();
        slots.flat_map(move |(t, route)| (0..self.chosen).filter(move |&j| route[j] == number).map(move |j| (t, j)))
    }
}

impl Op for ExpertLinear {
    fn check(&self) -> Result<()> {
        let (weight, chosen) = (&self.weight, self.chosen);
        ensure(weight.cols.is_multiple_of(weight.row_unit()), "expert_linear", "columns in whole groups", weight)?;
        ensure(self.rows > 0 && weight.rows.is_multiple_of(self.rows), "expert_linear", "whole experts", self)?;
        let affine_fits = self.affine.is_none_or(|affine| (affine.rows, affine.cols) == (2, weight.rows));
        ensure(affine_fits, "expert_linear", "two values of affine for each row of the weight", self.affine)?;
        let inputs = [weight.cols, chosen * weight.cols].contains(&self.x.cols);
        ensure(inputs, "expert_linear", "x.cols = weight.cols, or chosen times that", self)?;
        let norm_fits = self.norm.is_none_or(|norm| norm.weight.cols == weight.cols && !self.slot_inputs());
        ensure(norm_fits, "expert_linear", "norm.cols = x.cols", self)?;
        ensure(self.route.cols >= chosen, "expert_linear", "an expert a slot", self)?;
        let within = self.first_expert + self.experts() <= self.all_experts;
        ensure(within, "expert_linear", "a part of all experts", self)?;
        let len = Gather::len(self.y.rows, chosen, self.all_experts);
        let gathered_fits = self.gathered.is_none_or(|gathered| gathered.rows == 1 && gathered.cols >= len);
        ensure(gathered_fits, "expert_linear", "the tiles and slots of gather", self.gathered)?;
        ensure(self.y_offset + chosen * self.rows <= self.y.cols, "expert_linear", "outputs within y.cols", self)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let tiles = Gather::tiles(self.y.rows, self.chosen, self.all_experts);
        let (variant, gathered) = self.variant(variants);
        // where the slots of a workgroup are written, and the grid along them: how many tiles a
        // step has depends on its experts
        let (slots, along, deep) = match gathered {
            Some(gathered) => (gathered, tiles, 1),
            None => (self.route, self.y.rows, self.chosen),
        };
        let mut defines = vec![self.weight.define(), "EXPERTS"];
        defines.extend(gathered.map(|_| "GATHERED"));
        let mut bindings = vec![self.x.into(), self.y.into(), slots.into()];
        if let Some(affine) = self.affine {
            defines.push("AFFINE");
            bindings.push(affine.into());
        }
        if self.norm.is_some() || gathered.is_some() {
            defines.push("NORM");
            // without a norm, its weights are not read
            bindings.push(self.norm.map_or(self.x, |norm| norm.weight).into());
        }
        bindings.extend(self.weight.bindings());
        let sizes = ProductSizes {
            capacity: self.y.rows,
            cols: self.weight.cols,
            outputs: self.rows,
            y_cols: self.y.cols,
            y_offset: self.y_offset,
            affine_cols: self.weight.rows,
            affine_first: 0,
        };
        let of_experts = ExpertSizes {
            experts: self.experts(),
            first_expert: self.first_expert,
            chosen: self.chosen,
            route_cols: self.route.cols,
            tiles,
            slot_inputs: if self.slot_inputs() { self.chosen } else { 1 },
            normalises: self.norm.is_some(),
        };
        // nothing is added to, neither scale nor cap
        let mut params = sizes.params(self.norm, false, 1.0, 0.0);
        params.extend(of_experts.params());
        vec![Kernel {
            shader: variant.shader,
            defines,
            constants: variant.constants(variants.row_tile(self.weight.rows), 1).into(),
            bindings,
            params,
            workgroups: [ceil_div(self.rows, variant.rows * variant.lanes), along as u32, deep as u32],
            rows: RowGrid::along(if gathered.is_some() { 2 } else { 1 }),
            pieces: None,
        }]
    }

    /// As if experts were chosen in turn, and so equally often.
    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        let (weight, tokens) = (self.weight, step.count(self.y.rows));
        let (normed, affine) = (self.norm.is_some(), self.affine.is_some());
        let (variant, gathered) = self.variant(variants);
        if gathered.is_some() {
            let tiles = Gather::tiles(self.y.rows, self.chosen, self.all_experts);
            let product = GatheredProduct { variant, weight, rows: self.rows, tiles, normed, affine };
            let slots = tokens * self.chosen;
            let of = |e: usize| slots / self.all_experts + usize::from(e < slots % self.all_experts);
            return vec![product.loads((self.first_expert..).take(self.experts()).map(of))];
        }
        // a product for each token and slot
        let product = Product { variant, weight, rows: self.rows, inputs: 1, tokens, normed, affine };
        let share = (self.experts() as u64, self.all_experts as u64);
        vec![(product.loads() * self.chosen).share(share) + routed(&product) * self.chosen]
    }
}

impl ExpertLinear {
    /// `x`: (tokens, x.cols); `norm`: (weight.cols); `route`: (tokens, route.cols); `y`: (tokens,
    /// y.cols).
    pub fn reference(
        &self,
        x: &[f32],
        norm: Option<&[f32]>,
        route: &[f32],
        weight: MatrixView,
        affine: Affine,
        y: &mut [f32],
    ) {
        let cols = weight.cols;
        let mut x = x.to_vec();
        if let (Some(op), Some(norm)) = (self.norm, norm) {
            op.reference(&x.clone(), norm, &mut x);
        }
        let mut row = vec![0.0; cols];
        for e in 0..self.experts() {
            for (t, j) in self.slots_of(e, route) {
                let x = &x[self.x_row(t, j) * cols..][..cols];
                for n in 0..self.rows {
                    weight.dequantize(e * self.rows + n, &mut row);
                    y[t * self.y.cols + self.y_offset + j * self.rows + n] =
                        affine.apply(e * self.rows + n, dot(&row, x));
                }
            }
        }
    }
}
