//! Every operation on every engine against the plain reference, on random data of odd sizes.

mod support;

use support::{Rng, Setup, Suite};
use weft_llm::format::{BlockType, Layout};
use weft_llm::ops::{Attention, Embed, Epilogue, LastRow, Linear, RopeAppend, RopeKind, SwiGlu};

/// (tokens of the step, capacity of the recording)
const TOKENS: [(usize, usize); 5] = [(1, 1), (3, 8), (8, 8), (13, 20), (33, 33)];

#[test]
fn linear() {
    let mut suite = Suite::new();
    let mut rng = Rng::new(1);
    for block in EVERY_LAYOUT {
        for epilogue in [Epilogue::Store, Epilogue::Accumulate, Epilogue::SwiGlu] {
            for has_bias in [false, true] {
                for (tokens, capacity) in TOKENS {
                    let rows = [1, 7, 65, 130][rng.below(4)];
                    let cols = cols(block, &mut rng);
                    linear_case(&mut suite, block, epilogue, has_bias, (tokens, capacity), (rows, cols));
                }
            }
        }
    }
    // plain layouts need only fours of columns
    for block in [BlockType::F32, BlockType::F16, BlockType::Bf16] {
        linear_case(&mut suite, block, Epilogue::Store, true, (3, 8), (7, 36));
        linear_case(&mut suite, block, Epilogue::Store, true, (1, 1), (65, 4));
    }
    suite.report("linear");
}

/// A type of every layout. Q6K16 is there twice: with a minimum that is a multiple of the scale, and with one of its own.
const EVERY_LAYOUT: [BlockType; 10] = [
    BlockType::F32,
    BlockType::F16,
    BlockType::Bf16,
    BlockType::Q4_1,
    BlockType::Q5_1,
    BlockType::Q4K,
    BlockType::Q2K,
    BlockType::Q6K,
    BlockType::Q5K,
    BlockType::Iq4Xs,
];

#[test]
fn every_layout_is_compared() {
    let layouts = EVERY_LAYOUT.map(Layout::for_block);
    assert!(Layout::ALL.iter().all(|layout| layouts.contains(layout)));
}

/// Whole blocks, and no more than a few hundred values.
fn cols(block: BlockType, rng: &mut Rng) -> usize {
    if block.block_len() > 32 { [256, 512][rng.below(2)] } else { [32, 96, 160, 576][rng.below(4)] }
}

fn linear_case(
    suite: &mut Suite,
    block: BlockType,
    epilogue: Epilogue,
    has_bias: bool,
    (tokens, capacity): (usize, usize),
    (outputs, cols): (usize, usize),
) {
    let name = format!("{block:?} {epilogue:?} bias {has_bias} tokens {tokens}/{capacity} shape {outputs} × {cols}");
    let norms = (outputs + cols + tokens).is_multiple_of(2);
    suite.case(format!("{name} norm {norms}"), 0, &vec![0; tokens], |s: &mut Setup| {
        let rows = if epilogue == Epilogue::SwiGlu { 2 * outputs } else { outputs };
        // columns beside those that are written stay as they are
        let y_offset = outputs % 5;
        Linear {
            x: s.tensor_of_bytes(capacity, cols),
            norm: norms.then(|| s.norm(cols)),
            weight: s.matrix(block, rows, cols),
            bias: has_bias.then(|| s.tensor(1, rows)),
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
        bias: None,
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
                y: s.output(capacity, cols),
            });
            // the middle part of a split table: ids before and after it are left to the other parts
            suite.case(format!("{block:?} part, tokens {tokens}/{capacity}"), 0, &ids, |s: &mut Setup| Embed {
                table: s.matrix(block, 31, cols),
                first_row: 40,
                y: s.output(capacity, cols),
            });
        }
    }
    suite.report("embed");
}

#[test]
fn swiglu() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for cols in [1, 7, 65, 160] {
            suite.case(format!("tokens {tokens}/{capacity} cols {cols}"), 0, &vec![0; tokens], |s: &mut Setup| {
                // gates far out on both sides too
                let gate_up: Vec<f32> =
                    Rng::new(3).units(capacity * 2 * cols).iter().map(|v| v.powi(5) * 120.0).collect();
                SwiGlu { gate_up: s.tensor_of(capacity, 2 * cols, &gate_up), y: s.output(capacity, cols) }
            });
        }
    }
    suite.report("swiglu");
}

#[test]
fn last_row() {
    let mut suite = Suite::new();
    for (tokens, capacity) in TOKENS {
        for cols in [1, 65, 160] {
            suite.case(format!("tokens {tokens}/{capacity} cols {cols}"), 0, &vec![0; tokens], |s: &mut Setup| {
                LastRow { x: s.tensor(capacity, cols), y: s.output(1, cols) }
            });
        }
    }
    suite.report("last_row");
}

/// (query heads, key and value heads, values a head)
const HEADS: [(usize, usize, usize); 6] = [(1, 1, 4), (9, 3, 64), (4, 4, 80), (6, 1, 64), (2, 1, 256), (3, 3, 12)];

#[test]
fn rope_append() {
    let mut suite = Suite::new();
    for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
        for (heads, kv_heads, head_dim) in HEADS {
            for rotary_dim in [head_dim, head_dim / 4 * 2] {
                for (tokens, capacity) in TOKENS {
                    for position in [0, 17] {
                        let context = 51;
                        let name = format!("{kind:?} {heads}/{kv_heads} × {head_dim}, {rotary_dim} tokens {tokens}");
                        suite.case(format!("{name} at {position}"), position, &vec![0; tokens], |s: &mut Setup| {
                            let qkv = s.tensor(capacity, (heads + 2 * kv_heads) * head_dim);
                            // the reference also turns k in place, which nobody may rely on
                            s.compare(qkv, 0..heads * head_dim);
                            let k_cache = s.output(kv_heads * context, head_dim).buffer;
                            let v_cache = s.output(kv_heads * context, head_dim).buffer;
                            let table = s.tensor(context, rotary_dim);
                            RopeAppend { qkv, table, k_cache, v_cache, heads, kv_heads, head_dim, kind }
                        });
                    }
                }
            }
        }
    }
    suite.report("rope_append");
}

#[test]
fn linear_with_rope_append() {
    let mut suite = Suite::new();
    for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
        for (heads, kv_heads, head_dim) in HEADS {
            for (tokens, capacity) in TOKENS {
                let (context, position, cols) = (51, 17, 96);
                let name = format!("{kind:?} {heads}/{kv_heads} × {head_dim}, tokens {tokens}/{capacity}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| {
                    let width = (heads + 2 * kv_heads) * head_dim;
                    let qkv = s.tensor(capacity, width);
                    s.compare(qkv, 0..heads * head_dim);
                    let k_cache = s.output(kv_heads * context, head_dim).buffer;
                    let v_cache = s.output(kv_heads * context, head_dim).buffer;
                    let table = s.tensor(context, head_dim / 4 * 2);
                    let rope = RopeAppend { qkv, table, k_cache, v_cache, heads, kv_heads, head_dim, kind };
                    Linear {
                        x: s.tensor_of_bytes(capacity, cols),
                        norm: Some(s.norm(cols)),
                        weight: s.matrix(BlockType::Q4_1, width, cols),
                        bias: (heads > 3).then(|| s.tensor(1, width)),
                        epilogue: Epilogue::RopeAppend(rope),
                        y_offset: 0,
                        y: qkv,
                    }
                });
            }
        }
    }
    suite.report("linear with rope_append");
}

#[test]
fn attention() {
    let mut suite = Suite::new();
    for (heads, kv_heads, head_dim) in HEADS {
        for (tokens, capacity) in TOKENS {
            for position in [0, 17, 63, 130] {
                let context = 171;
                let name = format!("{heads}/{kv_heads} × {head_dim} tokens {tokens}/{capacity} at {position}");
                suite.case(name, position, &vec![0; tokens], |s: &mut Setup| Attention {
                    q: s.tensor(capacity, (heads + 2 * kv_heads) * head_dim),
                    k_cache: s.tensor(kv_heads * context, head_dim).buffer,
                    v_cache: s.tensor(kv_heads * context, head_dim).buffer,
                    context,
                    heads,
                    kv_heads,
                    head_dim,
                    // far from uniform weights
                    scale: 4.0 / (head_dim as f32).sqrt(),
                    y: s.output(capacity, heads * head_dim),
                });
            }
        }
    }
    suite.report("attention");
}
