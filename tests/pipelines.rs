//! How many pipelines a first load compiles: in a browser each takes from a tenth of a second to a
//! second, and the load waits for them.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::collections::{BTreeMap, BTreeSet};

use pollster::block_on;
use support::Rng;
use support::tiny::{HEAD_DIM, HEADS, HIDDEN, KV_HEADS, LAYERS, Tensor, Tiny, decoder_on};
use weft_llm::cost::profiles;
use weft_llm::cost::synthetic::{self, Mixture, SHAPES};
use weft_llm::engine::gpu::{GpuEngine, Timing};
use weft_llm::engine::shapes::{Product, Shapes};
use weft_llm::engine::trial::small;
use weft_llm::engine::{Engine, Hints};
use weft_llm::format::{BlockType, Layout, ModelReader};
use weft_llm::inference::{CostModel, CostOptions};
use weft_llm::ops::{Command, Kernel, Op};
use weft_llm::record::KvFormat;

/// Pipelines of a first load at most, with those of challengers in the tuner's races.
const MOST: usize = 24;

/// What decides on a pipeline.
fn of(kernel: &Kernel) -> String {
    format!("{} {:?} {:?}", kernel.shader, kernel.defines, kernel.constants)
}

/// The commands of the programs that a load compiles.
fn commands(name: &str, profile: &str) -> Vec<Command> {
    let (header, profile) = (synthetic::named(name).unwrap().header(Mixture::Q4KM), profiles::named(profile).unwrap());
    let (kv_format, max_buffer_bytes) = (KvFormat::F16, 2 << 30);
    let options = CostOptions { prompt: 512, position: 512, kv_format, profile, max_buffer_bytes };
    let mut model = CostModel::new(ModelReader::default(), options).unwrap();
    assert!(model.feed(&header).unwrap());
    let [programs, _] = model.recordings().unwrap();
    programs.into_iter().flat_map(|recording| recording.commands).collect()
}

/// Matrices of all shapes share pipelines, and so do the layers of a model.
#[test]
fn a_model_has_few_pipelines_and_its_self_test_no_others() {
    let mut counts = BTreeMap::new();
    for shape in SHAPES {
        for profile in ["discrete", "core", "plain"] {
            let variants = profiles::named(profile).unwrap().variants;
            let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
            for command in commands(shape.name, profile) {
                own.extend(command.kernels(&variants).iter().map(of));
                others.extend(small(&command).kernels(&variants).iter().map(of));
            }
            assert_eq!(own, others, "{} {profile}", shape.name);
            counts.insert((shape.name, profile), own.len());
        }
    }
    println!("{counts:?}");
    // a visit has a challenger with a mixture of experts, and two with another model
    let challengers = |name: &str| if name == "qwen3-30b-a3b" { 1 } else { 2 };
    assert!(counts.iter().all(|((name, _), count)| count + challengers(name) <= MOST), "{counts:?}");
}

/// Types as in Q4_K_M: half of the layers have values and down projections in Q6_K.
fn q4_k_m() -> Tiny {
    let of = |six: &'static [&'static str]| {
        Tiny::of_width(8, 5, move |name| if six.contains(&name) { BlockType::Q6K } else { BlockType::Q4K })
    };
    let (mut tiny, six) = (of(&["token_embd"]), of(&["attn_v", "ffn_down"]));
    tiny.tensors.extend(
        six.tensors.into_iter().filter(|(name, _)| name == "blk.1.attn_v.weight" || name == "blk.1.ffn_down.weight"),
    );
    tiny
}

fn qwen3() -> Tiny {
    let mut tiny = q4_k_m().meta("general.architecture", "qwen3");
    for (key, _) in &mut tiny.metadata {
        *key = key.replace("llama.", "qwen3.");
    }
    for layer in 0..LAYERS {
        for norm in ["attn_q_norm", "attn_k_norm"] {
            tiny = tiny.vector(&format!("blk.{layer}.{norm}.weight"), &[1.0; 8 * HEAD_DIM]);
        }
    }
    tiny
}

/// As in Qwen3 30B-A3B: instead of a feed-forward layer there are experts.
fn qwen3_moe() -> Tiny {
    let mut tiny = qwen3();
    let (hidden, ffn, experts) = (8 * HIDDEN, 256, 4);
    for (key, value) in &mut tiny.metadata {
        *key = key.replace("qwen3.", "qwen3moe.");
        if key == "general.architecture" {
            *value = "qwen3moe".into();
        }
    }
    let counts = [("expert_count", experts), ("expert_used_count", 2), ("expert_feed_forward_length", ffn)];
    for (key, count) in counts {
        tiny = tiny.meta(&format!("qwen3moe.{key}"), count as u32);
    }
    let mut rng = Rng::new(6);
    for layer in 0..LAYERS {
        let mut put = |name: &str, block: BlockType, dims: &[usize]| {
            let data = rng.rows(block, dims[1..].iter().product(), dims[0]);
            let dims = dims.iter().map(|&size| size as u64).collect();
            tiny.tensors.insert(format!("blk.{layer}.{name}.weight"), Tensor { dims, block, data });
        };
        let down = if layer == 0 { BlockType::Q4K } else { BlockType::Q6K };
        put("ffn_gate_inp", BlockType::F32, &[hidden, experts]);
        put("ffn_gate_exps", BlockType::Q4K, &[hidden, ffn, experts]);
        put("ffn_up_exps", BlockType::Q4K, &[hidden, ffn, experts]);
        put("ffn_down_exps", down, &[ffn, hidden, experts]);
        for name in ["ffn_gate", "ffn_up", "ffn_down"] {
            tiny.tensors.remove(&format!("blk.{layer}.{name}.weight"));
        }
    }
    tiny
}

/// As on a real GPU, from the choice of shaders to the end of a load: the tuner's losers, which a
/// load has no use for, count too.
#[test]
fn a_first_load_compiles_few_pipelines() {
    for (name, tiny, gated) in [("llama", q4_k_m(), true), ("qwen3", qwen3(), true), ("qwen3moe", qwen3_moe(), false)] {
        let mut engine = block_on(GpuEngine::untuned(Hints { is_real: true, ..Hints::default() })).unwrap();
        let product = |rows, cols| Some(Product { layout: Layout::Q4K32, rows, cols });
        let (wide, narrow) = (product(2048, 256), product(1024, 512));
        let shapes = Shapes { wide, narrow, gated, heads: HEADS, kv_heads: KV_HEADS, head_dim: 8 * HEAD_DIM };
        block_on(engine.tune_by(&shapes, None, Timing::Rows { bytes: 1 << 20, shrink: 8 })).unwrap();
        let tuned = engine.counters().pipelines;
        let decoder = decoder_on(engine, &tiny.bytes()).unwrap();
        let all = decoder.engine().counters().pipelines;
        println!("{name}: {tuned} of the tuner, {all} in all; {:?}", decoder.info().engine);
        // shapes are those of a model in small, so that attention may have pipelines of its own; a
        // race may be over before its challenger is compiled where the machine is busy
        assert!(tuned >= 1 && all <= MOST as u64, "{name}: {tuned} of the tuner, {all} in all");
    }
}
