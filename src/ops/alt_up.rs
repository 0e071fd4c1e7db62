//! `alt_up`: alternating updates (AltUp; Baykal et al. 2023, arXiv 2301.13310). A model keeps
//! several residual streams. A layer reads a prediction of the first one from all of them, and what
//! it makes of it corrects all.

use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// Number of streams.
pub const STREAMS: usize = 4;

/// With s the streams, the prediction p[i] = s[i] + Σ_j c[i][j] · s[j] with c = C · tanh(routed).
/// Before a layer: y = p[0]. Behind it, s[i] = p[i] + (1 + d[i]) · (x - p[0]) with d = D ·
/// tanh(corrected); then `y` is the streams but the first.
#[derive(Clone, Copy, Debug)]
pub struct AltUp {
    /// (tokens, hidden): the first stream.
    pub first: Tensor,
    /// (tokens, hidden): what is still to be added to the others.
    pub late: Tensor,
    /// (tokens, STREAMS): what the router says of the first stream.
    pub routed: Tensor,
    /// (1, STREAMS³ + STREAMS²): C, then D
    pub weights: Tensor,
    /// Before a layer, (tokens, 3 · hidden): the other streams.
    pub others: Option<Tensor>,
    /// Behind a layer.
    pub correction: Option<Correction>,
    /// (tokens, hidden), or (tokens, 3 · hidden)
    pub y: Tensor,
}

/// What a layer made of its prediction.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    /// (tokens, hidden)
    pub x: Tensor,
    /// (tokens, STREAMS): what the router says of it.
    pub corrected: Tensor,
}

/// The slices of a step's rows, as in [`AltUp`].
pub struct AltUpInputs<'a> {
    /// See [`AltUp::late`].
    pub late: &'a [f32],
    /// See [`AltUp::routed`].
    pub routed: &'a [f32],
    /// See [`AltUp::weights`].
    pub weights: &'a [f32],
    /// x and corrected, behind a layer.
    pub correction: Option<(&'a [f32], &'a [f32])>,
}

const WORKGROUP: usize = 64;

impl Op for AltUp {
    fn check(&self) -> Result<()> {
        let (hidden, others) = (self.first.cols, self.others.unwrap_or(self.y));
        ensure(self.others.is_some() != self.correction.is_some(), "alt_up", "either end of a layer", self)?;
        ensure(others.cols == (STREAMS - 1) * hidden, "alt_up", "streams of equal width", self)?;
        let narrow = self.correction.map_or(self.y, |correction| correction.x);
        ensure([narrow, self.late].iter().all(|t| t.cols == hidden), "alt_up", "the width of a stream", self)?;
        let routed = self.correction.map_or(self.routed, |correction| correction.corrected);
        ensure([routed, self.routed].iter().all(|t| t.cols == STREAMS), "alt_up", "a value for each stream", self)?;
        ensure(self.weights.cols == STREAMS.pow(3) + STREAMS.pow(2), "alt_up", "all coefficients", self.weights)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let mut tensors = vec![self.y, self.first, self.late, self.routed, self.weights];
        tensors.extend(self.others);
        tensors.extend(self.correction.iter().flat_map(|end| [end.x, end.corrected]));
        vec![Kernel {
            shader: "alt_up",
            defines: if self.correction.is_some() { vec!["CORRECT"] } else { vec![] },
            constants: vec![],
            bindings: tensors.into_iter().map(Binding::from).collect(),
            params: vec![self.y.rows as u32, self.first.cols as u32],
            workgroups: [ceil_div(self.first.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (cols, workgroups) = (self.first.cols, ceil_div(self.first.cols, WORKGROUP) as usize);
        // the streams and what is late; the first row of C, or all of both
        let (own, shared) = match self.correction {
            None => (STREAMS + 1, STREAMS + STREAMS.pow(2)),
            Some(_) => (STREAMS + 2, 2 * STREAMS + self.weights.cols),
        };
        let row = Loads {
            activations: f32s(own * cols + shared * workgroups),
            lane_activations: f32s((own + shared) * cols),
            workgroups: workgroups as u64,
            ..Loads::default()
        };
        vec![row * step.count(self.y.rows)]
    }
}

impl AltUp {
    /// `first`: (tokens, hidden), changed behind a layer; `others`: (tokens, 3 · hidden), before a
    /// layer; `y`: what is written.
    pub fn reference(&self, inputs: &AltUpInputs, first: &mut [f32], others: Option<&[f32]>, y: &mut [f32]) {
        let (hidden, width) = (self.first.cols, self.y.cols);
        let of = |values: &[f32], matrix: &[f32], t: usize| -> Vec<f32> {
            let values = values[t * STREAMS..][..STREAMS].iter().map(|value| value.tanh()).collect::<Vec<_>>();
            let product = |row: &[f32]| row.iter().zip(&values).map(|(a, b)| a * b).sum();
            matrix.chunks_exact(STREAMS).map(product).collect()
        };
        let (predict, correct) = inputs.weights.split_at(STREAMS.pow(3));
        for (t, y) in y.chunks_exact_mut(width).enumerate() {
            let mixed = of(inputs.routed, predict, t);
            let first = &mut first[t * hidden..][..hidden];
            let late = &inputs.late[t * hidden..][..hidden];
            let changed = inputs.correction.map(|(x, corrected)| (&x[t * hidden..], of(corrected, correct, t)));
            for col in 0..hidden {
                let before = others.map_or(&*y, |others| &others[t * 3 * hidden..]);
                let mut s = [first[col]; STREAMS];
                for (j, s) in s.iter_mut().enumerate().skip(1) {
                    *s = before[(j - 1) * hidden + col] + late[col];
                }
                let p = |i: usize| s[i] + mixed[i * STREAMS..].iter().zip(s).map(|(c, s)| c * s).sum::<f32>();
                let Some((x, d)) = &changed else {
                    y[col] = p(0);
                    continue;
                };
                let new = [0, 1, 2, 3].map(|i| p(i) + (1.0 + d[i]) * (x[col] - p(0)));
                first[col] = new[0];
                (1..STREAMS).for_each(|j| y[(j - 1) * hidden + col] = new[j]);
            }
        }
    }
}
