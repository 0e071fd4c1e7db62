//! Sampling on every engine gives the same ids as the sampler on the host.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use support::{Rng, gpu, read};
use weft_llm::Error;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::{Engine, ProgramId};
use weft_llm::ops::adjust::{self, Changes, RECENT};
use weft_llm::ops::likely::{self, Told};
use weft_llm::ops::sample::INVALID_ID;
use weft_llm::ops::{Adjust, Likely, Recording, Sample};
use weft_llm::record::{Memory, Step, Tensor, rows};
use weft_llm::sampling::{Sampler, SamplingOptions, log_sum_exp, most_likely};

/// Samples from the logits of the last of two tokens, as they are or adjusted.
struct Device {
    engine: Box<dyn Engine>,
    program: ProgramId,
    adjusting: ProgramId,
    telling: ProgramId,
    op: Sample,
    adjust: Adjust,
    likely: Likely,
}

impl Device {
    fn new(mut engine: Box<dyn Engine>, vocab: usize) -> Self {
        let mut tensor = |rows, cols| Tensor { buffer: engine.create_values("test", rows * cols).unwrap(), rows, cols };
        // more rows than a step has tokens
        let (logits, chain) = (tensor(3, vocab), tensor(1, 4));
        let op = Sample { logits, chain, maxima: tensor(1, Sample::blocks(vocab)), y: tensor(1, 1) };
        let mut recording = Recording::default();
        recording.push(op).unwrap();
        let program = engine.prepare(recording).unwrap();
        let mut tensor = |cols| Tensor { buffer: engine.create_values("test", cols).unwrap(), rows: 1, cols };
        let (changes, mask, recent) = (tensor(Adjust::room(vocab)), tensor(Adjust::mask_words(vocab)), tensor(RECENT));
        let adjust = Adjust { logits, changes, mask, recent, y: tensor(vocab) };
        let mut recording = Recording::default();
        recording.push(adjust).unwrap();
        recording.push(Sample { logits: adjust.y, ..op }).unwrap();
        let adjusting = engine.prepare(recording).unwrap();
        let mut tensor = |cols| Tensor { buffer: engine.create_values("test", cols).unwrap(), rows: 1, cols };
        let (maxima, sums) = (tensor(Sample::blocks(vocab)), tensor(Sample::blocks(vocab)));
        let likely = Likely { logits, maxima, sums, id: tensor(1), y: tensor(likely::WORDS) };
        let mut recording = Recording::default();
        recording.push(likely).unwrap();
        let telling = engine.prepare(recording).unwrap();
        Self { engine, program, adjusting, telling, op, adjust, likely }
    }

    fn all(vocab: usize) -> [Self; 2] {
        let engines: [Box<dyn Engine>; 2] = [Box::new(HostEngine::new(Reference)), Box::new(gpu())];
        engines.map(|engine| Self::new(engine, vocab))
    }

    fn set_logits(&mut self, logits: &[f32]) {
        let other = vec![f32::NAN; logits.len()];
        for (row, logits) in [&other, logits, &other].into_iter().enumerate() {
            self.engine.write_values(self.op.logits.buffer, row * logits.len(), logits).unwrap();
        }
    }

    fn set_chain(&mut self, values: &[f32]) {
        self.engine.write_values(self.op.chain.buffer, 0, values).unwrap();
    }

    fn write(&mut self, tensor: Tensor, words: &[u32]) {
        self.engine.write_values(tensor.buffer, 0, bytemuck::cast_slice(words)).unwrap();
    }

    /// What `sampler` changes after `history`, of which the last `ahead` ids are on the device.
    fn set_changes(&mut self, sampler: &Sampler, history: &[u32], ahead: usize) {
        let (known, queued) = history.split_at(history.len() - ahead);
        let mut recent = [u32::MAX; RECENT];
        (known.len()..).zip(queued).for_each(|(position, &id)| recent[position % RECENT] = id);
        let (tokens, ahead) = sampler.changes(known, ahead);
        let (newest, penalties) = ((known.len() + queued.len()).saturating_sub(1), sampler.penalties());
        let changes = Changes { tokens: &tokens, ahead, newest, penalties, masked: sampler.mask().is_some() };
        let words = adjust::words(&changes, self.op.logits.cols);
        self.write(self.adjust.changes, &words);
        self.write(self.adjust.recent, &recent);
        if let Some(mask) = sampler.mask() {
            let mut mask = mask.to_vec();
            mask.resize(self.adjust.mask.cols, 0);
            self.write(self.adjust.mask, &mask);
        }
    }

    /// What log-probabilities need where `id` was sampled.
    fn told(&mut self, id: u32) -> Told {
        self.write(self.likely.id, &[id]);
        let rows = rows(0, 0, &[0, 0]);
        self.engine.run(self.telling, &Step::new(&rows, &[])).unwrap();
        let words = read(self.engine.as_mut(), self.likely.y.buffer, likely::WORDS);
        Told::read(bytemuck::cast_slice(&words), self.op.logits.cols.min(likely::MOST))
    }

    fn sample(&mut self, random: u32) -> u32 {
        self.run(self.program, random)
    }

    fn run(&mut self, program: ProgramId, random: u32) -> u32 {
        let rows = rows(0, 0, &[0, 0]);
        self.engine.run(program, &Step { random, ..Step::new(&rows, &[]) }).unwrap();
        read(self.engine.as_mut(), self.op.y.buffer, 1)[0].to_bits()
    }
}

fn options() -> Vec<SamplingOptions> {
    let off = || SamplingOptions { temperature: 1.0, top_k: 256, top_p: 1.0, min_p: 0.0, ..Default::default() };
    vec![
        SamplingOptions::greedy(),
        SamplingOptions::default(),
        off(),
        SamplingOptions { top_k: 1, ..off() },
        SamplingOptions { top_k: 40, ..off() },
        SamplingOptions { top_p: 0.9, ..off() },
        SamplingOptions { top_p: 0.0, ..off() },
        SamplingOptions { min_p: 0.02, ..off() },
        SamplingOptions { temperature: 1e30, top_k: 100, top_p: 0.99, min_p: 0.001, ..off() },
        SamplingOptions { temperature: f32::MIN_POSITIVE, ..off() },
        SamplingOptions { temperature: 0.3, top_k: 255, top_p: 0.5, ..off() },
    ]
}

/// Asserts the same ids as the host's sampler, for each set of options and `draws` draws of a seed.
/// Returns the number of different ids.
fn assert_like_the_sampler(devices: &mut [Device], logits: &[f32], draws: usize) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    devices.iter_mut().for_each(|device| device.set_logits(logits));
    for (seed, options) in (0..).zip(options()) {
        let mut host = Sampler::new(options.clone(), seed).unwrap();
        let mut ahead = Sampler::new(options.clone(), seed).unwrap();
        devices.iter_mut().for_each(|device| device.set_chain(&ahead.device_values().unwrap()));
        for draw in 0..draws {
            let (expected, random) = (host.sample(logits, &[]).unwrap(), ahead.random());
            seen.insert(expected);
            for device in devices.iter_mut() {
                let kind = device.engine.info().kind;
                let got = device.sample(random);
                assert_eq!(got, expected, "{kind}, {} logits, draw {draw}, {options:?}", logits.len());
            }
        }
    }
    seen.len()
}

#[test]
fn every_engine_draws_the_same_ids_as_the_sampler() {
    for (vocab, draws) in
        [(1, 2), (5, 20), (33, 50), (257, 100), (1_003, 50), (49_152, 50), (151_936, 10), (262_144, 10)]
    {
        let mut rng = Rng::new(vocab as u64);
        let mut devices = Device::all(vocab);
        // like a model's logits: a few far above the others
        let peaked: Vec<f32> = rng.units(vocab).iter().map(|v| v.powi(5) * 8.0 - 3.0).collect();
        let different = assert_like_the_sampler(&mut devices, &peaked, draws);
        assert!(different >= 10 || vocab < 100, "{vocab} logits gave {different} ids: what would a wrong draw change?");
        // mostly ties, including zeros of both signs
        let ties: Vec<f32> = rng.units(vocab).iter().map(|v| (v * 4.0).round() * 0.5).collect();
        assert_like_the_sampler(&mut devices, &ties, draws);
        assert_like_the_sampler(&mut devices, &vec![-7.5; vocab], draws.min(5));
        // forbidden tokens, and fewer allowed ones than candidates
        let forbidden: Vec<f32> =
            (0..vocab).map(|id| if (id + 1) % 7.min(vocab) == 0 { rng.unit() } else { f32::NEG_INFINITY }).collect();
        assert_like_the_sampler(&mut devices, &forbidden, draws.min(10));
    }
}

#[test]
fn invalid_logits_are_reported() {
    let vocab = 1_003;
    for mut device in Device::all(vocab) {
        device.set_chain(&Sampler::new(SamplingOptions::default(), 0).unwrap().device_values().unwrap());
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
            for at in [0, 31, 32, vocab - 1] {
                let mut logits = Rng::new(1).units(vocab);
                device.set_logits(&logits);
                assert_ne!(device.sample(7), INVALID_ID);
                logits[at] = bad;
                device.set_logits(&logits);
                assert_eq!(device.sample(7), INVALID_ID, "{bad} at {at} on {}", device.engine.info().kind);
            }
        }
        device.set_logits(&vec![f32::NEG_INFINITY; vocab]);
        assert_eq!(device.sample(7), INVALID_ID);
    }
}

/// Draws of each set of options after a history of few ids, some of them still on the device.
#[test]
fn biases_penalties_and_masks_are_those_of_the_sampler() {
    for vocab in [1, 5, 33, 257, 2_049, 49_157, 262_144] {
        let mut rng = Rng::new(vocab as u64 + 7);
        let mut devices = Device::all(vocab);
        let plain: Vec<f32> = rng.units(vocab).iter().map(|v| v.powi(5) * 8.0 - 3.0).collect();
        // with ties, zeros of both signs, and forbidden tokens
        let some = |v: &f32| if *v > 0.9 { f32::NEG_INFINITY } else { (v * 4.0).round() * 0.5 };
        let ties: Vec<f32> = rng.units(vocab).iter().map(some).collect();
        for logits in [plain, ties] {
            devices.iter_mut().for_each(|device| device.set_logits(&logits));
            let best = most_likely(&logits, 20).unwrap();
            let history: Vec<u32> = rng.ids(60, 30).iter().map(|&i| best[i as usize % best.len()]).collect();
            // a few of the many take seconds
            let (lens, step) = if vocab < 10_000 { (&[0, 1, 30, 60][..], 1) } else { (&[60][..], 3) };
            for (seed, options) in (0..).zip(adjusting_options(&best).into_iter().step_by(step)) {
                for masked in [false, true] {
                    let mut host = Sampler::new(options.clone(), seed).unwrap();
                    let mut ahead = host.clone();
                    devices.iter_mut().for_each(|device| device.set_chain(&host.device_values().unwrap()));
                    for &len in lens {
                        if masked {
                            let mut mask = rng.ids(vocab.div_ceil(32), usize::MAX);
                            mask[best[0] as usize / 32] |= 1 << (best[0] % 32);
                            host.allow(mask.clone());
                            ahead.allow(mask);
                        }
                        let on_device = len.min(rng.ids(1, RECENT)[0] as usize);
                        let history = &history[..len];
                        let expected = host.sample(&logits, history).map_err(|_| "nothing is left");
                        let random = ahead.random();
                        for device in devices.iter_mut() {
                            device.set_changes(&ahead, history, on_device);
                            let got = device.run(device.adjusting, random);
                            let kind = device.engine.info().kind;
                            let about = format!("{kind}, {vocab} logits, {len} ids, masked: {masked}, {options:?}");
                            assert_eq!(got, expected.unwrap_or(INVALID_ID), "{about}");
                        }
                    }
                }
            }
        }
    }
}

/// With biases and penalties of `ids`, and of ids that are not in the vocabulary.
fn adjusting_options(ids: &[u32]) -> Vec<SamplingOptions> {
    let hot = || SamplingOptions { temperature: 2.0, top_k: 256, top_p: 1.0, min_p: 0.0, ..Default::default() };
    let bias = |i: usize| (ids[i % ids.len()], [1.37, -2.9, 0.0, f32::MAX, f32::MIN, -0.013][i % 6]);
    let some: Vec<_> = (0..11).map(bias).chain([(u32::MAX, 1.0), (1 << 23, -1.0)]).collect();
    let [mild, finite] = [&some[..2], &some[..3]].map(<[_]>::to_vec);
    let greedy = SamplingOptions::greedy;
    vec![
        SamplingOptions { logit_bias: some.clone(), ..hot() },
        SamplingOptions { logit_bias: mild.clone(), ..greedy() },
        SamplingOptions { repetition_penalty: 1.3, ..greedy() },
        SamplingOptions { repetition_penalty: 0.7, penalty_last_n: 9, ..hot() },
        SamplingOptions { frequency_penalty: 0.31, presence_penalty: 0.77, penalty_last_n: 3, ..hot() },
        SamplingOptions { frequency_penalty: 0.31, penalty_last_n: usize::MAX, ..greedy() },
        SamplingOptions { presence_penalty: -0.4, penalty_last_n: 0, ..hot() },
        SamplingOptions {
            repetition_penalty: 1.17,
            frequency_penalty: 0.113,
            presence_penalty: 0.219,
            logit_bias: finite.clone(),
            ..hot()
        },
        SamplingOptions { frequency_penalty: -3e38, repetition_penalty: 1e-45, logit_bias: finite, ..hot() },
        SamplingOptions { frequency_penalty: 3e38, presence_penalty: 3e38, logit_bias: some, ..hot() },
    ]
}

#[test]
fn invalid_logits_of_allowed_tokens_are_reported() {
    let vocab = 3_001;
    let options = SamplingOptions { repetition_penalty: 2.0, logit_bias: vec![(7, -3.0)], ..Default::default() };
    for mut device in Device::all(vocab) {
        let mut sampler = Sampler::new(options.clone(), 0).unwrap();
        device.set_chain(&sampler.device_values().unwrap());
        let mut mask = vec![u32::MAX; vocab.div_ceil(32)];
        mask[2_500 / 32] &= !(1 << (2_500 % 32));
        sampler.allow(mask);
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
            for at in [0, 7, 2_500, vocab - 1] {
                let mut logits = Rng::new(1).units(vocab);
                logits[at] = bad;
                device.set_logits(&logits);
                device.set_changes(&sampler, &[5, 7], 1);
                let got = device.run(device.adjusting, 7);
                assert_eq!(got == INVALID_ID, at != 2_500, "{bad} at {at} on {}", device.engine.info().kind);
            }
        }
        sampler.allow(vec![]);
        device.set_logits(&vec![1.0; vocab]);
        device.set_changes(&sampler, &[], 0);
        assert_eq!(device.run(device.adjusting, 7), INVALID_ID, "nothing is allowed");
    }
}

/// Of the last of two tokens.
#[test]
fn what_log_probabilities_need_is_that_of_the_host() {
    for vocab in [1, 5, 19, 33, 2_049, 49_157, 262_144] {
        let mut rng = Rng::new(vocab as u64 + 3);
        let peaked: Vec<f32> = rng.units(vocab).iter().map(|v| v.powi(5) * 8.0 - 3.0).collect();
        let some = |v: &f32| if *v > 0.9 { f32::NEG_INFINITY } else { (v * 4.0).round() * 0.5 };
        let ties: Vec<f32> = rng.units(vocab).iter().map(some).chain([2.5]).skip(1).collect();
        let mut one = vec![f32::NEG_INFINITY; vocab];
        one[vocab / 2] = -1e30;
        for mut device in Device::all(vocab) {
            let kind = device.engine.info().kind;
            for logits in [&peaked, &ties, &vec![-7.5; vocab], &one, &vec![1e30; vocab]] {
                device.set_logits(logits);
                for id in [0, vocab as u32 - 1] {
                    let told = device.told(id);
                    let top = most_likely(logits, likely::MOST).unwrap();
                    let with_logit = |id: u32| (id, logits[id as usize]);
                    let expected: Vec<_> = top.into_iter().map(with_logit).collect();
                    assert_eq!(told.top, expected, "{kind}, {vocab} logits");
                    assert_eq!((told.id, told.logit), with_logit(id), "{kind}, {vocab} logits");
                    let (sum, expected) = (told.log_sum_exp, log_sum_exp(logits));
                    assert!((sum - expected).abs() <= 1e-6 * expected.abs().max(10.0), "{kind}: {sum} for {expected}");
                }
            }
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
                let mut logits = peaked.clone();
                logits[vocab / 3] = bad;
                device.set_logits(&logits);
                assert_eq!(device.told(0).id, INVALID_ID, "{bad} on {kind}");
            }
        }
    }
}

#[test]
fn a_device_samples_with_any_chain_of_few_tokens() {
    let values = |options| Sampler::new(options, 0).unwrap().device_values();
    assert!(values(SamplingOptions { presence_penalty: 0.1, ..Default::default() }).is_some());
    assert_eq!(values(SamplingOptions { top_k: 257, ..Default::default() }), None);
    let mut engine = HostEngine::new(Reference);
    let mut tensor = |cols| Tensor { buffer: engine.create_values("test", cols).unwrap(), rows: 1, cols };
    let (logits, chain, y) = (tensor(100), tensor(4), tensor(1));
    let error = Recording::default().push(Sample { logits, chain, maxima: tensor(3), y }).unwrap_err();
    assert!(matches!(error, Error::Internal { op: "sample", .. }), "{error}");
}
