//! Log-probabilities of tokens, in nats, from raw logits: before penalties, filters and
//! temperature.

use super::{best, chain::Candidate};
use crate::Result;

/// ln Σ exp(logit), the normaliser: log-probability = logit - log_sum_exp.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let (max, sum) = exp_sum(logits);
    sum.ln() + f64::from(max)
}

/// The largest logit, and Σ exp(logit - largest).
pub fn exp_sum(logits: &[f32]) -> (f32, f64) {
    let max = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    (max, logits.iter().map(|&logit| f64::from(logit - max).exp()).sum())
}

/// Log-probability of `id`, which must be in the vocabulary.
pub fn log_probability(logits: &[f32], log_sum_exp: f64, id: u32) -> f64 {
    f64::from(logits[id as usize]) - log_sum_exp
}

/// The `count` most likely ids, best first, lower ids first among equals. Errors: `InvalidLogits`.
pub fn most_likely(logits: &[f32], count: usize) -> Result<Vec<u32>> {
    let (mut maxima, mut candidates) = (Vec::new(), Vec::new());
    best::block_maxima(logits, &mut maxima)?;
    if count > 0 {
        best::top_k(logits, &maxima, count, &mut candidates);
    }
    candidates.sort_unstable_by(Candidate::order);
    Ok(candidates.iter().map(|candidate| candidate.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_however_large_the_logits() {
        for shift in [0.0, 1e4, -1e4] {
            let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin() * 9.0 + shift).collect();
            let sum = log_sum_exp(&logits);
            let all: f64 = (0..100).map(|id| log_probability(&logits, sum, id).exp()).sum();
            assert!((all - 1.0).abs() < 1e-9, "{all}");
        }
    }

    #[test]
    fn a_forbidden_token_has_no_probability() {
        let logits = [1.0, f32::NEG_INFINITY, 1.0];
        let sum = log_sum_exp(&logits);
        assert_eq!(log_probability(&logits, sum, 1), f64::NEG_INFINITY);
        assert!((log_probability(&logits, sum, 0) + 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_most_likely_come_first_and_lower_ids_win_ties() {
        let logits = [0.5, 2.0, -1.0, 2.0, 1.0];
        assert_eq!(most_likely(&logits, 3).unwrap(), [1, 3, 4]);
        assert_eq!(most_likely(&logits, 0).unwrap(), [0u32; 0]);
        assert_eq!(most_likely(&logits, 9).unwrap(), [1, 3, 4, 0, 2]);
        assert!(most_likely(&[f32::NAN], 1).is_err());
    }
}
