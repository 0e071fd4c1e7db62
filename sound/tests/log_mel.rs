//! Spectrograms against those of transformers' WhisperFeatureExtractor: `fixtures/make.py`.

use weft_sound::log_mel;

/// xorshift: the same sound as in `fixtures/make.py`.
fn sound(len: usize) -> Vec<f32> {
    let mut state = 0x2545_f491u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / 4_294_967_296.0 - 0.5
    };
    // noise that grows over a second, in turns loud and quiet
    (0..len).map(|i| next() * (i % 16_000) as f32 / 16_000.0 * if i / 2_400 % 2 == 0 { 1.0 } else { 1e-3 }).collect()
}

#[test]
fn frames_are_those_of_transformers() {
    let bytes = include_bytes!("fixtures/log_mel.bin");
    let mut values = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    for (len, bins) in [(201, 80), (1_600, 80), (7_777, 128), (16_001, 80), (24_000, 128)] {
        let frames = log_mel(&sound(len), bins);
        assert_eq!(frames.len(), len / 160 * bins);
        let expected: Vec<f32> = values.by_ref().take(frames.len()).collect();
        let wrong = frames.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(expected.len() == frames.len() && wrong < 1e-4, "{len} samples, {bins} bins: {wrong}");
    }
    assert!(values.next().is_none());
}

#[test]
fn silence_and_short_sounds() {
    assert!(log_mel(&[0.0; 200], 80).is_empty());
    // all powers are the quietest: (-10 + 4) / 4
    assert_eq!(log_mel(&[0.0; 480], 80), vec![-1.5; 240]);
}
