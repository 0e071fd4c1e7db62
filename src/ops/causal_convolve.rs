//! `causal_convolve`: a causal convolution over the last positions of a sequence, each column by
//! itself, before [`delta_rule`](super::delta_rule) and [`selective_scan`](super::selective_scan).
//! The token shift of RWKV is one over two positions.
//!
//! Its state, the inputs of the last positions, is in a slot that the step names, see
//! [`Step::states`](crate::record::Step::states). `convolve` keeps its own in blocks instead, as it
//! has no other.

use std::ops::Range;

use super::loads::f32s;
use super::{Binding, Function, Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{KvCache, KvFormat, NO_STATE, Step, Tensor};

/// y = silu(bias + Σ_k weight[k] ∘ x[p - width + 1 + k]); before the first position x is 0. Or,
/// with `shift`, y = x + weight ∘ (x[p - 1] - x).
#[derive(Clone, Copy, Debug)]
pub struct CausalConvolve {
    /// (rows, at least first_col + y.cols)
    pub x: Tensor,
    /// The first of its y.cols columns that are read.
    pub first_col: usize,
    /// (1, y.cols · width): of each column, the earliest position first; then the biases, if there
    /// are any
    pub weight: Tensor,
    /// Whether each column has a bias.
    pub biased: bool,
    /// See [`KvCache::of_state`]. A slot has the inputs of the last width - 1 positions, the
    /// earliest first: (width - 1, y.cols).
    pub state: KvCache,
    /// Where these are in a slot.
    pub first: usize,
    /// What makes it a token shift.
    pub shift: Option<Shift>,
    /// (rows, cols)
    pub y: Tensor,
}

/// A token shift: how much of a value is that of the position before.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// Where the y.cols weights are among those of several shifts, (1, at least
    /// `first_weight` + y.cols).
    pub first_weight: usize,
    /// Whether the input is kept: of several shifts of one input, in the last.
    pub keeps: bool,
}

/// Most positions.
pub const WIDEST: usize = 4;

const WORKGROUP: usize = 64;

impl Op for CausalConvolve {
    fn check(&self) -> Result<()> {
        let Self { x, first_col, weight, state, y, .. } = self;
        ensure(x.cols >= first_col + y.cols && x.rows == y.rows, "causal_convolve", "x of at least y.cols", self)?;
        let cols = (self.width() + usize::from(self.biased)) * y.cols;
        let fits = match self.shift {
            Some(Shift { first_weight, .. }) => first_weight + y.cols <= weight.cols && !self.biased,
            None => weight.cols == cols && (1..=WIDEST).contains(&self.width()),
        };
        ensure(fits, "causal_convolve", "weights of up to 4 positions for each column", self)?;
        let room = state.format == KvFormat::F32 && state.parts == 1 && state.block_len() >= self.first + self.kept();
        ensure(room, "causal_convolve", "room for the last inputs in a slot", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        vec![Kernel {
            shader: "causal_convolve",
            defines: if self.shift.is_some() { vec!["SHIFT"] } else { vec![] },
            constants: vec![("WIDEST", WIDEST as u32)],
            bindings: vec![
                Binding::Rows,
                Binding::Tables,
                self.x.into(),
                self.weight.into(),
                Binding::States(self.state.buffer),
                self.y.into(),
            ],
            params: [
                self.y.rows,
                self.x.cols,
                self.first_col,
                self.y.cols,
                self.width(),
                self.biased.into(),
                self.state.block_len(),
                self.first,
                self.shift.map_or(0, |shift| shift.first_weight),
                self.keeps().into(),
            ]
            .map(|v| v as u32)
            .to_vec(),
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let of_run = |(rows, [read, _]): (Range<usize>, [u32; 2])| {
            let kept = if read == NO_STATE { 0 } else { self.kept() };
            let weights = if self.shift.is_some() { self.y.cols } else { self.weight.cols };
            let values = rows.len() * self.y.cols + weights;
            let loads = Loads::once(values, ceil_div(self.y.cols, WORKGROUP) as usize);
            Loads { keys_values: f32s(kept), ..loads }
        };
        vec![step.runs(self.y.rows).map(of_run).sum()]
    }
}

impl CausalConvolve {
    fn width(&self) -> usize {
        match self.shift {
            Some(_) => 2,
            None => (self.weight.cols / self.y.cols.max(1)).saturating_sub(self.biased.into()),
        }
    }

    fn keeps(&self) -> bool {
        self.shift.is_none_or(|shift| shift.keeps)
    }

    /// Values of a slot.
    pub fn kept(&self) -> usize {
        (self.width() - 1) * self.y.cols
    }

    /// These rows of a sequence. `state`: of its slot.
    pub fn reference(&self, rows: Range<usize>, x: &[f32], weight: &[f32], state: &mut [f32], y: &mut [f32]) {
        let kept = &mut state[self.first..self.first + self.kept()];
        self.columns(rows, 0..self.y.cols, (x, weight), kept, |row, values| {
            y[row * self.y.cols..][..self.y.cols].copy_from_slice(values);
        });
    }

    /// Some columns of these rows. `kept`: the inputs of the last positions, (width - 1, columns);
    /// `write` gets the values of each row.
    pub fn columns(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        (x, weight): (&[f32], &[f32]),
        kept: &mut [f32],
        mut write: impl FnMut(usize, &[f32]),
    ) {
        if let Some(shift) = self.shift {
            return self.shifted(shift, rows, cols, (x, weight), kept, write);
        }
        let (count, width) = (cols.len(), self.width());
        let bias = self.biased.then(|| &weight[self.y.cols * width..][cols.clone()]);
        let weight = &weight[cols.start * width..cols.end * width];
        let mut y = vec![0.0; count];
        for row in rows {
            let x = &x[row * self.x.cols + self.first_col + cols.start..][..count];
            for (col, (x, y)) in x.iter().zip(&mut y).enumerate() {
                let weight = &weight[col * width..][..width];
                let before = weight.iter().enumerate().take(width - 1);
                let sum: f32 = before.map(|(k, weight)| weight * kept[k * count + col]).sum();
                *y = Function::Silu.at(sum + weight[width - 1] * x + bias.map_or(0.0, |bias| bias[col]));
            }
            if width > 1 {
                kept.copy_within(count.., 0);
                kept[(width - 2) * count..].copy_from_slice(x);
            }
            write(row, &y);
        }
    }

    /// The same of a token shift.
    fn shifted(
        &self,
        Shift { first_weight, keeps }: Shift,
        rows: Range<usize>,
        cols: Range<usize>,
        (x, weight): (&[f32], &[f32]),
        kept: &mut [f32],
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let weight = &weight[first_weight + cols.start..first_weight + cols.end];
        let (mut before, mut y) = (kept.to_vec(), vec![0.0; cols.len()]);
        for row in rows {
            let x = &x[row * self.x.cols + self.first_col + cols.start..][..cols.len()];
            for (((y, x), before), weight) in y.iter_mut().zip(x).zip(&before).zip(weight) {
                *y = x + weight * (before - x);
            }
            before.copy_from_slice(x);
            write(row, &y);
        }
        if keeps {
            kept.copy_from_slice(&before);
        }
    }
}
