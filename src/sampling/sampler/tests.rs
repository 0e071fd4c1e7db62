//! Filters computed by hand, distributions under fixed seeds, bad logits.

use super::*;
use crate::Error;

/// Only the draw at temperature 1; all else off.
fn off() -> SamplingOptions {
    SamplingOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: Some(7), ..Default::default() }
}

fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

const DRAWS: u32 = 20_000;

/// Fraction of draws that gave each id.
fn frequencies(options: SamplingOptions, logits: &[f32], history: &[u32]) -> Vec<f64> {
    let mut sampler = Sampler::new(options, 0).unwrap();
    let mut counts = vec![0; logits.len()];
    for _ in 0..DRAWS {
        counts[sampler.sample(logits, history).unwrap() as usize] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / f64::from(DRAWS)).collect()
}

/// Asserts that each frequency is within five standard deviations of its probability, and 0 where
/// that is 0.
fn assert_distribution(frequencies: &[f64], expected: &[f64]) {
    assert_eq!(frequencies.len(), expected.len());
    for (id, (f, p)) in frequencies.iter().zip(expected).enumerate() {
        let deviation = (p * (1.0 - p) / f64::from(DRAWS)).sqrt();
        assert!((f - p).abs() <= 5.0 * deviation, "id {id}: {f} for {p} in {frequencies:?}");
    }
}

#[test]
fn draws_follow_the_softmax_at_the_temperature() {
    let logits = logits(&[0.1, 0.6, 0.05, 0.25]);
    assert_distribution(&frequencies(off(), &logits, &[]), &[0.1, 0.6, 0.05, 0.25]);
    // Temperature ½ squares the probabilities: 0.01, 0.36, 0.0025, 0.0625 of 0.435.
    let cold = frequencies(SamplingOptions { temperature: 0.5, ..off() }, &logits, &[]);
    assert_distribution(&cold, &[0.01 / 0.435, 0.36 / 0.435, 0.0025 / 0.435, 0.0625 / 0.435]);
    let hot = frequencies(SamplingOptions { temperature: 1e30, ..off() }, &logits, &[]);
    assert_distribution(&hot, &[0.25; 4]);
    let coldest = frequencies(SamplingOptions { temperature: f32::MIN_POSITIVE, ..off() }, &logits, &[]);
    assert_distribution(&coldest, &[0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn top_k_keeps_the_best_and_lower_ids_among_equals() {
    let logits = logits(&[0.2, 0.2, 0.4, 0.2]);
    let with = |top_k| frequencies(SamplingOptions { top_k, ..off() }, &logits, &[]);
    assert_distribution(&with(1), &[0.0, 0.0, 1.0, 0.0]);
    assert_distribution(&with(2), &[1.0 / 3.0, 0.0, 2.0 / 3.0, 0.0]);
    assert_distribution(&with(4), &[0.2, 0.2, 0.4, 0.2]);
    assert_distribution(&with(u32::MAX), &[0.2, 0.2, 0.4, 0.2]);
}

#[test]
fn top_p_keeps_the_smallest_set_that_reaches_it() {
    let logits = logits(&[0.1, 0.5, 0.15, 0.25]);
    let with = |top_p| frequencies(SamplingOptions { top_p, ..off() }, &logits, &[]);
    assert_distribution(&with(0.0), &[0.0, 1.0, 0.0, 0.0]);
    assert_distribution(&with(0.49), &[0.0, 1.0, 0.0, 0.0]);
    assert_distribution(&with(0.7), &[0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0]);
    assert_distribution(&with(0.89), &[0.0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9]);
    assert_distribution(&with(0.95), &[0.1, 0.5, 0.15, 0.25]);
}

#[test]
fn min_p_keeps_tokens_near_the_best() {
    let logits = logits(&[0.1, 0.5, 0.15, 0.25]);
    let with = |min_p| frequencies(SamplingOptions { min_p, ..off() }, &logits, &[]);
    assert_distribution(&with(0.49), &[0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0]);
    assert_distribution(&with(0.29), &[0.0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9]);
    assert_distribution(&with(1.0), &[0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn filters_come_before_the_temperature_and_top_k_before_top_p() {
    let logits = logits(&[0.4, 0.3, 0.2, 0.1]);
    // At temperature 1e30 all are equal: if it came first, top-p 0.6 would keep three.
    let hot = SamplingOptions { temperature: 1e30, top_p: 0.6, ..off() };
    assert_distribution(&frequencies(hot, &logits, &[]), &[0.5, 0.5, 0.0, 0.0]);
    // Of the best two, the first alone has 0.57: if top-p came first, it would keep both.
    let both = SamplingOptions { top_k: 2, top_p: 0.55, ..off() };
    assert_distribution(&frequencies(both, &logits, &[]), &[1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn top_p_without_top_k_is_right_beyond_its_first_chunk() {
    // 5,000 equal tokens: the smallest set that reaches one half is the first 2,500 ids.
    let logits = vec![0.0; 5_000];
    let mut sampler = Sampler::new(SamplingOptions { top_p: 0.5, ..off() }, 0).unwrap();
    let drawn: Vec<u32> = (0..2_000).map(|_| sampler.sample(&logits, &[]).unwrap()).collect();
    assert!(drawn.iter().all(|&id| id < 2_500) && drawn.iter().any(|&id| id > 2_400));
}

#[test]
fn penalties_equal_figures_by_hand() {
    let adjusted = |options: SamplingOptions, history: &[u32]| {
        let mut sampler = Sampler::new(options, 0).unwrap();
        sampler.adjust(&[2.0, -2.0, 1.0, 0.5], history, &mut |_, _| {});
        sampler.adjusted
    };
    let history = [3, 0, 1, 0];
    let repetition = SamplingOptions { repetition_penalty: 2.0, ..off() };
    assert_eq!(adjusted(repetition.clone(), &history), [1.0, -4.0, 1.0, 0.25]);
    let frequency = SamplingOptions { frequency_penalty: 0.5, ..off() };
    assert_eq!(adjusted(frequency, &history), [1.0, -2.5, 1.0, 0.0]);
    let presence = SamplingOptions { presence_penalty: 0.25, ..off() };
    assert_eq!(adjusted(presence.clone(), &history), [1.75, -2.25, 1.0, 0.25]);
    // Multiplication first, then the subtractions; only the last three; ids outside the vocabulary
    // change nothing.
    let all = SamplingOptions { repetition_penalty: 2.0, frequency_penalty: 0.5, presence_penalty: 0.25, ..off() };
    assert_eq!(adjusted(all, &history), [2.0 / 2.0 - 1.25, -4.75, 1.0, -0.5]);
    assert_eq!(adjusted(SamplingOptions { penalty_last_n: 3, ..repetition.clone() }, &history), [1.0, -4.0, 1.0, 0.5]);
    assert_eq!(adjusted(SamplingOptions { penalty_last_n: 0, ..presence }, &history), [2.0, -2.0, 1.0, 0.5]);
    assert_eq!(adjusted(repetition, &[9]), [2.0, -2.0, 1.0, 0.5]);
}

#[test]
fn a_bias_comes_before_the_penalties_and_an_unknown_id_is_ignored() {
    let biased = SamplingOptions { logit_bias: vec![(1, 5.0), (9, 1.0)], ..off() };
    let mut sampler = Sampler::new(SamplingOptions { repetition_penalty: 2.0, ..biased.clone() }, 0).unwrap();
    sampler.adjust(&[2.0, -2.0], &[1], &mut |_, _| {});
    assert_eq!(sampler.adjusted, [2.0, 1.5]);
    let greedy = SamplingOptions { temperature: 0.0, ..biased };
    assert_eq!(Sampler::new(greedy, 0).unwrap().sample(&[2.0, -2.0], &[]).unwrap(), 1);
}

/// Their results were infinite, and the model was called faulty.
#[test]
fn huge_biases_and_penalties_stay_in_the_range_of_f32() {
    let huge = [
        SamplingOptions { logit_bias: vec![(1, 3.4e38), (1, 3.4e38)], ..off() },
        SamplingOptions { logit_bias: vec![(0, -3.4e38), (0, -3.4e38)], ..off() },
        SamplingOptions { frequency_penalty: -3e38, ..off() },
        SamplingOptions { repetition_penalty: 1e-45, ..off() },
    ];
    for options in huge {
        let mut sampler = Sampler::new(options, 0).unwrap();
        assert_eq!(sampler.sample(&[2.0, 1.0], &[1, 1, 1]).unwrap(), 1, "{:?}", sampler.options);
    }
    let all = SamplingOptions { frequency_penalty: 3e38, repetition_penalty: 3e38, ..off() };
    assert!(Sampler::new(all, 0).unwrap().sample(&[2.0, -1.0], &[0, 0, 1, 1]).is_ok());
    // a faulty model is still found
    let biased = SamplingOptions { logit_bias: vec![(0, 1.0)], ..off() };
    assert!(Sampler::new(biased, 0).unwrap().sample(&[f32::INFINITY, 1.0], &[]).is_err());
}

#[test]
fn only_allowed_tokens_are_drawn() {
    let logits: Vec<f32> = (0..70).map(|i| i as f32 / 10.0).collect();
    let mut sampler = Sampler::new(SamplingOptions::greedy(), 0).unwrap();
    assert_eq!(sampler.sample(&logits, &[]).unwrap(), 69);
    // ids beyond the end of the mask are not allowed
    sampler.allow(vec![1 << 3, 1 << 8]);
    assert_eq!(sampler.sample(&logits, &[]).unwrap(), 40);
    sampler.allow(vec![1 << 3]);
    assert_eq!(sampler.sample(&logits, &[]).unwrap(), 3);
    sampler.allow(vec![0, 0, 0]);
    assert!(sampler.sample(&logits, &[]).is_err(), "nothing is allowed");
}

#[test]
fn greedy_takes_the_lowest_of_equals_and_applies_penalties() {
    let sample = |options, logits: &[f32], history: &[u32]| Sampler::new(options, 0).unwrap().sample(logits, history);
    assert_eq!(sample(SamplingOptions::greedy(), &[0.0, 3.0, 1.0, 3.0, 3.0], &[]).unwrap(), 1);
    assert_eq!(sample(SamplingOptions::greedy(), &[f32::NEG_INFINITY, -7.0], &[]).unwrap(), 1);
    let penalty = SamplingOptions { repetition_penalty: 4.0, ..SamplingOptions::greedy() };
    assert_eq!(sample(penalty, &[0.0, 3.0, 1.0], &[1]).unwrap(), 2);
}

#[test]
fn the_options_seed_wins_over_entropy() {
    let logits: Vec<f32> = (0..1_001).map(|i| (i as f32 * 0.7).sin()).collect();
    let draw = |seed, entropy| {
        let mut sampler = Sampler::new(SamplingOptions { seed, ..Default::default() }, entropy).unwrap();
        (0..20).map(|_| sampler.sample(&logits, &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(draw(Some(1), 2), draw(Some(1), 3));
    assert_eq!(draw(Some(1), 0), draw(None, 1));
    assert_ne!(draw(Some(1), 0), draw(Some(2), 0));
    // Recorded values: a seed means the same in every version.
    assert_eq!(draw(Some(42), 0)[..5], [523, 882, 442, 505, 128]);
}

#[test]
fn forbidden_tokens_are_never_drawn() {
    let mut logits = vec![f32::NEG_INFINITY; 777];
    logits[776] = -1e30;
    let id = Sampler::new(SamplingOptions::default(), 3).unwrap().sample(&logits, &[776, 1]).unwrap();
    assert_eq!(id, 776);
}

#[test]
fn bad_logits_are_named() {
    let fails = |logits: &[f32], text: &str| {
        for options in [SamplingOptions::default(), SamplingOptions::greedy()] {
            let error = Sampler::new(options, 0).unwrap().sample(logits, &[]).unwrap_err();
            assert!(matches!(error, Error::InvalidLogits(_)) && error.to_string().contains(text), "{error}");
        }
    };
    fails(&[0.0, f32::NAN], "NaN for token 1");
    fails(&[f32::INFINITY, 0.0], "inf for token 0");
    fails(&[f32::NEG_INFINITY; 3], "no finite number among 3 logits");
    fails(&[], "no finite number among 0 logits");
}

/// The names, the numbers of tokens left and the probability of `id` in the stages of a draw.
fn stages(options: SamplingOptions, logits: &[f32], history: &[u32], id: u32) -> Vec<(&'static str, usize, f64)> {
    let (_, stages) = Sampler::new(options, 0).unwrap().explain(logits, history, 2).unwrap();
    let of = |top: &[(u32, f64)]| top.iter().find(|&&(other, _)| other == id).map_or(-1.0, |&(_, p)| p);
    let round = |p: f64| (p * 1e4).round() / 1e4;
    stages.iter().map(|stage| (stage.name, stage.left, round(of(&stage.top)))).collect()
}

#[test]
fn a_draw_is_explained_stage_by_stage() {
    let logits = logits(&[0.1, 0.5, 0.05, 0.2, 0.15]);
    let options = SamplingOptions { temperature: 0.5, top_k: 4, top_p: 0.8, min_p: 0.35, ..off() };
    // top-k leaves 0.95; 0.5 + 0.2 + 0.15 of it reach 0.8; 0.15 is less than 0.35 · 0.5
    let expected =
        [("model", 5, 0.5), ("topK", 4, 0.5263), ("topP", 3, 0.5882), ("minP", 2, 0.7143), ("temperature", 2, 0.8621)];
    assert_eq!(stages(options.clone(), &logits, &[], 1), expected);
    // id 3 is listed throughout, since the model lists it, and halved by its penalty of ln 2
    let penalized = SamplingOptions { presence_penalty: 2f32.ln(), logit_bias: vec![(0, -100.0)], ..options };
    let expected = [
        ("model", 5, 0.2),
        ("logitBias", 5, 0.2222),
        ("penalties", 5, 0.125),
        ("topK", 4, 0.125),
        ("topP", 2, 0.0),
        ("minP", 1, 0.0),
        ("temperature", 1, 0.0),
    ];
    assert_eq!(stages(penalized, &logits, &[3], 3), expected);
    assert_eq!(stages(off(), &logits, &[], 1), [("model", 5, 0.5), ("temperature", 5, 0.5)]);
    let greedy = SamplingOptions { temperature: 0.0, top_k: 3, ..off() };
    assert_eq!(stages(greedy, &logits, &[], 1), [("model", 5, 0.5), ("temperature", 1, 1.0)]);
    let mut constrained = Sampler::new(off(), 0).unwrap();
    constrained.allow(vec![0b01001]);
    let (id, stages) = constrained.explain(&logits, &[], 2).unwrap();
    let constraint = &stages[1];
    assert_eq!((constraint.name, constraint.left), ("constraint", 2));
    assert_eq!(constraint.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [3, 0, 1]);
    assert_eq!(constraint.top[2].1, 0.0);
    assert!(id == 0 || id == 3);
}

/// Explaining draws nothing else, and its last stage has the frequencies of the draws.
#[test]
fn the_last_stage_is_what_is_drawn_from() {
    let logits = logits(&[0.1, 0.4, 0.05, 0.2, 0.15, 0.1]);
    let options = SamplingOptions { temperature: 1.3, top_k: 5, top_p: 0.93, frequency_penalty: 0.5, ..off() };
    let history = [1, 4, 4];
    let (mut plain, mut explained) = [(); 2].map(|()| Sampler::new(options.clone(), 0).unwrap()).into();
    for _ in 0..200 {
        let id = plain.sample(&logits, &history).unwrap();
        assert_eq!(explained.explain(&logits, &history, 6).unwrap().0, id);
    }
    let (_, stages) = explained.explain(&logits, &history, 6).unwrap();
    let mut expected = vec![0.0; logits.len()];
    for &(id, probability) in &stages.last().unwrap().top {
        expected[id as usize] = probability;
    }
    assert_distribution(&frequencies(options, &logits, &history), &expected);
}
