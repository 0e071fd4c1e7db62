//! RoPE that a caller has scaled for a longer context: what a file would say, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::Rng;
use support::agreement::logits;
use support::tiny::{HEAD_DIM, Tiny, VOCAB};
use weft_llm::Error;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::BlockType;
use weft_llm::inference::{LoadedDecoder, Loading};
use weft_llm::model::context::ScalingKind;
use weft_llm::model::{Context, RopeScaling};

/// Positions of pretraining, and four times as many.
const TRAINED: u32 = 32;
const LONG: usize = 128;

fn tiny() -> Tiny {
    Tiny::new(17, |_| BlockType::F32).meta("llama.context_length", TRAINED)
}

fn asked(kind: ScalingKind, factor: f32, length: usize) -> Context {
    Context { length: Some(length), scaling: Some(RopeScaling { kind, factor }) }
}

fn load(bytes: &[u8], context: impl Into<Context>) -> Result<LoadedDecoder, Error> {
    let mut loading = Loading::new(Box::new(HostEngine::new(Reference)), context);
    block_on(loading.feed(bytes))?;
    block_on(loading.finish())
}

/// Logits of a text that is longer than those of pretraining.
fn read(bytes: &[u8], context: impl Into<Context>) -> Vec<Vec<f32>> {
    logits(&mut load(bytes, context).unwrap(), &Rng::new(3).ids(100, VOCAB))
}

#[test]
fn scaling_that_is_asked_for_is_that_of_a_file() {
    let plain = tiny().bytes();
    let in_file = |kind: &str| {
        tiny()
            .meta("llama.context_length", 4 * TRAINED)
            .meta("llama.rope.scaling.type", kind)
            .meta("llama.rope.scaling.factor", 4.0f32)
            .meta("llama.rope.scaling.original_context_length", TRAINED)
            .bytes()
    };
    for (kind, name) in [(ScalingKind::Linear, "linear"), (ScalingKind::Yarn, "yarn")] {
        let expected = read(&in_file(name), Some(LONG));
        assert_eq!(read(&plain, asked(kind, 4.0, LONG)), expected, "{name}");
        // in place of the file's own, over the context of its pretraining
        for other in ["linear", "yarn"] {
            assert_eq!(read(&in_file(other), asked(kind, 4.0, LONG)), expected, "{name} for {other}");
        }
    }
}

/// base · (factor · length / trained - (factor - 1))^(dim / (dim - 2)), as transformers computes it
/// for a sequence of this length.
#[test]
fn dynamic_scaling_raises_the_base_with_the_length() {
    let plain = tiny().bytes();
    let dim = HEAD_DIM as f32;
    for (factor, length) in [(4.0f32, 128), (8.0, 112)] {
        let longer = factor * (length as f32 / TRAINED as f32) - (factor - 1.0);
        let base = 10000.0 * longer.powf(dim / (dim - 2.0));
        let in_file = tiny().meta("llama.context_length", 4 * TRAINED).meta("llama.rope.freq_base", base).bytes();
        let expected = read(&in_file, Some(length));
        assert_eq!(read(&plain, asked(ScalingKind::Dynamic, factor, length)), expected, "{factor} {length}");
    }
    let ids = Rng::new(3).ids(30, VOCAB);
    let within = |context: Context| logits(&mut load(&plain, context).unwrap(), &ids);
    assert_eq!(within(asked(ScalingKind::Dynamic, 4.0, 32)), within(Some(32).into()));
}

#[test]
fn scaled_keys_are_of_another_model() {
    let plain = tiny().bytes();
    let of = |context: Context| load(&plain, context).unwrap().info().fingerprint;
    let all = [
        of(Some(32).into()),
        of(asked(ScalingKind::Yarn, 4.0, 32)),
        of(asked(ScalingKind::Yarn, 2.0, 32)),
        of(asked(ScalingKind::Dynamic, 4.0, 64)),
        of(asked(ScalingKind::Dynamic, 4.0, 128)),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{all:?}");
    }
    assert_eq!(of(asked(ScalingKind::Yarn, 2.0, 64)), all[2], "a length alone changes no key");
}

#[test]
fn what_cannot_be_scaled_is_refused() {
    let plain = tiny().bytes();
    let fixture = |name: &str| std::fs::read(format!("tests/fixtures/architectures/{name}/model.gguf")).unwrap();
    let yarn = |factor: f32, length: usize| asked(ScalingKind::Yarn, factor, length);
    let cases = [
        (plain.clone(), Some(33).into(), "1 to 32, the length that this model was trained for (ropeScaling"),
        (plain.clone(), yarn(2.0, 65), "1 to 64, the length that this model was trained for, times the factor"),
        (plain.clone(), yarn(0.5, 16), "ropeScaling.factor"),
        (plain.clone(), yarn(f32::NAN, 16), "ropeScaling.factor"),
        (fixture("gpt2"), yarn(2.0, 16), "a model with RoPE, got `gpt2`"),
        (fixture("bloom"), yarn(2.0, 16), "a model with RoPE, got `bloom`"),
        (fixture("phi3-longrope"), yarn(2.0, 16), "LongRoPE"),
    ];
    for (bytes, context, words) in cases {
        let Err(error) = load(&bytes, context) else { panic!("{words}: it loaded") };
        assert_eq!(error.code(), "INVALID_OPTION", "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
