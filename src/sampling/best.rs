//! Finding the best of many logits without looking closely at most of them.
//!
//! Logits are compared as integers, which every compiler vectorises, and in blocks: the best of each block first, then only
//! the blocks that matter.

use super::chain::Candidate;
use crate::{Error, Result};

/// Logits a block.
const BLOCK: usize = 64;

/// An integer in the order of [`f32::total_cmp`].
fn key(logit: f32) -> i32 {
    let bits = logit.to_bits() as i32;
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// The largest key of each block of logits. Errors: `InvalidLogits` where a logit is NaN or positive infinity, or none is
/// finite.
pub(super) fn block_maxima(logits: &[f32], maxima: &mut Vec<i32>) -> Result<()> {
    maxima.clear();
    let (mut least, mut largest) = (i32::MAX, i32::MIN);
    maxima.extend(logits.chunks(BLOCK).map(|block| {
        let mut max = i32::MIN;
        for key in block.iter().map(|&logit| key(logit)) {
            max = max.max(key);
            least = least.min(key);
        }
        largest = largest.max(max);
        max
    }));
    // NaN lies beyond both infinities, by its sign
    if largest >= key(f32::INFINITY) || least < key(f32::NEG_INFINITY) {
        let bad = logits.iter().enumerate().find(|(_, logit)| logit.is_nan() || **logit == f32::INFINITY);
        let (id, logit) = bad.unwrap_or((0, &f32::NAN));
        return Err(Error::InvalidLogits(format!("{logit} for token {id}")));
    }
    if largest <= key(f32::NEG_INFINITY) {
        return Err(Error::InvalidLogits(format!("no finite number among {} logits", logits.len())));
    }
    Ok(())
}

/// The id of the best logit, the lowest of equals.
pub(super) fn argmax(logits: &[f32], maxima: &[i32]) -> u32 {
    let best = maxima.iter().copied().max().unwrap_or(i32::MIN);
    let block = maxima.iter().position(|&max| max == best).unwrap_or(0);
    let within = logits.iter().skip(block * BLOCK).position(|&logit| key(logit) == best);
    (block * BLOCK + within.unwrap_or(0)) as u32
}

/// The `k` best (all where `k` is 0), in no order; of equals the lower ids.
pub(super) fn top_k(logits: &[f32], maxima: &[i32], k: usize, best: &mut Vec<Candidate>) {
    best.clear();
    // k blocks have a logit that reaches the k-th best maximum, so nothing below it is among the best k
    let threshold = match k {
        1.. if k < maxima.len() => {
            let mut sorted = maxima.to_vec();
            *sorted.select_nth_unstable_by(k - 1, |a, b| b.cmp(a)).1
        }
        _ => i32::MIN,
    };
    for ((block, logits), &max) in (0..).step_by(BLOCK).zip(logits.chunks(BLOCK)).zip(maxima.iter()) {
        if max >= threshold {
            let reaching = (block..).zip(logits).filter(|(_, logit)| key(**logit) >= threshold);
            best.extend(reaching.map(|(id, &logit)| Candidate::new(id, logit)));
        }
    }
    if (1..best.len()).contains(&k) {
        best.select_nth_unstable_by(k - 1, Candidate::order);
        best.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_total_order() {
        let ordered =
            [-f32::NAN, f32::NEG_INFINITY, -1e30, -1.0, -1e-42, -0.0, 0.0, 1e-42, 1.0, f32::INFINITY, f32::NAN];
        assert!(ordered.is_sorted_by(|&a, &b| key(a) < key(b)));
        assert!(ordered.is_sorted_by(|a, b| a.total_cmp(b).is_lt()));
    }

    /// Repeatable values with many ties.
    fn logits(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 % 1009) as f32 * 0.37).sin().mul_add(8.0, 0.5).round() / 2.0).collect()
    }

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        for len in [1, 5, 63, 64, 65, 1_000, 5_003] {
            let logits = logits(len);
            let mut sorted: Vec<_> = (0..).zip(&logits).map(|(id, &logit)| Candidate::new(id, logit)).collect();
            sorted.sort_by(Candidate::order);
            let mut maxima = Vec::new();
            block_maxima(&logits, &mut maxima).unwrap();
            assert_eq!(argmax(&logits, &maxima), sorted[0].id, "{len}");
            for k in [0, 1, 2, 40, 64, 78, 79, 256, len, len + 1] {
                let mut best = Vec::new();
                top_k(&logits, &maxima, k, &mut best);
                best.sort_by(Candidate::order);
                let wanted = if k == 0 { len } else { k.min(len) };
                let ids = |candidates: &[Candidate]| candidates.iter().map(|c| c.id).collect::<Vec<_>>();
                assert_eq!(ids(&best), ids(&sorted[..wanted]), "{k} of {len}");
            }
        }
    }

    #[test]
    fn a_bad_logit_is_found_wherever_it_is() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
            for at in [0, 63, 64, 129] {
                let mut logits = logits(130);
                logits[at] = bad;
                let error = block_maxima(&logits, &mut Vec::new()).unwrap_err().to_string();
                assert!(error.contains(&format!("for token {at}")), "{error}");
            }
        }
    }
}
