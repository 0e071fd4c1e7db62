//! A wrong shader is detected before a model runs on it, and replaced by another.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, decoder_on};
use support::{gpu_with, variant_sets};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{BlockType, Layout};
use weft_llm::inference::LoadedDecoder;
use weft_llm::ops::Variants;
use weft_llm::ops::variants::{AttentionVariant, FEW, Feature, LinearVariant, MATMUL_ROUNDED, PLAIN};

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

/// All other variants pass, for every layout.
#[test]
fn right_variants_are_kept() {
    for layout in Layout::ALL {
        let block = BlockType::ALL.into_iter().find(|block| Layout::for_block(*block) == layout).unwrap();
        let bytes = Tiny::of_width(if block.block_len() > 32 { 8 } else { 1 }, 8, |_| block).bytes();
        for variants in variant_sets().into_iter().step_by(3) {
            let decoder = decoder_on(gpu_with(variants), &bytes).unwrap();
            assert!(!notes(&decoder).contains("is not used"), "{}", notes(&decoder));
        }
    }
}
