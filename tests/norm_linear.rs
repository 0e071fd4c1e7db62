//! A block's output is normalised, added to the residual stream and projected: as one dispatch, and
//! as two; alone, and in a model.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, exact_decoder_on};
use support::{Rng, Setup, Suite, gpu_with, variant_sets};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::BlockType;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder};
use weft_llm::ops::variants::MATVEC;
use weft_llm::ops::{Activation, Epilogue, Linear, Norm, NormKind, NormLinear, Recording, RmsNorm};
use weft_llm::sampling::SamplingOptions;

/// Of these sizes. Where activations may be rounded to bytes, nothing is added, so that bytes hold
/// the sum.
fn norm_linear(
    s: &mut Setup,
    block: BlockType,
    epilogue: Epilogue,
    capacity: usize,
    (rows, cols): (usize, usize),
) -> NormLinear {
    let is_plain = [BlockType::F32, BlockType::F16].contains(&block);
    let x = s.tensor_of_bytes(capacity, cols);
    let add = match is_plain {
        true => s.tensor(capacity, cols),
        false => s.tensor_of(capacity, cols, &vec![0.0; capacity * cols]),
    };
    let y = s.output(capacity, cols);
    let RmsNorm { weight, eps } = s.norm(cols);
    let (kind, bias, add) = (NormKind::Rms, None, Some(add));
    let norm = Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add, y, scale: None };
    let next = Some(s.norm(cols));
    let (weight, outputs) = (s.matrix(block, rows, cols), rows / epilogue.inputs());
    let out = s.output(capacity, outputs + 3);
    let linear = Linear { x: y, norm: next, weight, affine: None, epilogue, y_offset: 3, y: out };
    NormLinear { norm, linear, tail: None }
}

#[test]
fn one_dispatch_gives_what_two_give() {
    let mut suite = Suite::new();
    let epilogues =
        [Epilogue::Store, Epilogue::Activate(Activation::SWIGLU), Epilogue::Cap { scale: 0.5, cap: Some(3.0) }];
    // fewer quads than a workgroup has invocations, more of them, and too many for its memory
    let columns = [32, 96, 1056, 2560, 4096];
    for (i, cols) in columns.into_iter().enumerate() {
        for (j, block) in [BlockType::F16, BlockType::Q8_0, BlockType::F32, BlockType::Q4_1].into_iter().enumerate() {
            for (tokens, capacity) in [(1, 1), (1, 1), (3, 8)] {
                let (epilogue, rows) = (epilogues[(i + j) % 3], [2, 66, 130][(i + j) % 3]);
                let name = format!("{block:?} {rows} × {cols}, {epilogue:?}, tokens {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    norm_linear(s, block, epilogue, capacity, (rows, cols))
                });
            }
        }
    }
    // layouts of larger groups
    for block in [BlockType::Q4K, BlockType::Q6K, BlockType::Q5K] {
        for rows in [34, 130] {
            for _ in 0..3 {
                let gated = Epilogue::Activate(Activation::SWIGLU);
                suite.case(format!("{block:?} {rows}"), 0, &[0], |s: &mut Setup| {
                    norm_linear(s, block, gated, 1, (rows, 2560))
                });
            }
        }
    }
    // rows of two layouts: where a workgroup has rows of one of them, and where it would not
    for rows in [(256, 96), (128, 32), (32, 64)] {
        for tokens in [1, 1, 3] {
            let capacity = if tokens == 1 { 1 } else { 4 };
            let name = format!("rows of two layouts, {rows:?}, tokens {tokens}");
            suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                let of = norm_linear(s, BlockType::Q4K, Epilogue::Store, capacity, (rows.0, 512));
                let (y, weight) = (s.output(capacity, rows.0 + rows.1), s.matrix(BlockType::Q6K, rows.1, 512));
                let linear = Linear { y_offset: 0, y, ..of.linear };
                let tail = Some(Linear { weight, y_offset: rows.0, ..linear });
                NormLinear { linear, tail, ..of }
            });
        }
    }
    suite.report("norm_linear");
}

#[test]
fn a_projection_joins_the_norm_before_it() {
    let mut engine = HostEngine::new(Reference);
    let mut joined = |change: fn(&mut NormLinear)| {
        let mut op = None;
        support::prepare(&mut engine, 1, 1, |s| {
            let made = norm_linear(s, BlockType::F32, Epilogue::Store, 1, (8, 64));
            op = Some(made);
            made
        });
        let mut op = op.unwrap();
        change(&mut op);
        let mut recording = Recording::default();
        recording.push(op.norm).unwrap();
        recording.push(op.linear).unwrap();
        recording.commands.len() == 1
    };
    assert!(joined(|_| {}));
    // without a residual, or in place: others still read what would be written
    assert!(!joined(|op| op.norm.add = None));
    assert!(!joined(|op| op.norm.add = Some(op.norm.y)));
    assert!(!joined(|op| op.linear.norm = None));
    assert!(!joined(|op| op.linear.x = op.norm.x));
    assert!(!joined(|op| op.linear.epilogue = Epilogue::ACCUMULATE));
}

/// Gemma's layers: norms around both blocks, and heads' norms of q and k.
fn gemma() -> Vec<u8> {
    let mut rng = Rng::new(23);
    let mut tiny = Tiny::new(31, |_| BlockType::Q8_0);
    for (key, value) in tiny.metadata.clone() {
        if let Some(rest) = key.strip_prefix("llama.") {
            tiny.metadata.push((format!("gemma2.{rest}"), value));
        }
    }
    let mut tiny = tiny.meta("general.architecture", "gemma2");
    for layer in 0..support::tiny::LAYERS {
        for norm in ["post_attention_norm", "post_ffw_norm"] {
            tiny = tiny.vector(&format!("blk.{layer}.{norm}.weight"), &rng.units(support::tiny::HIDDEN));
        }
    }
    tiny.bytes()
}

/// The most likely ids with their log-probabilities, of each of some tokens behind a single one.
fn told(decoder: &mut LoadedDecoder) -> Vec<Vec<(u32, f32)>> {
    let (sampling, top_logprobs) = (SamplingOptions::greedy(), Some(5));
    let options =
        GenerateOptions { max_tokens: Some(6), ignore_eos: true, sampling, top_logprobs, ..Default::default() };
    let generation = decoder.start(vec![9], options, 0).unwrap();
    let mut all = Vec::new();
    loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Token { logprobs, .. } => {
                all.push(logprobs.unwrap().top.iter().map(|token| (token.id, token.logprob)).collect());
            }
            Event::Prompt { .. } => {}
            Event::End { .. } => return all,
        }
    }
}

#[test]
fn a_model_answers_the_same_either_way() {
    let bytes = gemma();
    let expected = told(&mut exact_decoder_on(HostEngine::new(Reference), &bytes));
    assert_eq!(expected.len(), 6);
    for variants in variant_sets().into_iter().take(MATVEC.len()) {
        let got = told(&mut exact_decoder_on(gpu_with(variants), &bytes));
        for ((got_id, got), (id, logprob)) in got.iter().flatten().zip(expected.iter().flatten()) {
            let about = format!("{}: {got_id} {got} for {id} {logprob}", variants.matvec_narrow.name);
            assert!(got_id == id && (got - logprob).abs() < 1e-3, "{about}");
        }
    }
}
