//! Attention over short and long contexts, in both formats of keys and values, on every engine.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::ops::Range;

use half::f16;
use pollster::block_on;
use support::{Setup, Suite, gpu};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::{Simd, pool};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::ops::variants::{ATTEND_MANY, ATTEND_ONE};
use weft_llm::ops::{Attention, Part, Recording, RopeAppend, RopeKind};
use weft_llm::record::{BufferId, KvCache, KvFormat, Memory, Row, Step, Tensor, rows};

/// (query heads, key and value heads, values a head): groups of 1, 3, 4, 7 and 8, and larger ones,
/// of which a workgroup takes a part.
const SHAPES: [(usize, usize, usize); 9] =
    [(2, 2, 64), (6, 2, 64), (4, 1, 80), (7, 1, 96), (16, 2, 128), (3, 3, 256), (8, 1, 256), (16, 1, 64), (9, 1, 128)];

/// The variants for many tokens that take each row alone, and those that take a tile of queries.
const ROW_BY_ROW: Range<usize> = 0..2;
const IN_TILES: Range<usize> = 2..ATTEND_MANY.len();

/// Blocks of a long context, and their order.
fn table(first: u32, blocks: u32) -> Vec<u32> {
    (first..first + blocks).rev().collect()
}

/// Cases take turns.
fn format(head_dim: usize, turn: usize) -> KvFormat {
    KvFormat::OF_GPUS[turn % KvFormat::OF_GPUS.len()].of_heads(head_dim)
}

/// Weights are far from uniform.
fn attention(s: &mut Setup, shape: (usize, usize, usize), capacity: usize, format: KvFormat) -> Attention {
    let (heads, kv_heads, head_dim) = shape;
    Attention {
        q: s.tensor(capacity, (heads + 2 * kv_heads) * head_dim),
        kv: s.cache(kv_heads, head_dim, format),
        heads,
        scale: 8.0 / (head_dim as f32).sqrt(),
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
fn one_token_sees_contexts_of_every_length() {
    let (mut all, mut first) = (Suite::of_attention(0..ATTEND_ONE.len()), Suite::of_attention(0..1));
    // windows that begin within a block and a piece
    let windows = [(Some(70), Some(2.0), None), (Some(300), None, Some(8.0))];
    let kinds = [(None, None, None), windows[0], windows[1], (None, Some(50.0), Some(8.0))];
    for (turn, shape) in SHAPES.into_iter().enumerate() {
        let (format, kind) = (format(shape.2, turn + 1), kinds[turn % kinds.len()]);
        // an invocation that takes a key head alone is unrolled for all values of its query heads:
        // software adapters compile that for minutes
        let suite = if shape.0 / shape.1 * shape.2 > 512 { &mut first } else { &mut all };
        for length in [1, 63, 64, 65, 500] {
            case_of_one_token(suite, shape, format, kind, length);
        }
    }
    // more positions than pieces of the shortest length hold
    case_of_one_token(&mut all, (7, 1, 64), KvFormat::F16, (None, None, None), 3000);
    case_of_one_token(&mut all, (4, 2, 32), KvFormat::Q8, (Some(1111), None, None), 3000);
    case_of_one_token(&mut all, (16, 16, 8), KvFormat::F16, (None, Some(50.0), None), 3000);
    case_of_one_token(&mut all, (32, 32, 8), KvFormat::F32, (Some(1111), None, Some(8.0)), 3000);
    all.report("attention of one token");
    first.report("attention of one token, large groups");
}

fn case_of_one_token(
    suite: &mut Suite,
    shape: (usize, usize, usize),
    format: KvFormat,
    (window, cap, alibi): (Option<usize>, Option<f32>, Option<f32>),
    length: usize,
) {
    let how = format!("window {window:?}, cap {cap:?}, bias {alibi:?}");
    let name = format!("{shape:?} in {}, {how}, length {length}", format.name());
    let table = table(0, length.div_ceil(64) as u32);
    let of = |s: &mut Setup| Attention { window, cap, alibi, ..attention(s, shape, 1, format) };
    suite.case_of_tables(name, &rows(0, length - 1, &[0]), &[&table], of);
}

#[test]
fn rows_of_several_sequences_see_their_own() {
    let mut suite = Suite::of_attention(ROW_BY_ROW);
    let tables = [table(0, 8), table(8, 3), table(11, 5)];
    let steps: [Vec<Row>; 2] = [
        [rows(0, 64, &[0; 3]), rows(2, 300, &[0]), rows(1, 126, &[0; 4])].concat(),
        [rows(1, 0, &[0]), rows(0, 500, &[0; 2])].concat(),
    ];
    for (shape, format, window, causal) in [
        ((6, 2, 64), KvFormat::F16, None, true),
        ((6, 2, 64), KvFormat::F32, Some(100), true),
        ((6, 2, 64), KvFormat::Q8, None, false),
        ((5, 1, 96), KvFormat::F16, Some(100), true),
        ((6, 2, 64), KvFormat::F32, Some(40), false),
    ] {
        for rows in &steps {
            let how = format!("window {window:?}, causal {causal}, {} rows", rows.len());
            let name = format!("{shape:?} in {}, {how}", format.name());
            let of = |s: &mut Setup| Attention { window, causal, ..attention(s, shape, 9, format) };
            suite.case_of_tables(name, rows, &tables.each_ref().map(|table| &table[..]), of);
        }
    }
    suite.report("attention of several sequences");
}

#[test]
fn tiles_of_queries_see_what_each_row_sees() {
    let mut suite = Suite::of_attention(IN_TILES);
    // windows that begin within a tile and a block; the softest bias reaches far
    let kinds = [
        (None, None, None, true),
        (Some(70), Some(2.0), None, true),
        (Some(9), None, Some(8.0), true),
        (None, Some(50.0), Some(2.0), true),
        (None, None, None, false),
        (Some(9), None, None, false),
        (Some(20), None, Some(2.0), false),
    ];
    // also heads of which a tile has a part
    let shapes = [&SHAPES[..], &[(71, 1, 8), (2, 1, 72), (8, 2, 112)]].concat();
    for (turn, shape) in shapes.into_iter().enumerate() {
        let format = format(shape.2, turn);
        for (position, tokens) in [(0, 18), (111, 33)] {
            let (window, cap, alibi, causal) = kinds[(turn + tokens) % kinds.len()];
            let how = format!("window {window:?}, cap {cap:?}, bias {alibi:?}, causal {causal}");
            let name = format!("{shape:?} in {}, {how}, {tokens} tokens at {position}", format.name());
            let of = |s: &mut Setup| Attention { window, cap, alibi, causal, ..attention(s, shape, 40, format) };
            suite.case_of_tables(name, &rows(0, position, &vec![0; tokens]), &[&table(0, 3)], of);
        }
    }
    suite.report("attention in tiles");
}

#[test]
fn tiles_are_cut_into_pieces_where_they_are_few() {
    let mut suite = Suite::of_attention(IN_TILES);
    for (shape, window, position) in [((6, 2, 64), None, 600), ((4, 1, 32), Some(300), 555), ((8, 1, 16), None, 1000)] {
        let name = format!("{shape:?}, window {window:?}, at {position}");
        let of = |s: &mut Setup| Attention { window, ..attention(s, shape, 16, KvFormat::Q8.of_heads(shape.2)) };
        suite.case_of_tables(name, &rows(0, position, &[0; 16]), &[&table(0, 16)], of);
    }
    suite.report("attention in tiles and pieces");
}

#[test]
fn tiles_hold_rows_of_several_sequences() {
    let mut suite = Suite::of_attention(IN_TILES);
    let tables = [table(0, 8), table(8, 3), table(11, 5)];
    let step = [rows(0, 64, &[0; 13]), rows(2, 300, &[0]), rows(1, 126, &[0; 4]), rows(0, 400, &[0; 3])].concat();
    for (shape, format, window, causal) in [
        ((6, 2, 64), KvFormat::F16, None, true),
        ((6, 2, 64), KvFormat::F32, Some(100), true),
        ((1, 1, 16), KvFormat::F16, None, false),
        ((5, 1, 96), KvFormat::F16, Some(100), true),
        ((6, 2, 64), KvFormat::F32, Some(40), false),
    ] {
        let name = format!("{shape:?} in {}, window {window:?}, causal {causal}", format.name());
        let of = |s: &mut Setup| Attention { window, causal, ..attention(s, shape, 24, format) };
        suite.case_of_tables(name, &step, &tables.each_ref().map(|table| &table[..]), of);
    }
    suite.report("attention in tiles of several sequences");
}

/// GPUs have no kernels for them.
#[test]
fn nibbles_are_attended_to_on_the_cpu() {
    let mut suite = Suite::of_attention(0..0);
    for (turn, shape) in [(6, 2, 64), (7, 1, 96), (3, 3, 256), (16, 1, 64), (2, 2, 32)].into_iter().enumerate() {
        for (position, tokens) in [(0, 1), (499, 1), (111, 33)] {
            let window = [None, Some(70)][(turn + tokens) % 2];
            let name = format!("{shape:?}, window {window:?}, {tokens} tokens at {position}");
            let of = |s: &mut Setup| Attention { window, ..attention(s, shape, 40, KvFormat::Q4) };
            suite.case_of_tables(name, &rows(0, position, &vec![0; tokens]), &[&table(0, 8)], of);
        }
    }
    for position in [0, 61] {
        suite.case(format!("append at {position}"), position, &[0; 5], |s: &mut Setup| {
            let qkv = s.tensor(5, 8 * 64);
            let (kv, angles) = (s.output_cache(2, 64, KvFormat::Q4), s.tensor(5, 64));
            RopeAppend { qkv, angles, kv, heads: 4, kind: RopeKind::HalfSplit, behind: None }
        });
    }
    suite.report("attention in nibbles");
}

/// One layer without projections: keys and values are appended, then attended to.
fn layer(engine: &mut dyn Engine, format: KvFormat) -> (Recording, Tensor, KvCache) {
    let (heads, kv_heads, head_dim) = (2, 1, 32);
    let mut tensor = |rows, cols, values: &[f32]| {
        let buffer = engine.create_values("case", rows * cols).unwrap();
        engine.write_values(buffer, 0, values).unwrap();
        Tensor { buffer, rows, cols }
    };
    // no query looks at where the largest key is
    let qkv: Vec<f32> = (0..128).map(|i| if i % 32 == 8 { 0.0 } else { (i as f32 * 0.7).sin() }).collect();
    let (qkv, angles) = (tensor(1, 128, &qkv), tensor(1, 32, &[1.0, 0.0].repeat(16)));
    engine.write_values(qkv.buffer, 64 + 8, &[-1e6]).unwrap();
    engine.write_values(qkv.buffer, 96 + 2, &[7e4]).unwrap();
    let y = Tensor { buffer: engine.create_values("case", 64).unwrap(), rows: 1, cols: 64 };
    let kv = KvCache { buffer: BufferId(0), heads: kv_heads, head_dim, format, parts: 1 };
    let kv = KvCache { buffer: engine.create_blocks("case", &kv, 1).unwrap(), ..kv };
    let mut recording = Recording::default();
    recording.push(RopeAppend { qkv, angles, kv, heads, kind: RopeKind::HalfSplit, behind: None }).unwrap();
    let (cap, alibi, window, causal) = (None, None, None, true);
    recording
        .push(Attention {
            q: qkv,
            kv,
            heads,
            scale: 0.25,
            cap,
            alibi,
            window,
            causal,
            sinks: None,
            bias: None,
            part: Part::Whole,
            temperature: None,
            y,
        })
        .unwrap();
    (recording, y, kv)
}

#[test]
fn keys_and_values_beyond_f16_are_its_largest() {
    let engines: [Box<dyn Engine>; 3] =
        [Box::new(HostEngine::new(Reference)), Box::new(HostEngine::new(Simd::default())), Box::new(gpu())];
    for mut engine in engines {
        let largest = [-65504.0, 65504.0];
        for (format, most) in [(KvFormat::F32, [-1e6, 7e4]), (KvFormat::F16, largest), (KvFormat::Q8, largest)] {
            let (recording, y, kv) = layer(&mut *engine, format);
            let program = engine.prepare(recording).unwrap();
            engine.run(program, &Step::new(&rows(0, 0, &[0]), &[&[0]])).unwrap();
            let ranges = vec![kv.keys(0, 0..1), kv.values(0, 0..1)];
            let read = block_on(engine.read_ranges(kv.buffer, ranges)).unwrap();
            let kind = engine.info().kind;
            assert_eq!([read[8], read[32 + 2]], most, "{kind} {format:?}");
            // the weight of the only position is one
            let seen = block_on(engine.read_values(y.buffer, 64)).unwrap();
            let is_near = |value: f32| (value / most[1] - 1.0).abs() < 1e-6;
            assert!([seen[2], seen[34]].map(is_near) == [true; 2], "{kind} {format:?}: {seen:?}");
        }
    }
}

#[test]
fn what_is_read_of_a_cache_is_written_back_exactly() {
    let engines: [Box<dyn Engine>; 2] = [Box::new(HostEngine::new(Simd::default())), Box::new(gpu())];
    for mut engine in engines {
        written_back(&mut *engine);
    }
}

fn written_back(engine: &mut dyn Engine) {
    let formats = if engine.info().kind == "gpu" { &KvFormat::OF_GPUS[..] } else { &KvFormat::ALL };
    for &format in formats {
        let shape = KvCache { buffer: BufferId(0), heads: 1, head_dim: 32, format, parts: 1 };
        let [first, second] = [0, 1].map(|_| engine.create_blocks("case", &shape, 2).unwrap());
        let len = 2 * shape.block_len();
        let values: Vec<f32> = (0..len).map(|i| (i as f32).sin() * 10_f32.powi(i as i32 % 9 - 4)).collect();
        engine.write_values(first, 0, &values).unwrap();
        let read = block_on(engine.read_values(first, len)).unwrap();
        let mut expected = values;
        format.round(&mut expected);
        assert_eq!(read, expected);
        engine.write_values(second, 0, &read).unwrap();
        assert_eq!(block_on(engine.read_values(second, len)).unwrap(), read);
        assert_eq!(engine.buffer_bytes(second), format.bytes(len) as u64);
        // a whole block, as the bytes that a store keeps
        let block = &read[len / 2..];
        engine.write_block(&KvCache { buffer: second, ..shape }, 0, &format.encode(block)).unwrap();
        assert_eq!(block_on(engine.read_values(second, len / 2)).unwrap(), block);
        // blocks are copied as they are
        engine.copy_block(&[second], 0, 1).unwrap();
        let halves = block_on(engine.read_values(second, len)).unwrap();
        assert_eq!(halves[..len / 2], halves[len / 2..]);
        assert!(format != KvFormat::F16 || read.iter().all(|value| f16::from_f32(*value).to_f32() == *value));
    }
}

/// Tiles, pieces and threads change no bit of a row: each alone gives what it gives among others.
#[test]
fn rows_of_the_cpu_are_the_same_in_any_step() {
    pool::start(3).unwrap();
    // windows that begin within a run
    let kinds = [(None, None), (Some(70), Some(2.0)), (Some(300), None)];
    for (turn, shape) in SHAPES.into_iter().chain([(71, 1, 8)]).enumerate() {
        let (window, alibi) = kinds[turn % kinds.len()];
        let format = KvFormat::ALL[turn % KvFormat::ALL.len()].of_heads(shape.2);
        let run = |step: &[Row]| {
            let mut engine = HostEngine::new(Simd::default());
            let mut y = None;
            let record = |s: &mut Setup| {
                let op = Attention { window, alibi, ..attention(s, shape, 90, format) };
                y = Some((op.q, op.y));
                op
            };
            let tables = [table(0, 12), table(12, 3)];
            let program = support::prepare(&mut engine, 8, 15, record).0;
            let (q, y) = y.unwrap();
            let all = support::read(&mut engine, q.buffer, 90 * q.cols);
            for (i, row) in step.iter().enumerate() {
                let query = row.position % 90;
                engine.write_values(q.buffer, i * q.cols, &all[query * q.cols..][..q.cols]).unwrap();
            }
            engine.run(program, &Step::new(step, &tables.each_ref().map(|table| &table[..]))).unwrap();
            let read = support::read(&mut engine, y.buffer, step.len() * y.cols);
            read.chunks(y.cols).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let step = [rows(1, 100, &[0; 7]), rows(0, 600, &[0; 61])].concat();
        let together = run(&step);
        for i in [0, 3, 6, 7, 8, 22, 23, 38, 39, 40, 67] {
            assert_eq!(run(&step[i..=i])[0], together[i], "{shape:?} in {}, row {i}", format.name());
        }
    }
}

/// The nearest f16 is within 2^-12 of a value's power of two. Scores of about 3 are then off by
/// some 2^-11, and so are weights and the results. A byte is within a 254th of the largest of its
/// group.
#[test]
fn formats_differ_from_f32_by_their_rounding() {
    let table = table(0, 20);
    let [exact, halves, bytes] = KvFormat::OF_GPUS.map(|format| {
        let mut engine = gpu();
        let mut y = None;
        let record = |s: &mut Setup| {
            let op = attention(s, (6, 2, 64), 1, format);
            y = Some(op.y.buffer);
            op
        };
        let program = support::prepare(&mut engine, 5, 20, record).0;
        engine.run(program, &Step::new(&rows(0, 1200, &[0]), &[&table])).unwrap();
        support::read(&mut engine, y.unwrap(), 6 * 64)
    });
    for (name, rounded, most) in [("f16", halves, 1.0 / 256.0), ("q8", bytes, 1.0 / 16.0)] {
        let error = support::relative_error(&rounded, &exact, KvFormat::F32);
        println!("{name} is off by {error:.1e}");
        assert!(error > 0.0 && error < most, "{name}: {error}");
    }
}
