//! Answers with drafts are those without, and come in fewer steps where a text repeats itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::chats::{CONTEXT, engines, in_turns, load, tiny};
use support::tiny::{Tiny, VOCAB, decoder_on};
use support::{Rng, gpu_with};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::{Event, GenerateOptions, GenerationId, LoadedDecoder, Speculate, Speculated};
use weft_llm::ops::Variants;
use weft_llm::ops::variants::MATMUL_ROUNDED;
use weft_llm::sampling::SamplingOptions;

fn speculating(options: &GenerateOptions) -> GenerateOptions {
    GenerateOptions { speculate: Some(Speculate::Lookup), ..options.clone() }
}

pub fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions::greedy();
    GenerateOptions { max_tokens: Some(max_tokens), ignore_eos: true, sampling, ..Default::default() }
}

/// Two or three likely tokens, so that drafts are sometimes right.
pub fn narrow(seed: u64, max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { top_k: 3, temperature: 0.6, seed: Some(seed), ..Default::default() };
    GenerateOptions { sampling, ..greedy(max_tokens) }
}

/// A few words, some of them again.
pub fn prompt(seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    let words = [rng.ids(9, VOCAB), rng.ids(5, VOCAB), rng.ids(12, VOCAB)];
    [&words[0], &words[1], &words[0], &words[2], &words[1]].into_iter().flatten().copied().collect()
}

/// All events behind the prompt. `before` is called before each step.
pub fn events_with(
    decoder: &mut LoadedDecoder,
    prompt: &[u32],
    options: &GenerateOptions,
    mut before: impl FnMut(&mut LoadedDecoder, GenerationId, &[u32]),
) -> (Vec<Event>, Speculated) {
    block_on(decoder.forget()).unwrap();
    let generation = decoder.start(prompt.to_vec(), options.clone(), 0).unwrap();
    let (mut events, mut ids) = (Vec::new(), Vec::new());
    loop {
        before(decoder, generation, &ids);
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            event => {
                if let Event::Token { id, .. } = event {
                    ids.push(id);
                }
                events.push(event);
            }
        }
        if let Some(Event::End { .. }) = events.last() {
            let counts = decoder.speculated(generation);
            decoder.stop(generation);
            return (events, counts);
        }
    }
}

pub fn events(decoder: &mut LoadedDecoder, prompt: &[u32], options: &GenerateOptions) -> (Vec<Event>, Speculated) {
    events_with(decoder, prompt, options, |_, _, _| {})
}

pub fn ids(events: &[Event]) -> Vec<u32> {
    let id = |event: &Event| if let Event::Token { id, .. } = event { Some(*id) } else { None };
    events.iter().filter_map(id).collect()
}

/// A GPU sums in another order for several rows, so that log-probabilities are near.
pub fn assert_near(name: &str, got: &[Event], expected: &[Event]) {
    if name != "gpu" {
        return assert_eq!(got, expected, "{name}");
    }
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        match (got, expected) {
            (Event::Token { id, text, logprobs, .. }, Event::Token { id: i, text: t, logprobs: l, .. }) => {
                assert_eq!((id, text), (i, t));
                let of = |logprobs: &Option<weft_llm::inference::TokenLogprobs>| {
                    logprobs.as_ref().map_or(0.0, |logprobs| logprobs.token.logprob)
                };
                assert!((of(logprobs) - of(l)).abs() < 1e-4, "{logprobs:?} for {l:?}");
            }
            others => assert_eq!(others.0, others.1),
        }
    }
}

#[test]
fn greedy_answers_have_the_same_ids() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(31));
        let mut all = Speculated::default();
        for seed in 0..if name == "cpu" { 200 } else { 20 } {
            let (expected, none) = events(&mut decoder, &prompt(seed), &greedy(48));
            let (got, counts) = events(&mut decoder, &prompt(seed), &speculating(&greedy(48)));
            assert_eq!(got, expected, "{name} {seed}");
            assert_eq!(none, Speculated::default());
            all.drafted += counts.drafted;
            all.accepted += counts.accepted;
        }
        assert!(all.accepted > 0 && all.accepted < all.drafted, "{name}: {all:?}");
    }
}

/// Ways to draw an answer.
pub fn variations() -> [GenerateOptions; 10] {
    let with = |change: &dyn Fn(&mut GenerateOptions)| {
        let mut options = narrow(7, 90);
        change(&mut options);
        options
    };
    [
        with(&|_| {}),
        with(&|options| options.sampling.repetition_penalty = 1.1),
        with(&|options| options.sampling.frequency_penalty = 0.01),
        with(&|options| options.sampling.logit_bias = (0..9).map(|id| (id, 2.0)).collect()),
        with(&|options| options.top_logprobs = Some(3)),
        with(&|options| options.top_logprobs = Some(30)),
        with(&|options| options.ignore_eos = false),
        // no more than fits, and more than fits
        with(&|options| options.max_tokens = Some(2)),
        with(&|options| options.max_tokens = None),
        with(&|options| (options.max_tokens, options.shift_behind) = (Some(2 * CONTEXT), Some(4))),
    ]
}

#[test]
fn sampled_answers_are_the_same_for_a_seed() {
    let variations = variations();
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(32));
        let mut accepted = 0;
        for options in &variations {
            for seed in [1, 2] {
                let (expected, _) = events(&mut decoder, &prompt(seed), options);
                let held = decoder.held_blocks();
                let (got, counts) = events(&mut decoder, &prompt(seed), &speculating(options));
                assert_near(name, &got, &expected);
                assert_eq!(decoder.held_blocks(), held, "{name}: the blocks of drafts are given back");
                accepted += counts.accepted;
            }
        }
        assert!(accepted > 0, "{name}");
    }
}

#[test]
fn stop_strings_end_an_answer_at_the_same_place() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(33));
        let text: String = events(&mut decoder, &prompt(1), &greedy(60)).0.iter().map(text).collect();
        let chars: Vec<char> = text.chars().collect();
        for at in [1, chars.len() / 2, chars.len() - 3] {
            let stop = vec![chars[at..at + 2].iter().collect()];
            let options = GenerateOptions { stop, ..greedy(60) };
            let expected = events(&mut decoder, &prompt(1), &options).0;
            assert_eq!(events(&mut decoder, &prompt(1), &speculating(&options)).0, expected, "{name}");
        }
    }
}

pub fn text(event: &Event) -> &str {
    let (Event::Token { text, .. } | Event::End { text, .. }) = event else { return "" };
    text
}

#[test]
fn masks_hold_in_drafts() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(34));
        let mut accepted = 0;
        for seed in [1, 2, 3] {
            let options = GenerateOptions { constrained: true, ..narrow(seed, 80) };
            let mut run = |options: &GenerateOptions| {
                events_with(&mut decoder, &prompt(seed), options, |decoder, generation, ids| {
                    // a third of all ids, another one behind each
                    let from = ids.last().map_or(0, |id| id % 3);
                    let mut mask = vec![0; VOCAB.div_ceil(32)];
                    (from..VOCAB as u32).step_by(3).for_each(|id| mask[id as usize / 32] |= 1 << (id % 32));
                    decoder.allow(generation, mask).unwrap();
                })
            };
            let expected = run(&options).0;
            let (got, counts) = run(&speculating(&options));
            assert_eq!(got, expected, "{name}");
            let before = [&[0][..], &ids(&got)].concat();
            assert!(before.iter().zip(ids(&got)).skip(1).all(|(before, id)| id % 3 == before % 3), "{name}");
            accepted += counts.accepted;
        }
        assert!(accepted > 0, "{name}");
    }
}

/// The model says one token, whatever it reads.
fn saying(id: u32, max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { logit_bias: [(id, 1e4)].into(), ..SamplingOptions::greedy() };
    GenerateOptions { sampling, ..greedy(max_tokens) }
}

#[test]
fn drafts_are_counted_and_save_steps() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(35));
        let dispatches = |decoder: &LoadedDecoder| decoder.engine().counters().dispatches;
        // the programs are made
        events(&mut decoder, &[9; 10], &speculating(&saying(9, 40)));
        let before = dispatches(&decoder);
        events(&mut decoder, &[9; 10], &saying(9, 40));
        let between = dispatches(&decoder);
        let (got, counts) = events(&mut decoder, &[9; 10], &speculating(&saying(9, 40)));
        assert_eq!(ids(&got), [9; 40], "{name}");
        // a token from the prompt's step, then nine steps of 4 rows and one of 3
        let expected = if name == "gpu" { counts.accepted } else { 9 * 3 + 2 };
        assert_eq!(counts, Speculated { drafted: expected, accepted: expected }, "{name}");
        let saved = (between - before) as f64 / (dispatches(&decoder) - between) as f64;
        assert!(saved > 2.0, "{name}: {saved}");
    }
}

#[test]
fn drafts_that_do_not_pay_end() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(36));
        // behind 3 4 5 came a 6, and now always another id
        let prompt = [3, 4, 5, 6].repeat(50);
        let mut run = |options: &GenerateOptions| {
            events_with(&mut decoder, &prompt, options, |decoder, generation, ids| {
                let id = [3, 4, 5, 9 + ids.len() as u32][ids.len() % 4];
                let mut mask = vec![0; VOCAB.div_ceil(32)];
                mask[id as usize / 32] |= 1 << (id % 32);
                decoder.allow(generation, mask).unwrap();
            })
        };
        let options = GenerateOptions { constrained: true, ..greedy(200) };
        let expected = run(&options).0;
        let (got, Speculated { drafted, accepted }) = run(&speculating(&options));
        assert_eq!(got, expected, "{name}");
        // a wrong one at each of 50 places would be 50 more
        assert!(accepted > 0 && drafted < 40, "{name}: {accepted} of {drafted}");
    }
}

#[test]
fn generations_that_speculate_take_turns() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(37));
        let options = [narrow(1, 60), greedy(90), narrow(2, 30)];
        let expected: Vec<_> =
            options.iter().zip(1..).map(|(options, i)| ids(&events(&mut decoder, &prompt(i), options).0)).collect();
        block_on(decoder.forget()).unwrap();
        let start = |(options, i): (&GenerateOptions, u64)| {
            let options = if i == 3 { options.clone() } else { speculating(options) };
            decoder.start(prompt(i), options, 0).unwrap()
        };
        let generations: Vec<_> = options.iter().zip(1..).map(start).collect();
        assert_eq!(in_turns(&mut decoder, &generations), expected, "{name}");
    }
}

#[test]
fn a_generation_that_speculates_resumes() {
    let bytes = tiny(38);
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &bytes);
        let options = speculating(&narrow(3, 60));
        let expected = ids(&events(&mut decoder, &prompt(2), &options).0);
        for cut in [0, 1, 20, 59] {
            block_on(decoder.forget()).unwrap();
            let generation = decoder.start(prompt(2), options.clone(), 0).unwrap();
            decoder.resume(generation, &expected[..cut]).unwrap();
            assert_eq!(in_turns(&mut decoder, &[generation])[0], expected[cut..], "{name} {cut}");
        }
    }
}

/// Activations that are rounded for prompts are not in drafts: a token has the log-probability of a
/// step of its own.
#[test]
fn drafts_are_not_rounded_as_prompts_are() {
    let bytes = Tiny::new(39, |_| BlockType::Q4_0).bytes();
    for rounded in MATMUL_ROUNDED {
        let mut decoder =
            decoder_on(gpu_with(Variants { matmul_rounded: Some(rounded), ..Variants::PLAIN }), &bytes).unwrap();
        let mut accepted = 0;
        for id in [9, 90, 200] {
            let options = GenerateOptions { top_logprobs: Some(0), ..saying(id, 60) };
            let (expected, _) = events(&mut decoder, &prompt(1), &options);
            let (got, counts) = events(&mut decoder, &prompt(1), &speculating(&options));
            assert_near("gpu", &got, &expected);
            accepted += counts.accepted;
        }
        assert!(accepted > 0);
    }
}

/// The four tokens that may come, and what is added to their logits.
const BIASES: [(u32, f32); 4] = [(40, 100.0), (50, 100.7), (60, 100.3), (70, 99.6)];

/// The temperature at which all four are likely.
const HEAT: f64 = 4.0;

/// Probabilities of these behind a text.
fn probabilities(decoder: &mut LoadedDecoder, text: &[u32]) -> [f64; 4] {
    let options = GenerateOptions { top_logprobs: Some(VOCAB), ..greedy(1) };
    let (events, _) = events(decoder, text, &options);
    let Event::Token { logprobs: Some(logprobs), .. } = &events[0] else { panic!() };
    let of = |id: u32| f64::from(logprobs.top.iter().find(|token| token.id == id).unwrap().logprob);
    let weights = BIASES.map(|(id, bias)| ((of(id) + f64::from(bias) - 100.0) / HEAT).exp());
    weights.map(|weight| weight / weights.iter().sum::<f64>())
}

/// Σ (n - expected)² / expected
fn chi_square(counts: &[u32], probabilities: &[f64]) -> f64 {
    let draws = f64::from(counts.iter().sum::<u32>());
    let term = |(&n, p): (&u32, &f64)| (f64::from(n) - draws * p).powi(2) / (draws * p);
    counts.iter().zip(probabilities).map(term).sum()
}

/// Three tokens behind a text with a draft of two: 64 answers, so 63 degrees of freedom, of which
/// 103.4 is the 0.999 quantile.
#[test]
fn drafts_leave_the_distribution_as_it_is() {
    const DRAWS: u64 = 10_000;
    const QUANTILE: f64 = 103.4;
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(40)).unwrap();
    let draft = [50, 40];
    let text = [&[5, 6, 7][..], &draft, &[8, 9, 5, 6, 7]].concat();
    let behind = |ids: &[usize]| [&text[..], &ids.iter().map(|&i| BIASES[i].0).collect::<Vec<_>>()].concat();
    let mut next = std::collections::BTreeMap::new();
    for ids in [vec![]].into_iter().chain((0..4).map(|a| vec![a])).chain((0..16).map(|ab| vec![ab / 4, ab % 4])) {
        next.insert(ids.clone(), probabilities(&mut decoder, &behind(&ids)));
    }
    let of = |i: usize| {
        let [a, b, c] = [i / 16, i / 4 % 4, i % 4];
        next[&vec![]][a] * next[&vec![a]][b] * next[&vec![a, b]][c]
    };
    let expected: Vec<f64> = (0..64).map(of).collect();
    assert!(expected.iter().all(|p| p * DRAWS as f64 > 5.0), "{expected:?}");

    let place = |id: u32| BIASES.iter().position(|&(other, _)| other == id).unwrap();
    let (mut counts, mut all) = ([0; 64], Speculated::default());
    for seed in 0..DRAWS {
        let sampling = SamplingOptions {
            temperature: HEAT as f32,
            top_k: 4,
            top_p: 1.0,
            min_p: 0.0,
            logit_bias: BIASES.into(),
            seed: Some(seed),
            ..Default::default()
        };
        // all but the last token of the text are in the cache
        let options = speculating(&GenerateOptions { sampling, ..greedy(3) });
        let generation = decoder.start(text.clone(), options, 0).unwrap();
        let mut at = 0;
        loop {
            match block_on(decoder.next(generation)).unwrap() {
                Event::Token { id, .. } => at = at * 4 + place(id),
                Event::End { .. } => break,
                Event::Prompt { .. } => {}
            }
        }
        let Speculated { drafted, accepted } = decoder.speculated(generation);
        (all.drafted, all.accepted) = (all.drafted + drafted, all.accepted + accepted);
        decoder.stop(generation);
        counts[at] += 1;
    }
    assert!(all.drafted as u64 >= 2 * DRAWS - 2 && all.accepted as u64 > DRAWS / 5, "{all:?}");
    let statistic = chi_square(&counts, &expected);
    assert!(statistic < QUANTILE, "{statistic}");

    // the rule as such, and one that draws again from the whole distribution where it refuses
    let mut rng = Rng::new(41);
    let mut draw = |p: &[f64; 4]| {
        let mut left = f64::midpoint(f64::from(rng.unit()), 1.0);
        let within = |&i: &usize| {
            left -= p[i];
            left < 0.0
        };
        (0..3).find(within).unwrap_or(3)
    };
    let mut simulated = |draws_again: bool| {
        let mut counts = [0; 64];
        for _ in 0..DRAWS {
            let (mut ids, mut follows) = (Vec::new(), true);
            for i in 0..3 {
                let p = next[&ids];
                let mut id = draw(&p);
                if follows && draft.get(i).is_some_and(|&drafted| place(drafted) != id) {
                    follows = false;
                    id = if draws_again { draw(&p) } else { id };
                }
                ids.push(id);
            }
            counts[ids[0] * 16 + ids[1] * 4 + ids[2]] += 1;
        }
        chi_square(&counts, &expected)
    };
    let [right, wrong] = [false, true].map(&mut simulated);
    assert!(right < QUANTILE && wrong > 10.0 * QUANTILE, "{right} and {wrong}");
}
