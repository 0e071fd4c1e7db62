//! Compares every operation on every engine with the reference, on random data of odd sizes.

use crate::support;

use support::{Rng, Setup, Suite};
use weft_llm::format::{BlockType, Layout};
use weft_llm::ops::alt_up::{Correction, STREAMS};
use weft_llm::ops::attention::Temperature;
use weft_llm::ops::{
    Activate, Activation, AltUp, Attention, CausalConvolve, Combine, Convolve, DeltaHeads, DeltaRule, Embed, Epilogue,
    ExpertGroups, ExpertLinear, Function, Gather, Index, Linear, LinearPair, Norm, NormKind, Part, PickColumns,
    PickRows, Rescale, RopeAppend, RopeAttention, RopeKind, Route, ScanHeads, SelectiveScan, Shift, Sparsify,
    Weighting, Wkv, WkvHeads,
};
use weft_llm::record::{KvCache, KvFormat, Row, rows};

/// (tokens of the step, capacity of the recording)
const TOKENS: [(usize, usize); 5] = [(1, 1), (3, 8), (8, 8), (13, 20), (33, 33)];

/// One token, and one of the others: a software adapter takes a second to compile some shaders.
fn one_and_some(rng: &mut Rng) -> [(usize, usize); 2] {
    [TOKENS[0], TOKENS[1 + rng.below(TOKENS.len() - 1)]]
}

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

/// Whole blocks, at most a few hundred values.
fn cols(block: BlockType, rng: &mut Rng) -> usize {
    if block.block_len() > 32 { [256, 512][rng.below(2)] } else { [32, 96, 160, 576][rng.below(4)] }
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
fn embed() {
    let mut suite = Suite::new();
    let mut rng = Rng::new(2);
    for block in BlockType::ALL {
        for (tokens, capacity) in TOKENS {
            let vocabulary = 97;
            let cols = cols(block, &mut rng);
            let ids = rng.ids(tokens, vocabulary);
            suite.case(format!("{block:?} tokens {tokens}/{capacity}"), 5, &ids, |s: &mut Setup| Embed {
                table: s.matrix(block, vocabulary, cols),
                first_row: 0,
                index: Index::Id,
                scale: 1.0,
                y: s.output(capacity, cols),
            });
            // the middle part of a split table: ids before and after it are left to the other parts
            suite.case(format!("{block:?} part, tokens {tokens}/{capacity}"), 0, &ids, |s: &mut Setup| Embed {
                table: s.matrix(block, 31, cols),
                first_row: 40,
                index: Index::Id,
                scale: 3.5,
                y: s.output(capacity, cols),
            });
            // positions from before the part to within it
            suite.case(format!("{block:?} positions, tokens {tokens}/{capacity}"), 38, &ids, |s: &mut Setup| Embed {
                table: s.matrix(block, 31, cols),
                first_row: 40,
                index: Index::Position,
                scale: 1.0,
                y: s.output(capacity, cols),
            });
            suite.case(format!("{block:?} segments, tokens {tokens}/{capacity}"), 0, &ids, |s: &mut Setup| Embed {
                table: s.matrix(block, 2, cols),
                first_row: 0,
                index: Index::Segment,
                scale: 1.0,
                y: s.output(capacity, cols),
            });
        }
    }
    suite.report("embed");
}

#[test]
fn activate() {
    let mut suite = Suite::new();
    for function in [
        Function::Silu,
        Function::GeluTanh,
        Function::Gelu,
        Function::Relu,
        Function::SquaredRelu,
        Function::ClampedSwish,
        Function::Tanh,
    ] {
        for gated in [true, false] {
            let activation = Activation { function, gated };
            for (tokens, capacity) in TOKENS {
                for cols in [1, 7, 65, 160] {
                    let name = format!("{activation:?} tokens {tokens}/{capacity} cols {cols}");
                    suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                        let width = activation.inputs() * cols;
                        // gates far out on both sides too
                        let x: Vec<f32> =
                            Rng::new(3).units(capacity * width).iter().map(|v| v.powi(5) * 120.0).collect();
                        let (x, y) = (s.tensor_of(capacity, width, &x), s.output(capacity, cols));
                        Activate { activation, multiplies: false, x, y, up: None }
                    });
                    if gated {
                        let name =
                            format!("{activation:?} of columns elsewhere, tokens {tokens}/{capacity} cols {cols}");
                        suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                            let (x, y) = (s.tensor(capacity, cols), s.output(capacity, cols));
                            Activate {
                                activation,
                                multiplies: false,
                                x,
                                y,
                                up: Some((s.tensor(capacity, 2 * cols + 3), cols / 2 + 1)),
                            }
                        });
                    }
                }
            }
        }
    }
    suite.report("activate");
}

#[test]
fn norm() {
    let mut suite = Suite::new();
    for kind in [NormKind::Rms, NormKind::Layer] {
        for (groups, width) in [(1, 7), (1, 576), (3, 64), (5, 12), (2, 130)] {
            // what is added: nothing, y, or something else
            for (has_bias, added, in_place) in [
                (false, 0, false),
                (true, 0, false),
                (true, 1, false),
                (false, 1, false),
                (true, 2, false),
                (true, 0, true),
            ] {
                for (tokens, capacity) in TOKENS {
                    let how = format!("bias {has_bias} added {added} in place {in_place}");
                    let name = format!("{kind:?} {groups} × {width} {how} tokens {tokens}/{capacity}");
                    suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                        let cols = groups * width;
                        let first_col = cols % 4;
                        let x = s.output(capacity, first_col + cols + 2);
                        let y = if in_place { x } else { s.output(capacity, cols) };
                        let (weight, bias) = (s.tensor(1, cols), has_bias.then(|| s.tensor(1, cols)));
                        let add = match added {
                            0 => None,
                            1 => Some(y),
                            _ => Some(s.tensor(capacity, cols)),
                        };
                        let scale = (added > 0 && !in_place).then(|| s.tensor(1, 1));
                        Norm { x, first_col, groups, weight, bias, kind, eps: 1e-5, add, y, scale }
                    });
                }
            }
        }
    }
    suite.report("norm");
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

/// Fewer columns than are there, and more, of one input and of three.
#[test]
fn pick_columns() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for widths in [vec![7], vec![200], vec![40, 96, 33]] {
            for picked in [5, 65, 300] {
                let name = format!("{picked} of {widths:?}, tokens {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let inputs: Vec<_> = widths.iter().map(|cols| s.tensor(capacity, *cols)).collect();
                    let others = (inputs.len() == 3).then(|| [inputs[1], inputs[2]]);
                    let all: usize = widths.iter().sum();
                    let columns: Vec<f32> = (0..picked).map(|i| (i * i % all) as f32).collect();
                    let columns = s.tensor_of(1, picked, &columns);
                    PickColumns { x: inputs[0], others, columns, y: s.output(capacity, picked) }
                });
            }
        }
    }
    suite.report("pick_columns");
}

#[test]
fn combine() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for (chosen, slots, cols) in [(1, 1, 7), (2, 3, 65), (8, 8, 160)] {
            let name = format!("{slots} answers of {cols}, tokens {tokens}/{capacity}");
            suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                let (x, route) = (s.tensor(capacity, slots * cols), s.tensor(capacity, chosen + slots));
                Combine { x, route, chosen, scale: 0.7, accumulate: slots != 3, y: s.output(capacity, cols) }
            });
        }
    }
    suite.report("combine");
}

#[test]
fn alt_up() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for hidden in [7, 64, 161] {
            for corrects in [false, true] {
                let name = format!("{hidden} columns, behind {corrects}, tokens {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let first = if corrects { s.output(capacity, hidden) } else { s.tensor(capacity, hidden) };
                    let (late, routed) = (s.tensor(capacity, hidden), s.tensor(capacity, STREAMS));
                    let weights = s.tensor(1, STREAMS.pow(3) + STREAMS.pow(2));
                    let others = (!corrects).then(|| s.tensor(capacity, 3 * hidden));
                    let correction = corrects
                        .then(|| Correction { x: s.tensor(capacity, hidden), corrected: s.tensor(capacity, STREAMS) });
                    let y = s.output(capacity, if corrects { 3 * hidden } else { hidden });
                    AltUp { first, late, routed, weights, others, correction, y }
                });
            }
        }
    }
    suite.report("alt_up");
}

#[test]
fn rescale() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for (width, groups) in [(7, 1), (160, 3), (520, 1)] {
            for (kind, has_weight, is_like, added) in [
                ("in place", false, true, 0),
                ("weight", true, false, 0),
                ("add", false, false, 2),
                ("sum", false, true, 1),
            ] {
                let name = format!("{kind}, {groups} × {width}, tokens {tokens}/{capacity}");
                suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                    let (cols, in_place) = (groups * width, kind == "in place");
                    let first_col = if in_place { 0 } else { cols % 5 };
                    let x = if in_place { s.output(capacity, cols) } else { s.tensor(capacity, first_col + cols + 1) };
                    let y = if in_place { x } else { s.output(capacity, cols) };
                    let weight = has_weight.then(|| s.tensor(1, cols));
                    let like = is_like.then(|| s.tensor(capacity, width));
                    let add = match added {
                        0 => None,
                        1 => Some(y),
                        _ => Some(s.tensor(capacity, cols)),
                    };
                    Rescale { x, first_col, groups, factor: 0.7, weight, like, add, y }
                });
            }
        }
    }
    suite.report("rescale");
}

#[test]
fn sparsify() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for (cols, more, deviations) in [(7, 0, 0.5), (160, 160, 1.6), (515, 9, -0.7)] {
            let name = format!("{cols} of {}, {deviations}, tokens {tokens}/{capacity}", cols + more);
            suite.case(name, 0, &vec![0; tokens], |s: &mut Setup| {
                let y = s.output(capacity, cols + more);
                Sparsify { cols, deviations, y }
            });
        }
    }
    suite.report("sparsify");
}

#[test]
fn pick_rows() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for cols in [1, 65, 160] {
            suite.case(format!("tokens {tokens}/{capacity} cols {cols}"), 0, &vec![0; tokens], |s: &mut Setup| {
                PickRows { x: s.tensor(capacity, cols), y: s.output(1, cols) }
            });
            let mut rows = rows(0, 3, &vec![0; tokens]);
            rows.iter_mut().step_by(3).for_each(|row| row.wanted = true);
            // fewer rows than wanted, as many, and more
            for most in [1, 2, capacity] {
                let name = format!("{most} of tokens {tokens}/{capacity} cols {cols}");
                suite.case_of_rows(name, &rows, |s: &mut Setup| PickRows {
                    x: s.tensor(capacity, cols),
                    y: s.output(most.min(capacity), cols),
                });
            }
        }
    }
    suite.report("pick_rows");
}

/// A format that holds heads of this size; cases take turns.
fn format(head_dim: usize, turn: usize) -> KvFormat {
    let fitting: Vec<_> =
        KvFormat::OF_GPUS.into_iter().filter(|format| head_dim.is_multiple_of(format.unit())).collect();
    fitting[turn % fitting.len()]
}

/// (query heads, key and value heads, values a head)
const HEADS: [(usize, usize, usize); 6] = [(1, 1, 4), (9, 3, 64), (4, 4, 80), (7, 1, 64), (2, 1, 256), (3, 3, 12)];

/// The same of the widest heads, for fewer cases: software GPUs take long for them.
const WIDE: [(usize, usize, usize); 2] = [(3, 1, 512), (5, 1, 576)];

#[test]
fn rope_append() {
    let mut suite = Suite::new();
    for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
        for (heads, kv_heads, head_dim) in HEADS.into_iter().chain(WIDE) {
            for rotary_dim in [head_dim, head_dim / 4 * 2] {
                for (tokens, capacity) in TOKENS {
                    for position in [0, 17, 60] {
                        let name = format!("{kind:?} {heads}/{kv_heads} × {head_dim}, {rotary_dim} tokens {tokens}");
                        suite.case(format!("{name} at {position}"), position, &vec![0; tokens], |s: &mut Setup| {
                            let qkv = s.tensor(capacity, (heads + 2 * kv_heads) * head_dim);
                            // the reference also rotates k in place, which nobody may rely on
                            s.compare(qkv, 0..heads * head_dim);
                            let kv = s.output_cache(kv_heads, head_dim, format(head_dim, tokens + position));
                            let angles = s.tensor(capacity, rotary_dim);
                            let behind = (rotary_dim == head_dim && position == 17)
                                .then(|| s.tensor(1, (heads + kv_heads) * head_dim));
                            RopeAppend { qkv, angles, kv, heads, kind, behind }
                        });
                    }
                    // of a layer that reads the keys of another: the cache stays as it is
                    let name = format!("{kind:?} queries alone, {heads} × {head_dim}, {rotary_dim} tokens {tokens}");
                    suite.case(name, 17, &vec![0; tokens], |s: &mut Setup| {
                        let qkv = s.tensor(capacity, heads * head_dim);
                        s.compare(qkv, 0..heads * head_dim);
                        let kv = s.output_cache(kv_heads, head_dim, format(head_dim, tokens));
                        let kv = KvCache { heads: 0, ..kv };
                        RopeAppend { qkv, angles: s.tensor(capacity, rotary_dim), kv, heads, kind, behind: None }
                    });
                }
            }
        }
    }
    suite.report("rope_append");
}

/// In steps within a block and over its border, of more and of fewer rows than a block keeps.
#[test]
fn convolve() {
    let mut suite = Suite::new();
    for (cols, width) in [(1, 1), (65, 3), (160, 3), (36, 4)] {
        let of = |capacity, s: &mut Setup| Convolve {
            x: s.tensor(capacity, 3 * cols),
            weight: s.tensor(1, cols * width),
            state: s.output_state(cols),
            y: s.output(capacity, cols),
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 1, 17, 60, 64] {
                let name = format!("{cols} × {width} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("convolve");
}

#[test]
fn causal_convolve() {
    let mut suite = Suite::new();
    for (cols, first_col, more, width, biased) in
        [(1, 0, 0, 1, false), (65, 0, 3, 3, true), (160, 7, 0, 4, false), (36, 5, 1, 2, true)]
    {
        let of = |capacity, s: &mut Setup| CausalConvolve {
            x: s.tensor(capacity, first_col + cols + more),
            first_col,
            weight: s.tensor(1, cols * (width + usize::from(biased))),
            biased,
            state: s.output_slots((width - 1) * cols + 5),
            first: 5,
            shift: None,
            y: s.output(capacity, cols),
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{cols} × {width} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("causal_convolve");
}

/// Over two positions, with weights among others: RWKV's.
#[test]
fn token_shift() {
    let mut suite = Suite::new();
    for (cols, first_weight, keeps) in [(1, 0, true), (65, 7, false), (160, 160, true)] {
        let of = |capacity, s: &mut Setup| CausalConvolve {
            x: s.tensor(capacity, cols),
            first_col: 0,
            weight: s.tensor(1, first_weight + cols + 3),
            biased: false,
            state: s.output_slots(cols + 9),
            first: 4,
            shift: Some(Shift { first_weight, keeps }),
            y: s.output(capacity, cols),
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{cols} of {first_weight} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("token_shift");
}

#[test]
fn wkv() {
    let mut suite = Suite::new();
    for (count, dim) in [(1, 4), (3, 12), (2, 64), (2, 68), (1, 200)] {
        let heads = WkvHeads { count, dim };
        let width = heads.width();
        let of = |capacity, s: &mut Setup| Wkv {
            projected: s.tensor(capacity, 7 * width),
            first_values: s.tensor(capacity, width),
            weights: s.tensor(1, 8 * width),
            state: s.output_slots(heads.matrices() + 9),
            first: 5,
            heads,
            y: s.output(capacity, width),
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{heads:?} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("wkv");
}

#[test]
fn delta_rule() {
    let mut suite = Suite::new();
    for (key, value, key_dim, value_dim, tiled) in
        [(1, 1, 4, 4, true), (2, 4, 8, 12, true), (3, 6, 20, 8, false), (2, 2, 128, 128, true), (1, 3, 64, 200, false)]
    {
        let heads = DeltaHeads { key, value, key_dim, value_dim, tiled };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..value).map(|head| -0.1 - head as f32 * 0.7);
            let others = (0..value + value_dim).map(|i| (i % 7) as f32 * 0.3 - 0.8);
            let weights: Vec<f32> = decays.chain(others).collect();
            DeltaRule {
                qkv: s.tensor(capacity, heads.qkv()),
                gates: s.tensor(capacity, heads.qkv() + heads.values() + 2 * value + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                eps: 1e-6,
                y: s.output(capacity, heads.values()),
            }
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{heads:?} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("delta_rule");
}

#[test]
fn selective_scan() {
    let mut suite = Suite::new();
    for (count, groups, head_dim, state_dim) in
        [(1, 1, 4, 4), (6, 2, 12, 20), (3, 3, 65, 8), (2, 1, 64, 128), (2, 2, 200, 30)]
    {
        let heads = ScanHeads { count, groups, head_dim, state_dim, columns: false };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..count).map(|head| -0.1 - head as f32 * 0.7);
            let weights: Vec<f32> = decays.chain((0..2 * count).map(|i| (i % 7) as f32 * 0.3 - 0.8)).collect();
            SelectiveScan {
                xbc: s.tensor(capacity, heads.xbc()),
                gates: s.tensor(capacity, heads.projected() + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                y: s.output(capacity, heads.inner()),
            }
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{heads:?} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("selective_scan");
}

/// Columns that fade by themselves, as in Mamba.
#[test]
fn selective_scan_of_columns() {
    let mut suite = Suite::new();
    for (count, head_dim, state_dim) in [(1, 4, 4), (3, 32, 16), (2, 12, 20), (5, 8, 128), (1, 200, 3)] {
        let heads = ScanHeads { count, groups: 1, head_dim, state_dim, columns: true };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..heads.matrices()).map(|i| -0.1 - (i % 13) as f32 * 0.3);
            let weights: Vec<f32> = decays.chain((0..heads.inner()).map(|i| (i % 7) as f32 * 0.3 - 0.8)).collect();
            SelectiveScan {
                xbc: s.tensor(capacity, heads.xbc()),
                gates: s.tensor(capacity, heads.projected() + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                y: s.output(capacity, heads.inner()),
            }
        };
        for (tokens, capacity) in TOKENS {
            for position in [0, 17] {
                let name = format!("{heads:?} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
            }
        }
        let rows = rows_of_several();
        suite.case_of_rows("several sequences", &rows, |s: &mut Setup| of(rows.len(), s));
    }
    suite.report("selective_scan_of_columns");
}

/// 1 + eˣ lost the digits of a small eˣ on GPUs.
#[test]
fn a_small_time_step_keeps_its_digits() {
    let mut suite = Suite::new();
    let heads = ScanHeads { count: 4, groups: 2, head_dim: 8, state_dim: 12, columns: false };
    // of each head: its decay, a bias that leaves steps of about 1e-5, and nothing direct
    let weights = [-0.5, -11.0, 0.0].map(|weight| [weight; 4]).concat();
    suite.case("from the start", 0, &[0; 3], |s: &mut Setup| SelectiveScan {
        xbc: s.tensor(3, heads.xbc()),
        gates: s.tensor(3, heads.projected()),
        weights: s.tensor_of(1, weights.len(), &weights),
        state: s.output_slots(heads.matrices()),
        first: 0,
        heads,
        y: s.output(3, heads.inner()),
    });
    suite.report("selective_scan");
}

#[test]
fn gates_multiply_in_place() {
    let mut suite = Suite::new();
    let activation = Activation { function: Function::Sigmoid, gated: false };
    for (tokens, capacity) in TOKENS {
        suite.case(format!("tokens {tokens}/{capacity}"), 0, &vec![0; tokens], |s: &mut Setup| {
            let (x, y) = (s.tensor(capacity, 67), s.output(capacity, 67));
            Activate { activation, multiplies: true, x, y, up: None }
        });
    }
    suite.report("activate");
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

/// As one dispatch, most often, and as several.
#[test]
fn rope_attention() {
    let mut suite = Suite::new();
    let shapes = [
        (9, 3, 64, 64),
        (4, 4, 80, 40),
        (7, 1, 64, 32),
        (4, 1, 256, 256),
        (3, 3, 12, 12),
        (16, 2, 128, 0),
        (2, 1, 512, 512),
        (3, 1, 576, 64),
    ];
    for (i, (heads, kv_heads, head_dim, rotary_dim)) in shapes.into_iter().enumerate() {
        for (tokens, capacity) in [(1, 1), (5, 8)] {
            for (k, position) in [0, 63, 64, 130].into_iter().enumerate() {
                let kind = [RopeKind::Interleaved, RopeKind::HalfSplit][(i + k) % 2];
                let (window, normed) = ([None, Some(5), Some(70)][(i + k) % 3], (i + k / 2) % 2 == 0);
                let shape = format!("{kind:?} {heads}/{kv_heads} × {head_dim}, {rotary_dim}, normed {normed}");
                let name = format!("{shape}, window {window:?}, tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| {
                    let kv = s.output_cache(kv_heads, head_dim, format(head_dim, tokens + k));
                    // a key that is rounded the other way shows in y
                    let y = match kv.format {
                        KvFormat::F32 => s.output(capacity, heads * head_dim),
                        _ => s.tensor(capacity, heads * head_dim),
                    };
                    let groups = heads + kv_heads;
                    let qkv = s.tensor(capacity, (groups + kv_heads) * head_dim);
                    let (scale, cap, alibi, causal) = (4.0 / (head_dim as f32).sqrt(), None, None, true);
                    let attention = Attention {
                        q: qkv,
                        kv,
                        heads,
                        scale,
                        cap,
                        alibi,
                        window,
                        causal,
                        part: Part::Whole,
                        sinks: (k == 3).then(|| s.tensor(1, heads)),
                        bias: (k >= 2).then(|| s.tensor(1, 41 * heads)),
                        temperature: (k == 3).then_some(Temperature { scale: 0.5, length: 16 }),
                        y,
                    };
                    let behind = (rotary_dim == head_dim && k == 1).then(|| s.tensor(1, groups * head_dim));
                    let angles = s.tensor(capacity, rotary_dim);
                    let rope = RopeAppend { qkv, angles, kv, heads, kind, behind };
                    let norm = normed.then(|| Norm {
                        x: qkv,
                        first_col: 0,
                        groups,
                        weight: s.tensor(1, groups * head_dim),
                        bias: None,
                        kind: NormKind::Rms,
                        eps: 1e-5,
                        add: None,
                        y: qkv,
                        scale: None,
                    });
                    RopeAttention { norm, rope, attention }
                });
            }
        }
    }
    suite.report("rope_attention");
}

#[test]
fn attention() {
    let mut suite = Suite::new();
    for (heads, kv_heads, head_dim) in HEADS.into_iter().chain(WIDE) {
        let is_wide = WIDE.contains(&(heads, kv_heads, head_dim));
        for (i, (tokens, capacity)) in TOKENS.into_iter().enumerate() {
            // an adapter compiles a shader for each case, so that positions take turns
            for position in [[0, 63], [17, 130]][(heads + i) % 2] {
                if is_wide && ![(1, 130), (3, 63), (33, 17)].contains(&(tokens, position)) {
                    continue;
                }
                // windows shorter than a tile of positions, shorter than a piece of the context,
                // and longer than the sequence
                let all = [(None, None), (Some(5), None), (Some(70), Some(2.0)), (Some(999), Some(50.0)), (None, None)];
                let kind = (heads + tokens + position) % all.len();
                let ((window, cap), causal) = (all[kind], kind < 4);
                let shape = format!("{heads}/{kv_heads} × {head_dim}, window {window:?}, cap {cap:?}, causal {causal}");
                let name = format!("{shape}, tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                    cap,
                    window,
                    causal,
                    ..attention_of((heads, kv_heads, head_dim), capacity, s)
                });
            }
        }
    }
    suite.report("attention");
}

/// Over all positions, with weights far from uniform.
fn attention_of((heads, kv_heads, head_dim): (usize, usize, usize), capacity: usize, s: &mut Setup) -> Attention {
    Attention {
        q: s.tensor(capacity, (heads + 2 * kv_heads) * head_dim),
        kv: s.cache(kv_heads, head_dim, format(head_dim, capacity)),
        heads,
        scale: 4.0 / (head_dim as f32).sqrt(),
        cap: None,
        alibi: None,
        window: None,
        causal: true,
        sinks: None,
        bias: None,
        part: Part::Whole,
        temperature: None,
        y: s.output(capacity, heads * head_dim),
    }
}

/// Decode rows of two sequences, a chunk of a prompt of a third between them.
fn rows_of_several() -> Vec<Row> {
    let ids = Rng::new(11).ids(7, 50);
    [rows(2, 131, &ids[..1]), rows(0, 60, &ids[1..6]), rows(1, 16, &ids[6..])].concat()
}

#[test]
fn rows_of_several_sequences() {
    let mut suite = Suite::new();
    let rows = rows_of_several();
    for capacity in [7, 12] {
        for (heads, kv_heads, head_dim) in HEADS {
            for (window, causal) in [(None, true), (Some(5), true), (Some(70), true), (None, false)] {
                let name =
                    format!("{heads}/{kv_heads} × {head_dim}, window {window:?}, causal {causal}, {capacity} rows");
                suite.case_of_rows(&name, &rows, |s: &mut Setup| Attention {
                    window,
                    causal,
                    ..attention_of((heads, kv_heads, head_dim), capacity, s)
                });
            }
            for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
                let name = format!("{kind:?} {heads}/{kv_heads} × {head_dim}, {capacity} rows");
                suite.case_of_rows(&name, &rows, |s: &mut Setup| {
                    let qkv = s.tensor(capacity, (heads + 2 * kv_heads) * head_dim);
                    s.compare(qkv, 0..heads * head_dim);
                    let kv = s.output_cache(kv_heads, head_dim, format(head_dim, capacity));
                    RopeAppend { qkv, angles: s.tensor(capacity, head_dim), kv, heads, kind, behind: None }
                });
            }
        }
        for index in [Index::Id, Index::Position] {
            suite.case_of_rows(format!("{index:?}, {capacity} rows"), &rows, |s: &mut Setup| Embed {
                table: s.matrix(BlockType::Q8_0, 140, 96),
                first_row: 0,
                index,
                scale: 1.5,
                y: s.output(capacity, 96),
            });
        }
    }
    suite.report("rows of several sequences");
}

#[test]
fn attention_with_sinks_and_temperature() {
    let mut suite = Suite::new();
    let kinds = [(130, None, None, 0.0), (63, Some(70), Some(2.0), 0.5)];
    for (turn, shape) in [(1, 1, 8), (3, 3, 12), (8, 2, 64), (8, 1, 64)].into_iter().enumerate() {
        for (i, (tokens, capacity)) in TOKENS.into_iter().enumerate() {
            for (position, window, cap, scale) in kinds.into_iter().skip((turn + i) % 2).step_by(2) {
                let name =
                    format!("{shape:?}, cap {cap:?}, window {window:?}, {scale}, {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                    sinks: Some(s.tensor(1, shape.0)),
                    temperature: (scale > 0.0).then_some(Temperature { scale, length: 16 }),
                    cap,
                    window,
                    ..attention_of(shape, capacity, s)
                });
            }
        }
    }
    suite.report("attention with sinks and temperature");
}

#[test]
fn attention_with_a_bias_of_each_distance() {
    let mut suite = Suite::new();
    let kinds = [(130, None, true, 128), (0, None, false, 16), (63, Some(70), true, 5), (130, None, false, 0)];
    for (turn, shape) in [(1, 1, 8), (3, 3, 12), (8, 2, 64), (8, 1, 64)].into_iter().enumerate() {
        for (i, (tokens, capacity)) in TOKENS.into_iter().enumerate() {
            for (position, window, causal, reach) in kinds.into_iter().skip((turn + i) % 2).step_by(2) {
                let name = format!(
                    "{shape:?}, window {window:?}, causal {causal}, reach {reach}, {tokens}/{capacity} at {position}"
                );
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                    bias: Some(s.tensor(1, shape.0 * (2 * reach + 1))),
                    window,
                    causal,
                    ..attention_of(shape, capacity, s)
                });
            }
        }
    }
    suite.report("attention with a bias of each distance");
}

#[test]
fn attention_to_a_source_text_and_behind_it() {
    let mut suite = Suite::new();
    for shape in [(3, 3, 12), (8, 2, 64)] {
        for part in [Part::Target, Part::Source] {
            for (tokens, capacity) in TOKENS {
                for position in [3, 150] {
                    let name = format!("{shape:?}, {part:?}, {tokens}/{capacity} at {position}");
                    suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                        bias: (part == Part::Target).then(|| s.tensor(1, shape.0 * 11)),
                        part,
                        ..attention_of(shape, capacity, s)
                    });
                }
            }
            let rows = rows_of_several();
            let of = |s: &mut Setup| Attention { part, ..attention_of(shape, 12, s) };
            suite.case_of_rows(format!("{shape:?}, {part:?}, several"), &rows, of);
        }
    }
    suite.report("attention to a source text and behind it");
}

#[test]
fn attention_with_linear_biases() {
    let mut suite = Suite::new();
    for shape in [(1, 1, 8), (3, 3, 12), (5, 5, 4), (8, 2, 64), (12, 4, 20)] {
        for (tokens, capacity) in TOKENS {
            for (position, window, cap, bias) in [(130, None, None, 8.0), (63, Some(70), Some(2.0), 16.0)] {
                let shape_and_bias = format!("{shape:?}, bias {bias}, cap {cap:?}, window {window:?}");
                let name = format!("{shape_and_bias}, tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                    alibi: Some(bias),
                    cap,
                    window,
                    ..attention_of(shape, capacity, s)
                });
            }
        }
    }
    suite.report("attention with linear biases");
}
