//! What a sampler does to the distribution of the next token, stage by stage.

use super::chain::Candidate;
use super::{log_probability, log_sum_exp, most_likely};
use crate::Result;

/// Called with the name of a stage and what the stage has left.
pub(super) type Observe<'a> = dyn FnMut(&'static str, Seen) + 'a;

/// What a stage of a sampler has left.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    /// All tokens, with other logits; negative infinity for a token that is forbidden.
    Logits(&'a [f32]),
    /// Some tokens, whose probabilities are those of their logits.
    Left(&'a [Candidate]),
    /// Some tokens, and the weights that they are drawn with.
    Weighed(&'a [Candidate]),
}

/// The distribution of the next token after a stage of the sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Named like the option that switches it on; `model` before the first.
    pub name: &'static str,
    /// Number of tokens with a probability.
    pub left: usize,
    /// The most likely tokens, best first, then those that are most likely before the first stage.
    /// A token that was cut away has probability 0.
    pub top: Vec<(u32, f64)>,
}

/// The stages so far.
pub(super) struct Stages {
    top: usize,
    /// The most likely tokens before the first stage.
    first: Vec<u32>,
    pub list: Vec<Stage>,
}

impl Stages {
    /// The distribution of the model. Errors: `InvalidLogits`.
    pub fn new(logits: &[f32], top: usize) -> Result<Self> {
        let first = most_likely(logits, top)?;
        let mut stages = Self { top, first, list: Vec::new() };
        stages.push("model", Seen::Logits(logits));
        Ok(stages)
    }

    pub fn push(&mut self, name: &'static str, seen: Seen) {
        let (left, best, probability) = match seen {
            Seen::Logits(logits) => of_logits(logits, self.top),
            Seen::Left(candidates) => {
                let logits: Vec<f32> = candidates.iter().map(|c| c.logit).collect();
                let sum = log_sum_exp(&logits);
                of_candidates(candidates, self.top, Box::new(move |c| (f64::from(c.logit) - sum).exp()))
            }
            Seen::Weighed(candidates) => {
                let sum: f64 = candidates.iter().map(|c| f64::from(c.weight)).sum();
                of_candidates(candidates, self.top, Box::new(move |c| f64::from(c.weight) / sum))
            }
        };
        let others = self.first.iter().copied().filter(|id| !best.contains(id));
        let top = best.iter().copied().chain(others).map(|id| (id, probability(id))).collect();
        self.list.push(Stage { name, left, top });
    }
}

/// Number of tokens left, the best of them, and the probability of each.
type Distribution<'a> = (usize, Vec<u32>, Box<dyn Fn(u32) -> f64 + 'a>);

fn of_logits(logits: &[f32], top: usize) -> Distribution<'_> {
    let left = logits.iter().filter(|logit| logit.is_finite()).count();
    // the model's logits were checked, and stages keep them in range; without a token left, the
    // sampler fails
    let best = most_likely(logits, top.min(left)).unwrap_or_default();
    let sum = log_sum_exp(logits);
    (left, best, Box::new(move |id| log_probability(logits, sum, id).exp()))
}

fn of_candidates<'a>(
    candidates: &'a [Candidate],
    top: usize,
    probability: Box<dyn Fn(&Candidate) -> f64 + 'a>,
) -> Distribution<'a> {
    let mut left: Vec<Candidate> = candidates.iter().filter(|c| probability(c) > 0.0).copied().collect();
    left.sort_unstable_by(Candidate::order);
    let best = left.iter().take(top).map(|c| c.id).collect();
    let of = move |id| candidates.iter().find(|c| c.id == id).map_or(0.0, &probability);
    (left.len(), best, Box::new(of))
}
