//! Finds the best of many logits without sorting them all.
//!
//! Logits are compared as integers, in blocks, which compilers vectorise: first the maximum of each
//! block, then only the blocks that matter.

use super::chain::Candidate;
use crate::{Error, Result};

/// Logits per block.
const BLOCK: usize = 64;

/// Maps a logit to an integer so that integers sort as [`f32::total_cmp`] sorts logits.
fn key(logit: f32) -> i32 {
    let bits = logit.to_bits() as i32;
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// Writes the largest key of each block to `maxima`. Errors: `InvalidLogits` if a logit is NaN or
/// positive infinity, or none is finite.
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
    // the keys of NaN lie beyond those of the infinities, on the side of NaN's sign
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

/// The id of the largest logit; the lowest id among equals.
pub(super) fn argmax(logits: &[f32], maxima: &[i32]) -> u32 {
    let best = maxima.iter().copied().max().unwrap_or(i32::MIN);
    let block = maxima.iter().position(|&max| max == best).unwrap_or(0);
    let within = logits.iter().skip(block * BLOCK).position(|&logit| key(logit) == best);
    (block * BLOCK + within.unwrap_or(0)) as u32
}

/// Writes the `k` largest (0: all) to `best`, unordered; lower ids first among equals.
pub(super) fn top_k(logits: &[f32], maxima: &[i32], k: usize, best: &mut Vec<Candidate>) {
    best.clear();
    // k blocks have a maximum at or above the k-th largest, so nothing below that is among the best
    // k
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

    /// Reproducible values with many ties.
    fn logits(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 % 1009) as f32 * 0.37).sin().mul_add(8.0, 0.5).round() / 2.0).collect()
    }

    #[test]
    fn top_k_agrees_with_a_full_sort() {
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
    fn a_bad_logit_is_found_at_any_index() {
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
