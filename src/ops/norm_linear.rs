//! `norm_linear`: a block's output is normalised and added to the residual stream (Gemma 2 and 3),
//! of which the next projection takes the norm. For one token that is one dispatch: each workgroup
//! of the projection computes all of its input once, in its memory.

use super::linear::loads::Product;
use super::loads::f32s;
use super::variants::LinearVariant;
use super::{
    Binding, Command, Epilogue, Kernel, Linear, LinearPair, Loads, Norm, NormKind, Op, Variants, ceil_div, ensure,
};
use crate::Result;
use crate::record::Step;

/// A norm that is added to the residual stream, then a projection of the norm of the sum.
#[derive(Clone, Copy, Debug)]
pub struct NormLinear {
    /// y = add + norm(x). All three are different, since workgroups read `add` after the first one
    /// has written y.
    pub norm: Norm,
    /// Of y.
    pub linear: Linear,
    /// The rows that follow in another layout, see [`LinearPair`].
    pub tail: Option<Linear>,
}

/// Invocations of a workgroup: as many as there may be, so that few compute the input. The square
/// of [`TEAM`].
const WORKGROUP: usize = 256;

/// Invocations that add up the sums of as many others, see shaders/shared/residual.wgsl.
const TEAM: usize = 16;

/// Bytes of workgroup memory that every adapter has.
const MEMORY: usize = 16 << 10;

impl Op for NormLinear {
    fn check(&self) -> Result<()> {
        self.steps().iter().try_for_each(Op::check)?;
        ensure(Self::takes(&self.norm, &self.linear), "norm_linear", "a norm and a projection that it joins", self)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let (Some(variant), Some(add)) = (self.fused(variants), self.norm.add) else {
            return self.steps().iter().flat_map(|step| step.kernels(variants)).collect();
        };
        let mut kernel = self.linear.kernel(variants, self.tail.as_ref());
        for define in &mut kernel.defines {
            if *define == "NORM" {
                *define = "RESIDUAL";
            }
        }
        for (name, value) in &mut kernel.constants {
            match *name {
                "LANES" => *value = variant.lanes as u32,
                "WORKGROUP" => *value = WORKGROUP as u32,
                _ => {}
            }
        }
        kernel.constants.push(("QUADS", (self.linear.weight.cols / 4) as u32));
        // x, y and the norm's weights come first
        kernel.bindings[0] = add.into();
        let behind = [self.norm.weight, self.norm.x, self.norm.y].map(Binding::from);
        kernel.bindings.splice(3..3, behind);
        let each = variant.rows / self.linear.epilogue.inputs() * variant.lanes;
        let outputs = self.linear.outputs() + self.tail.map_or(0, |tail| tail.outputs());
        kernel.workgroups[0] = ceil_div(outputs, each);
        vec![kernel]
    }

    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        let Some(variant) = self.fused(variants) else {
            return self.steps().iter().flat_map(|part| part.loads(variants, step)).collect();
        };
        let (weight, tokens) = (self.linear.weight, step.count(1));
        let product = |&Linear { weight, epilogue, .. }: &Linear| {
            let (rows, inputs) = (weight.rows, epilogue.inputs());
            Product { variant: &variant, weight, rows, inputs, tokens, normed: false, affine: false }.loads()
        };
        let loads = self.tail.iter().map(product).fold(product(&self.linear), |sum, tail| sum + tail);
        // the product takes its input from workgroup memory; of the four vectors one is counted
        let (workgroups, vectors, sums) = (loads.workgroups as usize, 4 * weight.cols, 2 * TEAM * (TEAM + WORKGROUP));
        let (activations, lane_activations) =
            (f32s(workgroups * (vectors - weight.cols)), f32s(workgroups * (vectors + sums)));
        vec![loads + Loads { activations, lane_activations, ..Loads::default() }]
    }
}

impl NormLinear {
    /// Whether it joins these two.
    pub fn takes(norm: &Norm, linear: &Linear) -> bool {
        let plain = norm.kind == NormKind::Rms && norm.groups == 1 && norm.first_col == 0 && norm.bias.is_none();
        let plain = plain && norm.scale.is_none();
        let whole = norm.x.cols == norm.y.cols && linear.x == norm.y && linear.affine.is_none();
        let stores = matches!(linear.epilogue, Epilogue::Store | Epilogue::Activate(_) | Epilogue::Cap { .. });
        let buffers = [Some(norm.x), norm.add, Some(norm.y), Some(linear.y)].map(|t| t.map(|t| t.buffer));
        let apart = (1..4).all(|i| buffers[i].is_some() && !buffers[..i].contains(&buffers[i]));
        plain && whole && stores && apart && linear.norm.is_some_and(|next| next.eps == norm.eps)
    }

    /// The operations that are done one after the other.
    pub fn parts(&self) -> Vec<Command> {
        self.steps().iter().flat_map(Command::parts).collect()
    }

    /// The two that it joins.
    fn steps(&self) -> [Command; 2] {
        let (norm, head) = (self.norm.into(), self.linear);
        [norm, self.tail.map_or(head.into(), |tail| LinearPair { head, tail }.into())]
    }

    /// The variant that does both in one dispatch: for one token, where several invocations share
    /// rows, with larger workgroups, if their memory holds the input beside the sums of all.
    fn fused(&self, variants: &Variants) -> Option<LinearVariant> {
        let Linear { weight, y, .. } = &self.linear;
        let variant = variants.linear(weight, y.rows);
        let input = weight.cols.max(4 * WORKGROUP) * size_of::<f32>();
        let sums = WORKGROUP * (variant.rows + 1) * size_of::<f32>();
        let fits = y.rows == 1 && ["linear_split", "linear_subgroup"].contains(&variant.shader);
        let variant = LinearVariant { lanes: WORKGROUP / variant.k_threads, ..*variant };
        let apart = self.tail.is_none() || LinearPair::splits(weight, &variant);
        (fits && apart && input + sums <= MEMORY).then_some(variant)
    }
}
