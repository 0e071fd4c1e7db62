//! The cost model: against arithmetic by hand, against the GPU engine's counters, and against the
//! limits that every WebGPU adapter guarantees.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{shaders, support};

use std::collections::HashSet;
use std::path::Path;

use pollster::block_on;
use support::tiny::{Tiny, VOCAB, decoder_with};
use support::{Rng, gpu_with};
use weft_llm::cost::profiles::{self, PROFILES, Profile};
use weft_llm::cost::synthetic::{self, Mixture, SHAPES};
use weft_llm::engine::gpu::shader::wgsl;
use weft_llm::format::{BlockType, Layout, ModelReader};
use weft_llm::inference::{CostModel, CostOptions, Estimator, Event, GenerateOptions, GpuTime, ModelCost};
use weft_llm::ops::{Attention, Binding, Command, Epilogue, Linear, Op, RopeAttention};
use weft_llm::record::{BufferId, KV_BLOCK, KvFormat, Matrix, Step, Tensor, rows};
use weft_llm::sampling::SamplingOptions;

/// Room for every matrix in one buffer.
const ROOMY: u64 = 2 << 30;
/// `maxStorageBufferBindingSize` of every adapter.
const GUARANTEED: u64 = 128 << 20;

fn model(header: &[u8], profile: &'static Profile, sizes: (usize, usize), max_buffer_bytes: u64) -> CostModel {
    model_in(KvFormat::F16, header, profile, sizes, max_buffer_bytes)
}

fn model_in(
    kv_format: KvFormat,
    header: &[u8],
    profile: &'static Profile,
    (prompt, position): (usize, usize),
    max_buffer_bytes: u64,
) -> CostModel {
    let options = CostOptions { prompt, position, kv_format, profile, max_buffer_bytes };
    let mut model = CostModel::new(ModelReader::default(), options).unwrap();
    assert!(model.feed(header).unwrap());
    model
}

fn synthetic(name: &str, mixture: Mixture, profile: &str, sizes: (usize, usize)) -> ModelCost {
    let header = synthetic::named(name).unwrap().header(mixture);
    model(&header, profiles::named(profile).unwrap(), sizes, ROOMY).finish().unwrap()
}

#[test]
fn llama_8b_by_hand() {
    let (layers, hidden, ffn, vocab, kv_heads, kv_width) = (32, 4096u64, 14336, 128_256, 8, 2 * 8 * 128);
    let cost = synthetic("llama-8b", Mixture::Q4KM, "plain", (2048, 2048));
    // a workgroup for each of 8 key heads of each token walks over all keys and values before it
    let walks: u64 = (1..=2048).sum();
    assert_eq!(cost.prompt.sum.kv_bytes, layers * kv_heads * walks * 2 * 128 * 2);
    assert_eq!(cost.decode.sum.kv_bytes, layers * kv_heads * 2049 * 2 * 128 * 2);
    // six dispatches in half of the layers, seven where V is in Q6_K, which the plain shader does
    // alone; embedding, head, and two to sample
    assert_eq!((cost.decode.sum.dispatches, cost.decode.dispatches_per_layer), (16 * 6 + 16 * 7 + 4, 6.5));
    assert_eq!(cost.prompt.sum.dispatches, 64 * (16 * 6 + 16 * 7 + 1) + 4);
    assert_eq!((cost.decode.submits, cost.prompt.submits), (1, 64 + 1));
    // weights of a layer in Q4_K, in Q6_K where every second layer has it, and the head
    let row = |cols: u64, six: bool| if six { cols * 6 / 8 + cols / 256 * 20 } else { cols / 2 + cols / 256 * 20 };
    let (v, down) = (kv_width / 2, hidden);
    let layer = |six| {
        (hidden + kv_width / 2 + hidden + 2 * ffn) * row(hidden, false) + v * row(hidden, six) + down * row(ffn, six)
    };
    let all_layers = 16 * (layer(false) + layer(true));
    let head = vocab * row(hidden, true);
    assert_eq!(cost.decode.sum.weight_bytes, all_layers + head + row(hidden, false));
    // the plain shader takes one token a workgroup
    assert_eq!(cost.prompt.sum.weight_bytes, 2048 * (all_layers + row(hidden, false)) + head);
    let tiled = synthetic("llama-8b", Mixture::Q4KM, "core", (2048, 2048));
    // a workgroup takes 32 rows and 256 tokens, of V alone, which has 1024 rows, 64 tokens
    let again = (32 - 8) * 16 * v * row(hidden, true);
    assert_eq!(tiled.prompt.sum.weight_bytes, 8 * all_layers + again + 2048 * row(hidden, false) + head);
    // a tile has 64 queries, those of 16 tokens
    let tiles: u64 = (1..=128).map(|tile| 16 * tile).sum();
    assert_eq!(tiled.prompt.sum.kv_bytes, layers * kv_heads * tiles * 2 * 128 * 2);
    // in 4 chunks of 512 instead of 64 of 32
    assert_eq!(tiled.prompt.sum.dispatches, 4 * (16 * 6 + 16 * 7 + 1) + 4);
    assert_eq!((tiled.prompt.submits, tiled.prompt.least_workgroups), (4 + 1, 32 * 8));
    // in eight bits tiles are as large, and a dispatch rounds x before each product
    let bytes = synthetic("llama-8b", Mixture::Q4KM, "discrete", (2048, 2048));
    assert_eq!(bytes.prompt.sum.weight_bytes, tiled.prompt.sum.weight_bytes);
    assert_eq!(bytes.prompt.sum.dispatches, 4 * (16 * (6 + 4) + 16 * (7 + 5) + 1) + 4);
    assert_eq!(bytes.prompt.least_workgroups, 32 * 8);
    let parameters = layers * (2 * hidden * hidden + hidden * kv_width + 3 * hidden * ffn) + hidden * vocab;
    assert_eq!(cost.decode.sum.multiply_adds, parameters + layers * 2 * hidden * 2049);
    assert_eq!(cost.memory.kv, layers * 4096 * kv_width * 2);
    let vectors = 4 * hidden * (2 * layers + 1);
    assert_eq!(cost.memory.weights, all_layers + head + vocab * row(hidden, false) + vectors);
}

/// Weights are read for each tile of 256 tokens, with and without optional features. What a token
/// reads leaves the embedding table out.
#[test]
fn a_prompt_of_llama_8b_keeps_its_budget() {
    let tiles = 2048 / 256;
    for profile in ["discrete", "core"] {
        let cost = synthetic("llama-8b", Mixture::Q4KM, profile, (2048, 2048));
        let prompt = cost.prompt.sum;
        assert!(prompt.weight_bytes <= tiles * cost.decode.sum.weight_bytes, "{profile}: {}", prompt.weight_bytes);
        assert!(prompt.kv_bytes <= 66_000_000_000, "{profile}: {}", prompt.kv_bytes);
        assert!(prompt.dispatches <= 1500, "{profile}: {}", prompt.dispatches);
        assert!(cost.prompt.least_workgroups >= 256, "{profile}: {}", cost.prompt.least_workgroups);
    }
}

/// In a chunk of 512 tokens, matrices are read twice, and 16 rows keep a workgroup busy: 256 and
/// more for Llama 3.1 8B. Matrices of few rows have smaller tiles, and are read eight times.
#[test]
fn a_long_chunk_reads_weights_twice() {
    let (tokens, buffer) = (512, BufferId(0));
    let (blocks, ids) = (vec![0; tokens / KV_BLOCK], vec![0; tokens]);
    let rows_of_step = rows(0, 0, &ids);
    let tables: [&[u32]; 1] = [&blocks];
    let step = Step::new(&rows_of_step, &tables);
    for profile in ["discrete", "core"] {
        let variants = profiles::named(profile).unwrap().variants;
        let llama_8b = [(6144, 4096), (4096, 4096), (28_672, 4096), (4096, 14_336), (1024, 4096)];
        let llama_3b = [(5120, 3072), (3072, 3072), (16_384, 3072), (3072, 8192)];
        let qwen3_600m = [(4096, 1024), (1024, 2048), (6144, 1024), (1024, 3072)];
        for (rows, cols) in llama_8b.into_iter().chain(llama_3b).chain(qwen3_600m) {
            let weight = Matrix { buffer, layout: Layout::Q4K32, rows, cols };
            let tensor = |cols| Tensor { buffer, rows: tokens, cols };
            let (x, y, epilogue) = (tensor(cols), tensor(rows), Epilogue::Store);
            let op = Linear { x, norm: None, weight, affine: None, epilogue, y_offset: 0, y };
            let product = *op.loads(&variants, &step).last().unwrap();
            let smaller = if rows < 2048 { 4 } else { 1 };
            let read = smaller * 2 * rows * weight.layout.row_bytes(cols);
            assert_eq!(product.weights, read as u64, "{profile} {rows}");
            assert_eq!(product.workgroups, (smaller * rows / 16) as u64, "{profile} {rows}");
        }
    }
}

fn time_of(name: &str, context: usize, vendor: &str, architecture: &str) -> GpuTime {
    let mut estimator = Estimator::new(ModelReader::default(), Some(context));
    estimator.set_kv_format(KvFormat::F16);
    estimator.set_gpu(vendor, architecture);
    assert!(estimator.feed(&synthetic::named(name).unwrap().header(Mixture::Q4KM)).unwrap());
    estimator.finish().unwrap().gpu_time.unwrap()
}

#[test]
fn an_estimate_spans_a_family_of_gpus() {
    let cost = synthetic("llama-3b", Mixture::Q4KM, "discrete", (512, 512));
    let time = time_of("llama-3b", 2048, "intel", "gen-12lp");
    assert_eq!((time.family.as_str(), time.prompt_tokens), ("Intel Iris Xe", 512));
    // 68.3 GB/s for all weights, keys and values of a token
    let bytes = cost.decode.sum.weight_bytes + cost.decode.sum.kv_bytes;
    assert!((time.token_seconds.least / (bytes as f64 / 68.3e9) - 1.0).abs() < 1e-9);
    let all = time_of("llama-3b", 2048, "", "");
    for (of_family, of_all) in [(time.prompt_seconds, all.prompt_seconds), (time.token_seconds, all.token_seconds)] {
        assert!(of_all.least < of_family.least && of_family.least < of_family.most && of_family.most < of_all.most);
    }
    // a short context has no room for 512 tokens and one more
    assert_eq!(time_of("llama-3b", 100, "apple", "metal-3").prompt_tokens, 99);
}

/// Each stands for its architecture, in the block types of files as published.
#[test]
fn a_layer_takes_six_dispatches_a_token() {
    let layers = [
        ("llama-8b", 6.0),
        ("llama-3b", 6.0),
        ("mistral-7b", 6.0),
        ("phi3-mini", 6.0),
        ("qwen2.5-1.5b", 6.0),
        ("qwen3-0.6b", 6.0),
        ("qwen3-8b", 6.0),
    ];
    for (name, dispatches) in layers {
        for (mixture, profile) in [(Mixture::Q4KM, "discrete"), (Mixture::Q4KM, "core"), (Mixture::Q8_0, "core")] {
            let cost = synthetic(name, mixture, profile, (1, 2048));
            assert_eq!(cost.decode.dispatches_per_layer, dispatches, "{name}, {mixture:?}, {profile}");
        }
    }
}

/// The norms behind Gemma's blocks are part of the next projection, also where values have another
/// layout than queries and keys, but for the last one.
#[test]
fn gemma_takes_six_dispatches_a_layer_and_one_behind_the_last() {
    let layers = 34;
    for (mixture, profile) in
        [(Mixture::Q8_0, "core"), (Mixture::Q4_0, "discrete"), (Mixture::Q4KM, "core"), (Mixture::Q4KM, "discrete")]
    {
        let cost = synthetic("gemma3-4b", mixture, profile, (1, 2048));
        let dispatches = cost.decode.dispatches_per_layer * f64::from(layers);
        assert_eq!(dispatches.round() as i32, layers * 6 + 1, "{mixture:?}, {profile}");
    }
}

/// A key is appended in the dispatch that attends to it, in each format.
#[test]
fn keys_in_bytes_take_no_more_dispatches() {
    for name in ["llama-8b", "qwen3-0.6b"] {
        let (profile, kv_format) = (profiles::named("discrete").unwrap(), KvFormat::Q8);
        let options = CostOptions { prompt: 1, position: 2048, kv_format, profile, max_buffer_bytes: ROOMY };
        let mut model = CostModel::new(ModelReader::default(), options).unwrap();
        assert!(model.feed(&synthetic::named(name).unwrap().header(Mixture::Q4KM)).unwrap());
        assert_eq!(model.finish().unwrap().decode.dispatches_per_layer, 6.0, "{name}");
    }
}

/// Embedding, head, and two to sample besides the layers.
#[test]
fn qwen3_8b_takes_220_dispatches_a_token() {
    let cost = synthetic("qwen3-8b", Mixture::Q4KM, "discrete", (1, 2048));
    assert_eq!(cost.decode.sum.dispatches, 36 * 6 + 4);
    // a prompt of one token is a decode step
    assert_eq!((cost.prompt.sum.dispatches, cost.prompt.submits), (220, 1));
}

/// A layer that sees a window reads no more than that.
#[test]
fn windows_bound_what_gemma_reads() {
    let cost = synthetic("gemma3-4b", Mixture::Q4_0, "plain", (1, 5000));
    let (wide, narrow) = (34 / 6, 34 - 34 / 6);
    assert_eq!(cost.decode.sum.kv_bytes, 4 * 2 * 256 * 2 * (wide * 5001 + narrow * 1024));
}

#[test]
fn experts_are_read_by_each_token_and_slot_or_once_a_tile() {
    let cost = synthetic("qwen3-30b-a3b", Mixture::Q8_0, "plain", (64, 64));
    let row = |cols: u64| cols + cols / 32 * 4;
    let experts = 48 * 8 * (2 * 768 * row(2048) + 2048 * row(768));
    let of = |step: &weft_llm::inference::StepCost| {
        let proj = ["gate_proj", "up_proj", "down_proj"];
        let weights = step.operations.iter().filter(|operation| proj.contains(&operation.name));
        weights.map(|operation| operation.sum.weight_bytes).sum::<u64>()
    };
    assert_eq!((of(&cost.decode), of(&cost.prompt)), (experts, 64 * experts));
    // gathered, all 128 experts are read once in the one chunk, of which a token has 8
    let gathered = synthetic("qwen3-30b-a3b", Mixture::Q8_0, "core", (64, 64));
    assert_eq!((of(&gathered.decode), of(&gathered.prompt)), (experts, 128 / 8 * experts));
    // in two parts, by default limits, they are read as often
    let header = synthetic::named("qwen3-30b-a3b").unwrap().header(Mixture::Q8_0);
    let parts = model(&header, profiles::named("plain").unwrap(), (64, 64), GUARANTEED).finish().unwrap();
    assert!(parts.decode.sum.dispatches > cost.decode.sum.dispatches);
    let (got, expected) = (of(&parts.decode), of(&cost.decode));
    assert!(expected - got < 48 * 3 * 8, "{got} instead of {expected}: rounded down for each part at most");
}

/// Models of billions of weights fit an adapter that offers nothing beyond WebGPU's default limits,
/// with as many positions as they were trained for, up to 32,768.
#[test]
fn large_models_pass_the_default_limits() {
    let mut split = HashSet::new();
    for shape in SHAPES {
        let (name, header) = (shape.name, shape.header(Mixture::Q4KM));
        let context = 32_768.min(trained_context(&header));
        for (profile, kv_format) in
            PROFILES.iter().flat_map(|profile| KvFormat::OF_GPUS.map(|format| (profile, format)))
        {
            let cost = || model_in(kv_format, &header, profile, (1, context - 1), GUARANTEED);
            let about = format!("{name}, {}, {}", profile.name, kv_format.name());
            let largest = cost().finish().unwrap().largest_buffer_bytes;
            assert!(largest <= GUARANTEED, "{about}: a buffer of {largest} bytes");
            let mut seen = HashSet::new();
            let recordings = cost().recordings().unwrap();
            for command in recordings.iter().flatten().flat_map(|recording| &recording.commands) {
                if let Command::Attention(Attention { kv, .. })
                | Command::RopeAttention(RopeAttention { attention: Attention { kv, .. }, .. }) = command
                {
                    let bytes = kv.part_bytes() * context / KV_BLOCK;
                    assert!(bytes as u64 <= GUARANTEED, "{about}: keys and values of {bytes} bytes");
                    if kv.parts > 1 {
                        split.insert((name, kv_format));
                    }
                }
                for kernel in command.kernels(&profile.variants) {
                    let about = format!("{about}: {}", kernel.shader);
                    let grids = [kernel.workgroups, kernel.grid(512, 131_072)].concat();
                    assert!(grids.iter().all(|&count| count <= 65_535), "{about}: {grids:?}");
                    let bytes = kernel.bindings.iter().map(|binding| match *binding {
                        // an eighth more is taken
                        Binding::Pieces { len, pieces } => len * pieces.count(131_072) * size_of::<f32>() * 9 / 8,
                        Binding::Intermediate { words } => words * size_of::<u32>(),
                        _ => 0,
                    });
                    let between = bytes.max().unwrap_or(0);
                    assert!(between as u64 <= GUARANTEED, "{about}: {between} bytes between dispatches");
                    if seen.insert((kernel.shader, kernel.defines.clone(), kernel.constants.clone())) {
                        let source = wgsl(kernel.shader, &kernel.defines, &kernel.constants).unwrap();
                        shaders::check_limits(&about, &naga::front::wgsl::parse_str(&source).unwrap());
                    }
                }
            }
        }
    }
    assert!(split.contains(&("llama-8b", KvFormat::F16)), "{split:?}");
}

fn trained_context(header: &[u8]) -> usize {
    let mut estimator = Estimator::new(ModelReader::default(), None);
    assert!(estimator.feed(header).unwrap());
    estimator.finish().unwrap().trained_context_length
}

/// What the engine really does with a tiny model.
#[test]
fn the_gpu_engine_counts_the_same() {
    for (block, name) in [(BlockType::Q4_0, "core"), (BlockType::F16, "software")] {
        let bytes = Tiny::new(5, |part| if part == "attn_v" { BlockType::Q8_0 } else { block }).bytes();
        let profile = profiles::named(name).unwrap();
        let tokens = 45;
        let cost = model(&bytes, profile, (tokens, tokens), ROOMY).finish().unwrap();
        let mut engine = gpu_with(profile.variants);
        engine.set_prompt_chunk(profile.prompt_rows);
        let mut decoder = decoder_with(engine, &bytes, Some(2 * tokens)).unwrap();
        block_on(decoder.warm_up()).unwrap();
        let memory = cost.memory.weights + cost.memory.activations;
        assert_eq!(decoder.info().memory_bytes, memory, "{name}: memory without a sequence");
        let before = decoder.engine().counters();
        let options = GenerateOptions {
            max_tokens: Some(1),
            ignore_eos: true,
            sampling: SamplingOptions::default(),
            ..Default::default()
        };
        let generation = decoder.start(Rng::new(5).ids(tokens, VOCAB), options, 0).unwrap();
        while !matches!(block_on(decoder.next(generation)).unwrap(), Event::End { .. }) {}
        let after = decoder.engine().counters();
        assert_eq!(after.dispatches - before.dispatches, cost.prompt.sum.dispatches, "{name}");
    }
}

/// docs/COST.md has what the command prints.
#[test]
fn the_document_is_what_the_command_prints() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COST.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("<!-- the command writes the rest -->\n").unwrap();
    let mut expected = format!("{head}<!-- the command writes the rest -->\n");
    for name in ["qwen3-0.6b", "llama-3b", "llama-8b"] {
        let report = synthetic(name, Mixture::Q4KM, "discrete", (2048, 2048)).report();
        expected += &format!("\n## {}\n\n{report}", synthetic::named(name).unwrap().model);
    }
    if std::env::var_os("WEFT_WRITE").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    assert_eq!(text, expected, "WEFT_WRITE=1 writes docs/COST.md anew");
}
