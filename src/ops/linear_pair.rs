//! `linear_pair`: a weight whose last rows have another layout, as Q4_K_M files hold half of all
//! values' projections in six bits, and those of queries and keys in four. For one token both are
//! one dispatch, in which a workgroup takes rows of one layout.

use super::variants::LinearVariant;
use super::{Command, Epilogue, Kernel, Linear, Loads, Op, Variants, ensure};
use crate::Result;
use crate::format::Layout;
use crate::record::{Matrix, Step};

/// Two projections of the same activations, side by side in y.
#[derive(Clone, Copy, Debug)]
pub struct LinearPair {
    /// The first rows of the weight.
    pub head: Linear,
    /// The rows that follow.
    pub tail: Linear,
}

impl Op for LinearPair {
    fn check(&self) -> Result<()> {
        let Self { head, tail } = self;
        head.check().and_then(|()| tail.check())?;
        let same = head.x == tail.x && head.norm == tail.norm && head.y == tail.y && head.affine == tail.affine;
        ensure(same, "linear_pair", "the same activations, norm and affine", self)?;
        let stores = [head, tail].iter().all(|part| part.epilogue == Epilogue::Store);
        ensure(stores, "linear_pair", "results that are stored", self)?;
        let beside = head.y_offset == 0 && tail.y_offset == head.outputs();
        ensure(beside, "linear_pair", "outputs side by side, from the first column on", self)?;
        ensure(Self::joins(head.weight.layout, tail.weight.layout), "linear_pair", "layouts that it joins", self)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        match self.fuses(variants) {
            true => vec![self.head.kernel(variants, Some(&self.tail))],
            false => self.parts().iter().flat_map(|part| part.kernels(variants)).collect(),
        }
    }

    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        if !self.fuses(variants) {
            return self.parts().iter().flat_map(|part| part.loads(variants, step)).collect();
        }
        let Self { head, tail } = self;
        let (variant, tokens) = (variants.linear(&head.weight, 1), step.count(1));
        vec![head.product_loads(variant, tokens) + tail.product_loads(variant, tokens)]
    }
}

impl LinearPair {
    /// Whether it joins rows of these layouts, in this order.
    pub fn joins(head: Layout, tail: Layout) -> bool {
        (head, tail) == (Layout::Q4K32, Layout::Q6K16)
    }

    /// The operations that are done one after the other.
    pub fn parts(&self) -> Vec<Command> {
        vec![self.head.into(), self.tail.into()]
    }

    /// Whether one dispatch does both: for one token, by the variants for it except the plain one,
    /// where no workgroup has rows of both layouts. The variant is that of the head.
    fn fuses(&self, variants: &Variants) -> bool {
        let Linear { weight, y, .. } = &self.head;
        let variant = variants.linear(weight, y.rows);
        y.rows == 1 && variant.shader != "linear" && Self::splits(weight, variant)
    }

    /// Whether no workgroup has rows of the head and others.
    pub(super) fn splits(head: &Matrix, variant: &LinearVariant) -> bool {
        head.rows.is_multiple_of(variant.rows * variant.lanes)
    }
}
