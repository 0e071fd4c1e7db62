//! `embed`: looks up rows of an embedding table by token id, position or segment.

use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::record::{Matrix, Row, Step, Tensor};
use crate::{Result, ops::Binding};

/// What selects a token's row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The token's id.
    Id,
    /// The token's position (learned position embeddings); the row is added to y.
    Position,
    /// The token's segment, 0 or 1 (Devlin et al. 2019, arXiv 1810.04805); the row is added to y.
    Segment,
}

/// y[t] = scale · table[index[t] - first_row], for the indices in this part of the table.
///
/// A table that exceeds the adapter's largest binding is split by rows; each part writes the tokens
/// whose rows it holds.
#[derive(Clone, Copy, Debug)]
pub struct Embed {
    /// (rows of this part, hidden)
    pub table: Matrix,
    /// Index of the part's first row in the whole table.
    pub first_row: usize,
    /// What selects the row.
    pub index: Index,
    /// Factor of the values; 1 for most models.
    pub scale: f32,
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
        let mut defines = vec![self.table.define()];
        let mut bindings = vec![Binding::Rows, self.y.into()];
        match self.index {
            Index::Id => {}
            Index::Position => defines.push("POSITION"),
            Index::Segment => defines.push("SEGMENT"),
        }
        bindings.extend(self.table.bindings());
        let sizes = [self.y.rows, self.table.cols, self.first_row, self.table.rows];
        vec![Kernel {
            shader: "embed",
            defines,
            constants: vec![("ROW_TILE", variants.row_tile(self.table.rows) as u32)],
            bindings,
            params: sizes.map(|size| size as u32).into_iter().chain([self.scale.to_bits()]).collect(),
            // one invocation per four values
            workgroups: [ceil_div(self.y.cols / 4, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    /// A row without an id counts where the first row of the table is.
    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let rows = &step.rows[..step.count(self.y.rows)];
        let is_here =
            |row: &&Row| (self.first_row..self.first_row + self.table.rows).contains(&self.index_of(row, step));
        let here = rows.iter().filter(is_here).count();
        // what it adds to is loaded everywhere
        let (added, row) = if self.index == Index::Id { (0, here) } else { (self.y.cols, rows.len()) };
        let values = Loads::once(added, ceil_div(self.y.cols / 4, WORKGROUP) as usize) * row;
        vec![Loads { weights: (here * self.table.layout.row_bytes(self.table.cols)) as u64, ..values }]
    }
}

impl Embed {
    /// The row of the whole table that a token takes.
    fn index_of(&self, row: &Row, step: &Step) -> usize {
        match self.index {
            // a host engine does not sample, so every row has its id
            Index::Id => row.id.unwrap_or(0) as usize,
            Index::Position => row.position,
            Index::Segment => usize::from(row.position >= step.second as usize),
        }
    }

    /// `y`: (rows, table.cols). `read(row, out)` writes a row of this part of the table to `out` as
    /// f32.
    pub fn reference(&self, step: &Step, y: &mut [f32], read: impl Fn(usize, &mut [f32])) {
        let mut values = vec![0.0; self.y.cols];
        for (row, y) in step.rows.iter().zip(y.chunks_exact_mut(self.y.cols)) {
            let row = self.index_of(row, step);
            if !(self.first_row..self.first_row + self.table.rows).contains(&row) {
                continue;
            }
            read(row - self.first_row, &mut values);
            for (y, value) in y.iter_mut().zip(&values) {
                let before = if self.index == Index::Id { 0.0 } else { *y };
                *y = before + self.scale * value;
            }
        }
    }
}
