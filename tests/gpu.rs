//! The GPU engine's promises: few submits and readbacks, and no lost errors.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::{Rng, gpu, gpu_with, read, variant_sets};
use weft_llm::Error;
use weft_llm::engine::gpu::{GpuEngine, Timing};
use weft_llm::engine::shapes::{Product, Shapes};
use weft_llm::engine::{Counters, Engine, Hints, ProgramId};
use weft_llm::format::block::BlockType;
use weft_llm::format::layout::Layout;
use weft_llm::ops::{
    Activate, Activation, Attention, Embed, Epilogue, Index, Linear, Part, PickRows, Recording, RmsNorm, RopeAppend,
    RopeAttention, RopeKind,
};
use weft_llm::record::{BufferId, KvCache, KvFormat, Memory, Step, Tensor, rows};

const COLS: usize = 64;
const VOCABULARY: usize = 50;

/// Embeds, computes `layers` activations, and picks the last row: (recording, its output).
fn recording(engine: &mut GpuEngine, capacity: usize, layers: usize) -> (Recording, Tensor) {
    let mut tensor = |rows, cols| Tensor { buffer: engine.create_values("test", rows * cols).unwrap(), rows, cols };
    let (x, y, last) = (tensor(capacity, COLS), tensor(capacity, COLS / 2), tensor(1, COLS));
    let table = engine.create_matrix("table", Layout::F32, VOCABULARY, COLS).unwrap();
    let rows = Rng::new(1).rows(BlockType::F32, VOCABULARY, COLS);
    engine.write_rows(&table, 0, BlockType::F32, &rows).unwrap();
    let mut recording = Recording::default();
    recording.push(Embed { table, first_row: 0, index: Index::Id, scale: 1.0, y: x }).unwrap();
    for _ in 0..layers {
        recording.push(Activate { activation: Activation::SWIGLU, multiplies: false, x, y, up: None }).unwrap();
    }
    recording.push(PickRows { x, y: last }).unwrap();
    (recording, last)
}

/// Tokens from position 0 on, of a sequence in block 0.
fn run(engine: &mut GpuEngine, program: ProgramId, ids: &[u32]) -> Result<(), Error> {
    engine.run(program, &Step::new(&rows(0, 0, ids), &[&[0]]))
}

#[test]
fn a_decode_step_is_one_submit_and_one_readback() {
    let mut engine = gpu();
    let (recording, y) = recording(&mut engine, 1, 240);
    let program = engine.prepare(recording).unwrap();
    let mut seen = Vec::new();
    for id in [3, 4] {
        let before = engine.counters();
        run(&mut engine, program, &[id]).unwrap();
        let queued = engine.counters();
        assert_eq!((queued.dispatches - before.dispatches, queued.submits - before.submits), (242, 1));
        seen.push(read(&mut engine, y.buffer, COLS));
        let after = engine.counters();
        assert_eq!((after.submits - queued.submits, after.readbacks - before.readbacks), (1, 1));
    }
    assert_ne!(seen[0], seen[1], "a replay takes the ids of its own step");
}

#[test]
fn replays_are_timed_in_one_submit() {
    let mut engine = gpu();
    let (recording, _) = recording(&mut engine, 1, 240);
    let program = engine.prepare(recording).unwrap();
    let (rows, before) = (rows(0, 0, &[3]), engine.counters());
    let times = block_on(engine.time(program, &Step::new(&rows, &[&[0]]), 20)).unwrap();
    let after = engine.counters();
    assert_eq!((after.dispatches - before.dispatches, after.submits - before.submits), (20 * 242, 1));
    if let Some(gpu) = times.gpu {
        assert!(!gpu.is_zero() && gpu <= times.wall, "{times:?}");
    }
}

/// Trials leave nothing behind but pipelines.
fn assert_leaves_nothing(engine: &GpuEngine) {
    let counters = Counters { pipelines: 0, ..engine.counters() };
    assert_eq!((engine.memory_bytes(), counters), (0, Counters::default()));
}

fn open(tuning: Option<&str>) -> GpuEngine {
    block_on(GpuEngine::new(Hints { tuning, ..Hints::default() })).unwrap()
}

/// What an engine remembers, as if all visits with races were over.
fn after_visits(engine: &GpuEngine) -> String {
    engine.tuning().unwrap().replace("\"left\":11", "\"left\":0")
}

/// As on a real GPU: the rows of replays are those of a model, over little memory here.
#[test]
fn shaders_are_chosen_by_rows_of_replays() {
    let mut engine = block_on(GpuEngine::open()).unwrap();
    let timing = Timing::Rows { bytes: 1 << 20, shrink: 8 };
    block_on(engine.tune_by(&Shapes::default(), None, timing)).unwrap();
    let info = engine.info();
    println!("{info:?}");
    assert_leaves_nothing(&engine);
    assert_eq!(info.notes.len(), 3, "{:?}", info.notes);
    assert!(!info.notes[0].contains("plain"), "{:?}", info.notes);
    // after the last visit nothing is raced any more, and the choices for another model are added
    let tuning = after_visits(&engine);
    let mut again = block_on(GpuEngine::open()).unwrap();
    block_on(again.tune_by(&Shapes::default(), Some(&tuning), timing)).unwrap();
    assert_eq!(again.tuning().unwrap(), tuning);
    let product = Product { layout: Layout::Q6K16, rows: 1000, cols: 390 };
    let encoder = Shapes { wide: None, narrow: Some(product), gated: true, heads: 12, kv_heads: 12, head_dim: 32 };
    block_on(again.tune_by(&encoder, Some(&tuning), timing)).unwrap();
    let both = again.tuning().unwrap();
    assert!(both.contains(&encoder.key()) && both.ends_with(&tuning[1..]), "{both}");
    assert!(!again.info().notes[0].contains("plain"), "{:?}", again.info().notes);
}

/// As for a second model of an engine that loads while the first one's shaders are tried.
#[test]
fn a_model_that_is_there_when_shaders_are_chosen_keeps_the_plain_ones() {
    let mut engine = block_on(GpuEngine::untuned(Hints::default())).unwrap();
    let tuned = engine.tune(&Shapes::default());
    block_on(engine.tune(&Shapes::default())).unwrap();
    let (recording, y) = recording(&mut engine, 1, 1);
    block_on(tuned).unwrap();
    assert!(engine.info().notes[0].contains("plain"), "{:?}", engine.info().notes);
    let program = engine.prepare(recording).unwrap();
    run(&mut engine, program, &[3]).unwrap();
    assert_eq!(read(&mut engine, y.buffer, COLS).len(), COLS);
}

#[test]
fn shaders_are_chosen_by_trial_and_remembered() {
    let chosen = open(None);
    let tuning = chosen.tuning().unwrap();
    println!("{:?}", chosen.info());
    assert_leaves_nothing(&chosen);
    // every shader is right here, so the notes are the choice, the features and nothing else
    assert_eq!(chosen.info().notes.len(), 3, "{:?}", chosen.info().notes);
    for variants in variant_sets() {
        let remembered = gpu_with(variants).tuning().unwrap();
        let engine = open(Some(&remembered));
        assert_eq!(engine.tuning().unwrap(), remembered);
    }
    // each visit has other races than the last one, until every challenger has been met
    let mut last = tuning;
    for left in (0..=5).rev() {
        assert!(last.contains(&format!("\"left\":{left}")), "{last}");
        last = open(Some(&last)).tuning().unwrap();
    }
    assert_eq!(open(Some(&last)).tuning().unwrap(), last);
    // unreadable tuning is ignored
    assert!(open(Some("from another time")).tuning().is_some());
}

#[test]
fn a_prompt_is_cut_into_several_submits() {
    let mut engine = gpu();
    let (recording, y) = recording(&mut engine, 8, 240);
    let program = engine.prepare(recording).unwrap();
    let ids: Vec<u32> = (0..8).collect();
    run(&mut engine, program, &ids).unwrap();
    // few dispatches a submit until their time is known, then as many as take about 100 ms
    assert_eq!(engine.counters().submits, 242_u64.div_ceil(16));
    block_on(engine.synchronize()).unwrap();
    let whole = read(&mut engine, y.buffer, COLS);
    // fewer tokens than the capacity: the last of them counts
    run(&mut engine, program, &ids[..5]).unwrap();
    let part = read(&mut engine, y.buffer, COLS);
    assert_ne!(whole, part);
    run(&mut engine, program, &[7, 4]).unwrap();
    assert_eq!(read(&mut engine, y.buffer, COLS), part);
    assert!(matches!(run(&mut engine, program, &[]), Err(Error::Internal { .. })));
}

/// A decoder layer as the model records it costs six dispatches a token.
#[test]
fn a_layer_is_six_dispatches() {
    for variants in variant_sets() {
        let mut engine = gpu_with(variants);
        let (heads, kv_heads, head_dim, hidden, ffn) = (4, 2, 16, 64, 96);
        let mut tensor = |rows, cols| Tensor { buffer: engine.create_values("test", rows * cols).unwrap(), rows, cols };
        let width = (heads + 2 * kv_heads) * head_dim;
        let [x, qkv, attn, inner] = [hidden, width, hidden, ffn].map(|cols| tensor(1, cols));
        let angles = tensor(1, head_dim);
        let norm = Some(RmsNorm { weight: tensor(1, hidden), eps: 1e-5 });
        let kv = KvCache { buffer: BufferId(0), heads: kv_heads, head_dim, format: KvFormat::F16, parts: 1 };
        let kv = KvCache { buffer: engine.create_blocks("test", &kv, 1).unwrap(), ..kv };
        let mut matrix = |rows, cols| engine.create_matrix("test", Layout::Q4, rows, cols).unwrap();
        let rope = RopeAppend { qkv, angles, kv, heads, kind: RopeKind::Interleaved, behind: None };
        let linear = |x, norm, weight, epilogue, y| Linear { x, norm, weight, affine: None, epilogue, y_offset: 0, y };
        let mut layer = Recording::default();
        layer.push(linear(x, norm, matrix(width, hidden), Epilogue::Store, qkv)).unwrap();
        let scale = 0.25;
        let (cap, alibi, window, causal, q, y) = (None, None, None, true, qkv, attn);
        let attention = Attention {
            q,
            kv,
            heads,
            scale,
            cap,
            alibi,
            window,
            causal,
            sinks: None,
            bias: None,
            part: Part::Whole,
            temperature: None,
            y,
        };
        layer.push(RopeAttention { norm: None, rope, attention }).unwrap();
        layer.push(linear(attn, None, matrix(hidden, hidden), Epilogue::ACCUMULATE, x)).unwrap();
        layer.push(linear(x, norm, matrix(2 * ffn, hidden), Epilogue::Activate(Activation::SWIGLU), inner)).unwrap();
        layer.push(linear(inner, None, matrix(hidden, ffn), Epilogue::ACCUMULATE, x)).unwrap();
        let program = engine.prepare(layer).unwrap();
        run(&mut engine, program, &[0]).unwrap();
        let Counters { dispatches, submits, readbacks, .. } = engine.counters();
        // the attention of software adapters takes no prologue
        let rope = u64::from(variants.attend_one.software_only);
        assert_eq!((dispatches, submits, readbacks), (6 + rope, 1, 0));
    }
}

#[test]
fn large_uploads_arrive_whole() {
    let mut engine = gpu();
    let len = 12 << 20; // 48 MiB, in pieces that do not divide the flush size
    let buffer = engine.create_values("large", len).unwrap();
    let values: Vec<f32> = (0..len).map(|i| (i % 9973) as f32).collect();
    for (i, piece) in values.chunks(1_000_003).enumerate() {
        engine.write_values(buffer, i * 1_000_003, piece).unwrap();
    }
    assert!(read(&mut engine, buffer, len) == values);
    // a smaller readback after a larger one goes through the same staging buffer
    assert_eq!(read(&mut engine, buffer, 3), values[..3]);
    assert_eq!(engine.memory_bytes(), 48 << 20);
}

#[test]
fn a_buffer_too_large_is_refused_with_the_sizes() {
    let mut engine = gpu();
    let limit = engine.max_buffer_bytes();
    let rows = (limit / 4096 + 1) as usize;
    match engine.create_matrix("huge", Layout::F32, rows, 1024) {
        Err(Error::OutOfMemory { what, needed, limit: text }) => {
            // rows are filled up to whole tiles
            assert_eq!((what.as_str(), needed), ("huge", rows.next_multiple_of(32) as u64 * 4096));
            assert!(text.contains(&limit.to_string()) && text.contains("device 'cpu'"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    // the engine works after a refusal
    let buffer = engine.create_values("small", 2).unwrap();
    assert!(matches!(engine.write_values(buffer, 3, &[1.0; 4]), Err(Error::Internal { .. })), "out of bounds");
    assert!(matches!(block_on(engine.read_values(buffer, 99)), Err(Error::Internal { .. })));
    engine.write_values(buffer, 0, &[1.0, 2.0]).unwrap();
    assert_eq!(read(&mut engine, buffer, 2), [1.0, 2.0]);
}

#[test]
fn an_uncaptured_gpu_error_fails_the_run() {
    let mut engine = gpu();
    let tensor = |buffer| Tensor { buffer, rows: 1, cols: COLS };
    let x = tensor(engine.create_values("x", COLS).unwrap());
    let weight = engine.create_matrix("weight", Layout::F32, COLS, COLS).unwrap();
    let mut recording = Recording::default();
    // reading and writing one buffer in one dispatch is what WebGPU's validation refuses
    recording
        .push(Linear { x, norm: None, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y: x })
        .unwrap();
    let first = engine.prepare(recording).and_then(|program| {
        run(&mut engine, program, &[0])?;
        block_on(engine.synchronize())
    });
    let Err(error @ Error::Internal { op: "gpu", .. }) = first else { panic!("{first:?}") };
    // later calls report the same error
    let again = block_on(engine.read_values(x.buffer, 1)).unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
}
