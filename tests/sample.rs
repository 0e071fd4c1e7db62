//! Sampling on every engine gives the same ids as the sampler on the host.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use support::{Rng, gpu, read};
use weft_llm::Error;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::{Engine, ProgramId};
use weft_llm::ops::sample::INVALID_ID;
use weft_llm::ops::{Recording, Sample};
use weft_llm::record::{Memory, Step, Tensor, rows};
use weft_llm::sampling::{Sampler, SamplingOptions};

/// Samples from the logits of the last of two tokens.
struct Device {
    engine: Box<dyn Engine>,
    program: ProgramId,
    op: Sample,
}

impl Device {
    fn new(mut engine: Box<dyn Engine>, vocab: usize) -> Self {
        let mut tensor = |rows, cols| Tensor { buffer: engine.create_values("test", rows * cols).unwrap(), rows, cols };
        // more rows than a step has tokens
        let (logits, chain) = (tensor(3, vocab), tensor(1, 4));
        let op = Sample { logits, chain, maxima: tensor(1, Sample::blocks(vocab)), y: tensor(1, 1) };
        let mut recording = Recording::default();
        recording.push(op.clone()).unwrap();
        let program = engine.prepare(recording).unwrap();
        Self { engine, program, op }
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

    fn sample(&mut self, random: u32) -> u32 {
        let rows = rows(0, 0, &[0, 0]);
        self.engine.run(self.program, &Step { random, ..Step::new(&rows, &[]) }).unwrap();
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

#[test]
fn only_a_chain_without_penalties_runs_on_a_device() {
    let values = |options| Sampler::new(options, 0).unwrap().device_values();
    assert!(values(SamplingOptions::default()).is_some());
    assert_eq!(values(SamplingOptions { presence_penalty: 0.1, ..Default::default() }), None);
    assert_eq!(values(SamplingOptions { repetition_penalty: 1.1, ..SamplingOptions::greedy() }), None);
    let mut engine = HostEngine::new(Reference);
    let mut tensor = |cols| Tensor { buffer: engine.create_values("test", cols).unwrap(), rows: 1, cols };
    let (logits, chain, y) = (tensor(100), tensor(4), tensor(1));
    let error = Recording::default().push(Sample { logits, chain, maxima: tensor(3), y }).unwrap_err();
    assert!(matches!(error, Error::Internal { op: "sample", .. }), "{error}");
}
