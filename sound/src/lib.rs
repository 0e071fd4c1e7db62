//! Sound as models of speech read it: log-mel spectrograms of 16 kHz, mono, as Whisper was trained
//! on them (Radford et al. 2022, arXiv 2212.04356). Windows of 25 ms (Hann), one each 10 ms; mel
//! filters as Slaney's Auditory Toolbox (1998) has them.

use std::f64::consts::TAU;

use realfft::RealFftPlanner;

/// Samples a second.
pub const RATE: usize = 16_000;
/// Samples between two frames.
pub const HOP: usize = 160;
/// Samples of a window.
const WINDOW: usize = 400;
/// Half of them: what the sound is continued by at both ends, mirrored.
const HALF: usize = WINDOW / 2;
/// Frequencies of a window: 0 to 8 kHz.
const FREQUENCIES: usize = WINDOW / 2 + 1;

/// Powers below this count as this.
const QUIETEST: f64 = 1e-10;
/// Decades below the loudest that still count.
const DECADES: f64 = 8.0;

/// The frames of a sound, (frames, `bins`), of values around 0: log10 of the power in each mel
/// band, from 8 decades below the loudest on, plus 4, divided by 4. Of each whole hop of `samples`
/// there is a frame. No frames where a sound is shorter than half a window, 12.5 ms.
pub fn log_mel(samples: &[f32], bins: usize) -> Vec<f32> {
    let frames = samples.len() / HOP;
    if samples.len() <= HALF || bins == 0 {
        return Vec::new();
    }
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(WINDOW);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let mut scratch = fft.make_scratch_vec();
    let hann: Vec<f64> = (0..WINDOW).map(|i| 0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos()).collect();
    let filters = filters(bins);
    let mut values = Vec::with_capacity(frames * bins);
    for frame in 0..frames {
        for (i, (input, weight)) in input.iter_mut().zip(&hann).enumerate() {
            *input = f64::from(samples[mirrored(frame * HOP + i, samples.len())]) * weight;
        }
        // fails for buffers of other lengths only
        if fft.process_with_scratch(&mut input, &mut output, &mut scratch).is_err() {
            return Vec::new();
        }
        for (first, weights) in &filters {
            let power = weights.iter().zip(&output[*first..]).map(|(weight, value)| weight * value.norm_sqr());
            values.push(power.sum::<f64>().max(QUIETEST).log10());
        }
    }
    let least = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - DECADES;
    values.into_iter().map(|value| ((value.max(least) + 4.0) / 4.0) as f32).collect()
}

/// The sample at `i` of a sound that begins half a window before its first one.
fn mirrored(i: usize, len: usize) -> usize {
    match i.checked_sub(HALF) {
        None => HALF - i,
        Some(i) if i < len => i,
        Some(i) => 2 * (len - 1) - i,
    }
}

/// For each mel band the first of its frequencies and the weights from there on. Bands overlap by
/// half, and have the same area.
fn filters(bins: usize) -> Vec<(usize, Vec<f64>)> {
    let top = mel(RATE as f64 / 2.0);
    let edge = |i: usize| hertz(top * i as f64 / (bins + 1) as f64);
    let frequency = |i: usize| (i * RATE) as f64 / WINDOW as f64;
    let filter = |bin: usize| {
        let [low, centre, high] = [0, 1, 2].map(|i| edge(bin + i));
        let weight = |i: usize| {
            let (rises, falls) = ((frequency(i) - low) / (centre - low), (high - frequency(i)) / (high - centre));
            rises.min(falls).max(0.0) * 2.0 / (high - low)
        };
        let weights: Vec<f64> = (0..FREQUENCIES).map(weight).collect();
        let first = weights.iter().position(|&weight| weight > 0.0).unwrap_or(0);
        let end = weights.iter().rposition(|&weight| weight > 0.0).map_or(first, |last| last + 1);
        (first, weights[first..end].to_vec())
    };
    (0..bins).map(filter).collect()
}

/// Where the scale turns from linear to logarithmic: hertz, and mels.
const TURN: [f64; 2] = [1000.0, 15.0];
/// Mels by which a frequency grows 6.4 times, there.
const STEPS: f64 = 27.0;

fn mel(hertz: f64) -> f64 {
    let [turn, mels] = TURN;
    if hertz < turn { hertz * mels / turn } else { mels + (hertz / turn).ln() * STEPS / 6.4f64.ln() }
}

fn hertz(mel: f64) -> f64 {
    let [turn, mels] = TURN;
    if mel < mels { mel * turn / mels } else { turn * ((mel - mels) * 6.4f64.ln() / STEPS).exp() }
}
