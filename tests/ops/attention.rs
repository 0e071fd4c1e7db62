//! Attention, and what turns and keeps its keys.

use super::{TOKENS, rows_of_several};
use crate::support::{Setup, Suite};
use weft_llm::format::BlockType;
use weft_llm::ops::attention::Temperature;
use weft_llm::ops::{Attention, Embed, Index, Norm, NormKind, Part, RopeAppend, RopeAttention, RopeKind};
use weft_llm::record::{KvCache, KvFormat};

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
