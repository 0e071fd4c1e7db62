//! A wrong shader is detected before a model runs on it, and replaced by another.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, decoder_on};
use support::{gpu_with, variant_sets};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::trial::{Trial, relative_error, small};
use weft_llm::format::{BlockType, Layout};
use weft_llm::inference::LoadedDecoder;
use weft_llm::ops::adjust::RECENT;
use weft_llm::ops::variants::{AttentionVariant, FEW, Feature, LinearVariant, MATMUL_ROUNDED, PLAIN};
use weft_llm::ops::{Adjust, Command, Likely, Sample, Variants, likely};
use weft_llm::record::{BufferId, Tensor};

/// Computes only a quarter of the rows.
const TOO_FEW_ROWS: LinearVariant = LinearVariant { name: "wrong", rows: 8, ..PLAIN };
/// Computes only the first four tokens.
const TOO_FEW_TOKENS: LinearVariant = LinearVariant { name: "wrong", tokens: 32, ..PLAIN };
/// Is given activations in f16, and takes them for bytes.
const OTHER_ROUNDING: LinearVariant = LinearVariant { name: "wrong", needs: Some(Feature::F16), ..MATMUL_ROUNDED[0] };
/// Has invocations for half of the keys of a block.
const TOO_SHORT: AttentionVariant =
    AttentionVariant { name: "wrong", shader: "attention", split: 64, lanes: 64, queries: 0, software_only: false };

const IDS: [u32; 7] = [1, 9, 200, 4, 77, 31, 250];

fn logits(decoder: &mut LoadedDecoder) -> Vec<f32> {
    let mut all = Vec::new();
    block_on(decoder.logits(&IDS, |_, row| all.extend_from_slice(row))).unwrap();
    all
}

fn notes(decoder: &LoadedDecoder) -> String {
    decoder.info().engine.notes.join("\n")
}

#[test]
fn a_wrong_variant_is_replaced() {
    let plain = Variants::PLAIN;
    let wrong = [
        Variants { matvec_narrow: &TOO_FEW_ROWS, ..plain },
        Variants { matmul: &TOO_FEW_TOKENS, ..plain },
        Variants { matmul_rounded: Some(&TOO_FEW_TOKENS), ..plain },
        Variants { matmul_rounded: Some(&OTHER_ROUNDING), ..plain },
        Variants { attend_one: &TOO_SHORT, ..plain },
        // with weights in tiles
        Variants { matmul: &TOO_FEW_TOKENS, ..variant_sets()[0] },
    ];
    for block in [BlockType::Q4_0, BlockType::Q8_0] {
        let bytes = Tiny::new(8, |_| block).bytes();
        let expected = logits(&mut decoder_on(HostEngine::new(Reference), &bytes).unwrap());
        for variants in wrong {
            let variants =
                Variants { matmul_rounded: variants.matmul_rounded.filter(|v| v.name == "wrong"), ..variants };
            let mut engine = gpu_with(variants);
            // few tokens have a tile of their own
            engine.set_prompt_chunk(2 * FEW);
            let mut decoder = decoder_on(engine, &bytes).unwrap();
            let notes = notes(&decoder);
            assert!(notes.contains("is not used, for") && !notes.contains("wrong;"), "{notes}");
            let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
            for (got, expected) in logits(&mut decoder).iter().zip(&expected) {
                // keys and values are in f16; a wrong variant is off by about one
                assert!((got - expected).abs() < 1e-2 * rms, "{got} instead of {expected}\n{notes}");
            }
        }
    }
}

/// Draws are ids and logits, of which every bit is known.
#[test]
fn draws_are_right_in_every_bit() {
    let of = |rows, cols| Tensor { buffer: BufferId(0), rows, cols };
    for vocab in [1, 33, 259, 5_000, 151_936] {
        let [logits, maxima, sums] = [vocab, Sample::blocks(vocab), Sample::blocks(vocab)].map(|cols| of(1, cols));
        let [room, mask] = [Adjust::room(vocab), Adjust::mask_words(vocab)];
        let adjust = Adjust { logits, changes: of(1, room), mask: of(1, mask), recent: of(1, RECENT), y: logits };
        let (chain, id) = (of(1, 4), of(1, 1));
        let sample = Sample { logits, chain, maxima, y: id };
        let likely = Likely { logits, maxima, sums, id, y: of(1, likely::WORDS) };
        for (command, exact) in [(adjust.into(), vocab), (sample.into(), 1), (likely.into(), likely::WORDS - 1)] {
            let trial = Trial::of(&small(&command));
            let expected = block_on(trial.expected()).unwrap();
            assert_eq!(expected.exact.len(), exact, "{}", trial.name);
            let (_, got) = block_on(trial.run(&mut gpu_with(Variants::PLAIN))).unwrap();
            assert!(relative_error(&got, &expected) < 1e-5, "{} of {vocab}", trial.name);
            if vocab > 259 && matches!(command, Command::Adjust(_)) {
                let forbidden = expected.exact.iter().filter(|bits| **bits == f32::NEG_INFINITY.to_bits()).count();
                assert!((vocab / 4..vocab * 3 / 4).contains(&forbidden), "{forbidden} of {vocab}");
            }
        }
    }
}

/// All other variants pass, and every layout; layouts take turns in the variants, since lavapipe
/// compiles slowly.
#[test]
fn right_variants_are_kept() {
    const TURNS: usize = 9;
    for (turn, layout) in Layout::ALL.into_iter().enumerate() {
        let block = BlockType::ALL.into_iter().find(|block| Layout::for_block(*block) == layout).unwrap();
        let bytes = Tiny::of_width(if block.block_len() > 32 { 8 } else { 1 }, 8, |_| block).bytes();
        for variants in variant_sets().into_iter().skip(turn % TURNS).step_by(TURNS) {
            let decoder = decoder_on(gpu_with(variants), &bytes).unwrap();
            assert!(!notes(&decoder).contains("is not used"), "{}", notes(&decoder));
        }
    }
}
