//! `embed`: token ids → rows of the embedding table.

use super::{Kernel, Op, Variants, ceil_div, ensure};
use crate::record::{Matrix, Tensor};
use crate::{Result, ops::Binding};

/// y[t] = table[id[t] - first_row], for the ids that lie in this part of the table.
///
/// A table that exceeds the adapter's largest binding is split by rows; each part writes the tokens that are its own.
#[derive(Clone, Debug)]
pub struct Embed {
    /// (rows of this part, hidden)
    pub table: Matrix,
    /// The id of the part's first row.
    pub first_row: usize,
    /// (tokens, hidden)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Op for Embed {
    fn check(&self) -> Result<()> {
        ensure(self.table.cols == self.y.cols, "embed", "table.cols = y.cols", (self.table.cols, self.y.cols))?;
        ensure(self.table.cols.is_multiple_of(self.table.row_unit()), "embed", "columns in whole groups", self.table)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let mut bindings = vec![Binding::Ids, self.y.into()];
        bindings.extend(self.table.bindings());
        vec![Kernel {
            shader: "embed",
            defines: vec![self.table.define()],
            constants: self.table.constants(variants.row_tile(self.table.rows)),
            bindings,
            params: vec![self.y.rows as u32, self.first_row as u32, self.table.rows as u32],
            // one invocation for four values
            workgroups: [ceil_div(self.y.cols / 4, WORKGROUP), self.y.rows as u32, 1],
        }]
    }
}

impl Embed {
    /// `ids`: (tokens); `y`: (tokens, table.cols). `read(row, out)` gives a row of this part of the table as f32.
    pub fn reference(&self, ids: &[u32], y: &mut [f32], read: impl Fn(usize, &mut [f32])) {
        for (&id, y) in ids.iter().zip(y.chunks_exact_mut(self.y.cols)) {
            let row = id as usize;
            if (self.first_row..self.first_row + self.table.rows).contains(&row) {
                read(row - self.first_row, y);
            }
        }
    }
}
