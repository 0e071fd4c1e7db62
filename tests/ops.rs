//! Compares every operation on every engine with the reference, on random data of odd sizes.

mod attention;
mod products;
mod states;

use crate::support::{Rng, Setup, Suite};
use weft_llm::format::BlockType;
use weft_llm::ops::alt_up::{Correction, STREAMS};
use weft_llm::ops::{
    Activate, Activation, AltUp, Combine, Embed, Function, Index, Norm, NormKind, PickColumns, PickRows, Rescale,
    Sparsify,
};
use weft_llm::record::{Row, rows};

/// (tokens of the step, capacity of the recording)
const TOKENS: [(usize, usize); 5] = [(1, 1), (3, 8), (8, 8), (13, 20), (33, 33)];

/// One token, and one of the others: a software adapter takes a second to compile some shaders.
fn one_and_some(rng: &mut Rng) -> [(usize, usize); 2] {
    [TOKENS[0], TOKENS[1 + rng.below(TOKENS.len() - 1)]]
}

/// Whole blocks, at most a few hundred values.
fn cols(block: BlockType, rng: &mut Rng) -> usize {
    if block.block_len() > 32 { [256, 512][rng.below(2)] } else { [32, 96, 160, 576][rng.below(4)] }
}

/// Decode rows of two sequences, a chunk of a prompt of a third between them.
fn rows_of_several() -> Vec<Row> {
    let ids = Rng::new(11).ids(7, 50);
    [rows(2, 131, &ids[..1]), rows(0, 60, &ids[1..6]), rows(1, 16, &ids[6..])].concat()
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
