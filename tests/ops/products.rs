//! Products with matrices, of experts too, and which experts there are for a token.

use super::{TOKENS, cols, one_and_some};
use crate::support::{Rng, Setup, Suite};
use weft_llm::format::{BlockType, Layout};
use weft_llm::ops::{
    Activation, Epilogue, ExpertGroups, ExpertLinear, Function, Gather, Linear, LinearPair, Route, Weighting,
};

#[test]
fn linear() {
    let mut suite = Suite::new();
    let mut rng = Rng::new(1);
    let activations = [
        Activation::SWIGLU,
        Activation { function: Function::GeluTanh, gated: true },
        Activation { function: Function::Gelu, gated: false },
        Activation { function: Function::Relu, gated: false },
        Activation { function: Function::SquaredRelu, gated: false },
        Activation { function: Function::ClampedSwish, gated: true },
    ];
    // each layout with one activation: weights are read independently of it
    for (turn, (block, activation)) in EVERY_LAYOUT.into_iter().zip(activations.into_iter().cycle()).enumerate() {
        let (activate, cap) = (Epilogue::Activate(activation), Epilogue::Cap { scale: 0.5, cap: Some(3.0) });
        for (i, epilogue) in
            [Epilogue::Store, Epilogue::Accumulate { scale: 0.22 }, activate, cap].into_iter().enumerate()
        {
            for (k, tokens) in one_and_some(&mut rng).into_iter().enumerate() {
                let rows = [1, 7, 65, 130][rng.below(4)];
                let (cols, has_affine) = (cols(block, &mut rng), (turn + i + k).is_multiple_of(2));
                linear_case(&mut suite, block, epilogue, has_affine, tokens, (rows, cols));
            }
        }
    }
    // plain layouts need only multiples of four columns
    for block in [BlockType::F32, BlockType::F16, BlockType::Bf16] {
        linear_case(&mut suite, block, Epilogue::Store, true, (3, 8), (7, 36));
        linear_case(&mut suite, block, Epilogue::Store, true, (1, 1), (65, 4));
    }
    suite.report("linear");
}

/// A type of every layout.
const EVERY_LAYOUT: [BlockType; 24] = [
    BlockType::F32,
    BlockType::F16,
    BlockType::Bf16,
    BlockType::Q4_1,
    BlockType::Q5_1,
    BlockType::Q8_0,
    BlockType::Iq4Nl,
    BlockType::Mxfp4,
    BlockType::Q4K,
    BlockType::Q2K,
    BlockType::Q3K,
    BlockType::Q6K,
    BlockType::Q5K,
    BlockType::Iq4Xs,
    BlockType::Tq2_0,
    BlockType::Q1_0,
    BlockType::Nvfp4,
    BlockType::Iq1S,
    BlockType::Iq1M,
    BlockType::Iq2Xxs,
    BlockType::Iq2Xs,
    BlockType::Iq2S,
    BlockType::Iq3Xxs,
    BlockType::Iq3S,
];

#[test]
fn every_layout_is_compared() {
    let layouts = EVERY_LAYOUT.map(Layout::for_block);
    assert!(Layout::ALL.iter().all(|layout| layouts.contains(layout)));
}

fn linear_case(
    suite: &mut Suite,
    block: BlockType,
    epilogue: Epilogue,
    has_affine: bool,
    (tokens, capacity): (usize, usize),
    (outputs, cols): (usize, usize),
) {
    let name =
        format!("{block:?} {epilogue:?} affine {has_affine} tokens {tokens}/{capacity} shape {outputs} × {cols}");
    let norms = (outputs + cols + tokens).is_multiple_of(2);
    suite.case(format!("{name} norm {norms}"), 0, &vec![0; tokens], |s: &mut Setup| {
        let rows = epilogue.inputs() * outputs;
        // only the columns from `y_offset` on are written
        let y_offset = outputs % 5;
        Linear {
            x: s.tensor_of_bytes(capacity, cols),
            norm: norms.then(|| s.norm(cols)),
            weight: s.matrix(block, rows, cols),
            affine: has_affine.then(|| s.tensor(2, rows)),
            epilogue,
            y_offset,
            y: s.output(capacity, y_offset + outputs + 3),
        }
    });
}

#[test]
fn linear_over_the_last_token_only() {
    let mut suite = Suite::new();
    suite.case("one row of many tokens", 0, &[0; 13], |s: &mut Setup| Linear {
        x: s.tensor_of_bytes(13, 96),
        norm: None,
        weight: s.matrix(BlockType::Q8_0, 65, 96),
        affine: None,
        epilogue: Epilogue::Store,
        y_offset: 0,
        y: s.output(1, 65),
    });
    suite.report("linear, one row");
}

#[test]
fn linear_pair() {
    let mut suite = Suite::new();
    // in one dispatch, in two since a workgroup would have both, with a last workgroup that is not
    // full
    for (rows, cols) in [((256, 64), 512), ((40, 24), 256), ((512, 200), 768), ((64, 64), 256)] {
        for (tokens, capacity) in [(1, 1), (1, 1), (1, 1), (3, 8)] {
            for (normed, affine) in [(false, false), (true, false), (false, true), (true, true)] {
                let name = format!("{rows:?} × {cols}, normed {normed}, affine {affine}, tokens {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let width = rows.0 + rows.1;
                    let (x, y) =
                        (s.tensor_of_bytes(capacity, cols), s.output(capacity, width + 4 * usize::from(!affine)));
                    let norm = normed.then(|| s.norm(cols));
                    let affine = affine.then(|| s.tensor(2, width));
                    let mut of = |block, rows, y_offset| {
                        let weight = s.matrix(block, rows, cols);
                        Linear { x, norm, weight, affine, epilogue: Epilogue::Store, y_offset, y }
                    };
                    let (head, tail) = (of(BlockType::Q4K, rows.0, 0), of(BlockType::Q6K, rows.1, rows.0));
                    LinearPair { head, tail }
                });
            }
        }
    }
    suite.report("linear_pair");
}

#[test]
fn expert_linear() {
    let mut suite = Suite::new();
    let mut rng = Rng::new(6);
    for block in EVERY_LAYOUT {
        for slot_inputs in [false, true] {
            for (tokens, capacity) in one_and_some(&mut rng) {
                // experts end within a tile of rows
                let (rows, cols) = ([12, 7, 64, 130][rng.below(4)], cols(block, &mut rng));
                let (chosen, experts, first_expert) = (3, 4, rng.below(3));
                let has_norm = !slot_inputs && rng.below(2) == 1;
                let has_affine = rng.below(3) == 1;
                let gathers = capacity > 1;
                let shape = format!("{block:?} {experts} × {rows} × {cols} from {first_expert}");
                let name = format!(
                    "{shape} slots {slot_inputs} norm {has_norm} affine {has_affine} tokens {tokens}/{capacity}"
                );
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let x = s.tensor_of_bytes(capacity, if slot_inputs { chosen * cols } else { cols });
                    // also experts before and after this part
                    let numbers: Vec<f32> = (0..capacity * 5).map(|i| (i * i % 7) as f32).collect();
                    let route = s.tensor_of(capacity, 5, &numbers);
                    let gathered = gathers.then(|| {
                        let y = s.tensor(1, Gather::len(capacity, chosen, 7));
                        let (op, mut values) = (Gather { route, chosen, experts: 7, y }, vec![0.0; y.cols]);
                        op.reference(&numbers[..5 * tokens], &mut values);
                        s.tensor_of(1, y.cols, &values)
                    });
                    ExpertLinear {
                        x,
                        norm: has_norm.then(|| s.norm(cols)),
                        weight: s.matrix(block, experts * rows, cols),
                        affine: has_affine.then(|| s.tensor(2, experts * rows)),
                        rows,
                        first_expert,
                        all_experts: 7,
                        route,
                        chosen,
                        gathered,
                        y_offset: 2,
                        y: s.output(capacity, chosen * rows + 3),
                    }
                });
            }
        }
    }
    suite.report("expert_linear");
}

const WEIGHTINGS: [Weighting; 5] =
    [Weighting::Softmax, Weighting::Renormalised, Weighting::SparseMixer, Weighting::Sigmoid, Weighting::PlainSigmoid];

#[test]
fn route() {
    let mut suite = Suite::new();
    for weighting in WEIGHTINGS {
        for (experts, chosen) in [(1, 1), (5, 2), (64, 8), (128, 3), (300, 7)] {
            for (shared, ties) in [(false, false), (false, true), (true, false)] {
                for (tokens, capacity) in TOKENS {
                    let shape = format!("{chosen} of {experts}, shared {shared}, ties {ties}");
                    let name = format!("{weighting:?} {shape}, {tokens}/{capacity}");
                    suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                        let shared_cols = usize::from(shared);
                        // of few values, so that many are equal
                        let cols = experts + shared_cols;
                        let few: Vec<f32> = (0..capacity * cols).map(|i| (i * i % 11) as f32 / 4.0).collect();
                        let logits = if ties { s.tensor_of(capacity, cols, &few) } else { s.tensor(capacity, cols) };
                        let has_bias = weighting != Weighting::SparseMixer && !ties;
                        let bias = has_bias.then(|| s.tensor(1, experts));
                        let y = s.output(capacity, 2 * chosen + shared_cols);
                        // groups of more than two experts, and few enough to be left out
                        let count = (2..=experts / 3).rev().find(|count| experts.is_multiple_of(*count));
                        let groups = count.filter(|_| tokens > 1 && weighting != Weighting::SparseMixer).map(|count| {
                            ExpertGroups { count, chosen: (chosen * count).div_ceil(experts).max(count / 2) }
                        });
                        Route { logits, bias, chosen, weighting, groups, shared, y }
                    });
                }
            }
        }
    }
    suite.report("route");
}

#[test]
fn gather() {
    let mut suite = Suite::new();
    let mut rng = Rng::new(7);
    for (tokens, capacity) in TOKENS {
        for (experts, chosen) in [(1, 1), (3, 2), (8, 2), (128, 8), (2048, 3)] {
            let cols = 2 * chosen + 1;
            let any: Vec<f32> = (0..capacity * cols).map(|_| rng.below(experts) as f32).collect();
            let same = vec![(experts / 2) as f32; capacity * cols];
            for (kind, numbers) in [("any", any), ("the same", same)] {
                let name = format!("{chosen} of {experts}, {kind}, {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let y = s.output(1, Gather::len(capacity, chosen, experts) + 3);
                    Gather { route: s.tensor_of(capacity, cols, &numbers), chosen, experts, y }
                });
            }
        }
    }
    suite.report("gather");
}
