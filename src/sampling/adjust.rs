//! Biases and penalties, in arithmetic that gives the same logit on every engine.
//!
//! GPUs round a division as they like, and may fuse a multiplication with the sum that follows. So
//! the penalty of repetition multiplies by an inverse, and `shaders/adjust.wgsl` keeps products
//! apart from sums.

use super::SamplingOptions;

/// What happens to the logit of one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The token.
    pub id: u32,
    /// Added first. 0: nothing is added.
    pub bias: f32,
    /// Recent occurrences.
    pub count: u32,
}

/// What recent tokens lose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalties {
    /// Factor of a logit that is not positive.
    pub repetition: f32,
    /// Factor of a positive logit.
    pub inverse: f32,
    /// Subtracted for each occurrence.
    pub frequency: f32,
    /// Subtracted once.
    pub presence: f32,
}

impl Penalties {
    pub(super) fn new(options: &SamplingOptions) -> Self {
        let &SamplingOptions { repetition_penalty: repetition, frequency_penalty, presence_penalty, .. } = options;
        // some GPUs take smaller numbers for 0
        let inverse = (1.0 / repetition).max(f32::MIN_POSITIVE);
        Self { repetition, inverse, frequency: frequency_penalty, presence: presence_penalty }
    }

    /// The logit of a token with so many recent occurrences.
    pub fn apply(&self, logit: f32, count: u32) -> f32 {
        if count == 0 {
            return logit;
        }
        let factor = if logit > 0.0 { self.inverse } else { self.repetition };
        let repeated = in_range(logit, |logit| logit * factor);
        in_range(repeated, |logit| logit - (count as f32 * self.frequency + self.presence))
    }
}

/// The logit of a token with this bias.
pub fn biased(logit: f32, bias: f32) -> f32 {
    // -0 + 0 is another logit
    if bias == 0.0 { logit } else { in_range(logit, |logit| logit + bias) }
}

/// One bias a token, in the order of ids.
pub(super) fn biases(given: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut sorted = given.to_vec();
    sorted.sort_by_key(|&(id, _)| id);
    let sum = |same: &[(u32, f32)]| {
        let sum: f32 = same.iter().map(|(_, bias)| bias).sum();
        (same[0].0, sum.clamp(f32::MIN, f32::MAX))
    };
    sorted.chunk_by(|(a, _), (b, _)| a == b).map(sum).filter(|&(_, bias)| bias != 0.0).collect()
}

/// Each token among `ids` with the number of its occurrences, in the order of ids.
pub(super) fn counts(ids: &[u32]) -> Vec<(u32, u32)> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect()
}

/// Both, in the order of ids.
pub(super) fn changes(biases: &[(u32, f32)], counts: &[(u32, u32)]) -> Vec<Change> {
    let mut changes: Vec<Change> = biases.iter().map(|&(id, bias)| Change { id, bias, count: 0 }).collect();
    let biased = changes.len();
    for &(id, count) in counts {
        match changes[..biased].binary_search_by_key(&id, |change| change.id) {
            Ok(at) => changes[at].count = count,
            Err(_) => changes.push(Change { id, bias: 0.0, count }),
        }
    }
    changes.sort_unstable_by_key(|change| change.id);
    changes
}

/// What `change` makes of a logit, or the nearest finite number: huge biases and penalties exceed
/// the range of f32. A logit that is not finite stays, since it tells of a faulty model.
fn in_range(logit: f32, change: impl Fn(f32) -> f32) -> f32 {
    if logit.is_finite() { change(logit).clamp(f32::MIN, f32::MAX) } else { logit }
}
