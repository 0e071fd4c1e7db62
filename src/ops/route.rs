//! `route`: the router of a mixture of experts: which experts a token goes to, and their weights
//! (Shazeer et al. 2017, arXiv 1701.06538).

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// How the outputs of the chosen experts are weighted. Shaders use the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Weighting {
    /// Softmax over all experts.
    Softmax = 0,
    /// Softmax over all experts, rescaled so that the chosen ones sum to 1.
    Renormalised = 1,
    /// For each choice in turn: softmax over the experts not chosen before whose logits are within
    /// 2 % of the best of these (Liu et al. 2023, arXiv 2310.00811, with ε = 0.01).
    SparseMixer = 2,
    /// Sigmoid of each logit, rescaled so that the chosen ones sum to 1 (DeepSeek-V3 2024, arXiv
    /// 2412.19437).
    Sigmoid = 3,
    /// Sigmoid of each logit.
    PlainSigmoid = 4,
}

impl Weighting {
    /// Whether it is of sigmoids.
    pub fn is_sigmoid(self) -> bool {
        matches!(self, Self::Sigmoid | Self::PlainSigmoid)
    }
}

/// Groups of experts next to each other, of which a token goes to some alone (DeepSeek-V2 2024,
/// arXiv 2405.04434): those with the best expert, or with sigmoids the best two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Number of groups.
    pub count: usize,
    /// Groups per token.
    pub chosen: usize,
}

/// y[t] = the indices of the `chosen` experts with the largest logits, then their weights, then the
/// shared expert's weight. With a bias, the experts are those with the largest sum of bias and
/// softmax or sigmoid.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// (tokens, experts), plus a column for the shared expert's logit if there is one
    pub logits: Tensor,
    /// (1, experts): for the choice alone.
    pub bias: Option<Tensor>,
    /// Experts per token.
    pub chosen: usize,
    /// How they are weighted.
    pub weighting: Weighting,
    /// The groups that they are in; `None`: one.
    pub groups: Option<ExpertGroups>,
    /// Whether there is a shared expert; its weight is sigmoid(logit).
    pub shared: bool,
    /// (tokens, 2 chosen), plus a column if there is a shared expert
    pub y: Tensor,
}

/// [`Weighting::SparseMixer`] counts logits whose distance from the best, relative to the larger
/// magnitude of the two, is at most this.
const NEAR: f32 = 0.02;

/// What [`Weighting::Sigmoid`] adds to the sum of the chosen ones.
const LEAST: f32 = 1e-6;

/// Invocations of a subgroup on the GPUs that have the largest.
const SUBGROUP: usize = 64;

impl Route {
    fn experts(&self) -> usize {
        self.logits.cols - usize::from(self.shared)
    }

    /// Invocations of a token: one an expert, in whole subgroups.
    fn workgroup(&self) -> usize {
        self.experts().next_multiple_of(SUBGROUP).min(256)
    }
}

impl Op for Route {
    fn check(&self) -> Result<()> {
        ensure((1..=self.experts()).contains(&self.chosen), "route", "1 to all experts chosen", self)?;
        let fits = |bias: Tensor| bias.cols == self.experts() && self.weighting != Weighting::SparseMixer;
        ensure(self.bias.is_none_or(fits), "route", "a bias for each expert, and no SparseMixer", self)?;
        let grouped = self.groups.is_none_or(|ExpertGroups { count, chosen }| {
            let each = self.experts() / count.max(1);
            let whole = (1..=self.experts()).contains(&count) && self.experts().is_multiple_of(count);
            let fits = whole && self.weighting != Weighting::SparseMixer;
            fits && (1..=count).contains(&chosen) && self.chosen <= chosen * each
        });
        ensure(grouped, "route", "groups alike, with as many experts as are chosen, and no SparseMixer", self)?;
        let cols = 2 * self.chosen + usize::from(self.shared);
        ensure(self.y.cols == cols && self.logits.rows >= self.y.rows, "route", "y.cols = 2 chosen + shared", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let groups = self.groups.unwrap_or(ExpertGroups { count: 1, chosen: 1 });
        let constants = [
            ("GROUPS", groups.count),
            ("GROUPS_CHOSEN", groups.chosen),
            ("EXPERTS", self.experts()),
            ("CHOSEN", self.chosen),
            ("WEIGHTING", self.weighting as usize),
            ("SHARED", usize::from(self.shared)),
            ("WORKGROUP", self.workgroup()),
        ];
        vec![Kernel {
            shader: "route",
            defines: self.bias.iter().map(|_| "BIAS").chain(self.groups.map(|_| "GROUPED")).collect(),
            constants: constants.map(|(name, value)| (name, value as u32)).into(),
            bindings: [self.logits, self.y].into_iter().chain(self.bias).map(Into::into).collect(),
            params: vec![self.y.rows as u32],
            workgroups: [self.y.rows as u32, 1, 1],
            rows: RowGrid::along(0),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (experts, shared) = (self.experts(), usize::from(self.shared));
        let padded = experts.next_multiple_of(4);
        // each invocation looks for the largest logit; those with an expert look at all logits and
        // powers
        let places = experts * (2 + 2 * padded);
        let rescales = matches!(self.weighting, Weighting::Renormalised | Weighting::Sigmoid);
        let weights = self.chosen * if rescales { 2 + self.chosen } else { 2 };
        let biases = self.bias.map_or(0, |bias| bias.cols);
        // sigmoids are made of logits as they are loaded, powers of those in workgroup memory; with
        // a bias, each invocation adds up all powers, and those with an expert divide theirs
        let powers = match (self.weighting, self.bias) {
            (Weighting::Sigmoid | Weighting::PlainSigmoid, _) => 0,
            (_, None) => padded,
            (_, Some(_)) => padded + self.workgroup() * padded + padded,
        };
        // each group's scores; those of all groups by each expert, whose scores are replaced
        let groups = self.groups.map_or(0, |groups| experts + experts * (1 + groups.count) + padded);
        let each = experts + biases + shared + self.workgroup() * padded + powers + groups + places + weights;
        let own = Loads::once(experts + biases + shared, 1);
        vec![Loads { lane_activations: f32s(each), ..own } * step.count(self.y.rows)]
    }
}

impl Route {
    /// `logits`: (tokens, logits.cols); `bias`: (experts); `y`: (tokens, y.cols).
    pub fn reference(&self, logits: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let is_sigmoid = self.weighting.is_sigmoid();
        for (logits, y) in logits.chunks_exact(self.logits.cols).zip(y.chunks_exact_mut(self.y.cols)) {
            let (experts, shared) = logits.split_at(self.experts());
            let mut left = experts.to_vec();
            let largest = experts.iter().fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit));
            let power = |e: usize| match is_sigmoid {
                true => 1.0 / (1.0 + (-experts[e]).exp()),
                false => (experts[e] - largest).exp(),
            };
            let all: f32 = (0..experts.len()).map(power).sum();
            if is_sigmoid || bias.is_some() {
                let whole = if is_sigmoid { 1.0 } else { all };
                let score = |e: usize| power(e) / whole + bias.map_or(0.0, |bias| bias[e]);
                left = (0..experts.len()).map(score).collect();
            }
            self.keep_groups(&mut left);
            for j in 0..self.chosen {
                // the first among equals
                let best = (0..left.len()).fold(0, |best, e| if left[e] > left[best] { e } else { best });
                y[j] = best as f32;
                let is_near = |e: &usize| {
                    let magnitude = experts[*e].abs().max(left[best].abs());
                    left[*e] > f32::NEG_INFINITY && left[best] - experts[*e] <= NEAR * magnitude
                };
                let rivals = match self.weighting {
                    Weighting::Softmax | Weighting::Renormalised => all,
                    Weighting::SparseMixer => (0..left.len()).filter(is_near).map(power).sum(),
                    Weighting::Sigmoid | Weighting::PlainSigmoid => 1.0,
                };
                y[self.chosen + j] = power(best) / rivals;
                left[best] = f32::NEG_INFINITY;
            }
            let weights = &mut y[self.chosen..2 * self.chosen];
            if matches!(self.weighting, Weighting::Sigmoid | Weighting::Renormalised) {
                let sum = weights.iter().sum::<f32>() + if is_sigmoid { LEAST } else { 0.0 };
                weights.iter_mut().for_each(|weight| *weight /= sum);
            }
            if let [gate] = shared {
                y[2 * self.chosen] = 1.0 / (1.0 + (-gate).exp());
            }
        }
    }
    /// Replaces the scores of experts in groups that are not chosen.
    fn keep_groups(&self, scores: &mut [f32]) {
        let Some(ExpertGroups { count, chosen }) = self.groups else { return };
        let each = scores.len() / count;
        let of_group = |group: &[f32]| {
            let (mut best, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
            for &score in group {
                (best, second) = if score > best { (score, best) } else { (best, second.max(score)) };
            }
            if self.weighting.is_sigmoid() && each > 1 { best + second } else { best }
        };
        let of_groups: Vec<f32> = scores.chunks_exact(each).map(of_group).collect();
        for (g, group) in scores.chunks_exact_mut(each).enumerate() {
            // of equal ones, those with smaller indices come first
            let is_before =
                |&(other, &score): &(usize, &f32)| score > of_groups[g] || (score == of_groups[g] && other < g);
            if of_groups.iter().enumerate().filter(is_before).count() >= chosen {
                group.fill(f32::NEG_INFINITY);
            }
        }
    }
}
