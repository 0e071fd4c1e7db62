//! How far logits are from golden ones.

use pollster::block_on;
use weft_llm::inference::LoadedDecoder;

/// The logits of every token: (tokens, vocab).
pub fn logits(decoder: &mut LoadedDecoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    block_on(decoder.logits(ids, |_, logits| rows.push(logits.to_vec()))).unwrap();
    rows
}

/// The largest difference, relative to the largest of what is expected; infinite for NaN.
pub fn difference(got: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let pairs = || got.iter().flatten().zip(expected.iter().flatten());
    let largest = pairs().map(|(_, expected)| expected.abs()).fold(0.0, f32::max);
    assert!(largest > 0.1, "nothing to compare");
    pairs().map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d.is_nan() { f32::INFINITY } else { f32::max(most, d) })
        / largest
}
