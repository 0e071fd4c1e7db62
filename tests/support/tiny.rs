//! Whole models of a few thousand random weights.

use std::collections::BTreeMap;

use super::Rng;
use pollster::block_on;
use weft_llm::Error;
use weft_llm::engine::Engine;
use weft_llm::format::{
    Array, BlockType, GgufReader, GgufWriter, Header, Layout, Planes, Sink, TensorInfo, Value, dequantize_row, repack,
};
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, Loading};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;

pub const HIDDEN: usize = 64;
pub const FFN: usize = 96;
pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const HEAD_DIM: usize = 16;
pub const VOCAB: usize = 3 + 256;
pub const LAYERS: usize = 2;

pub struct Tensor {
    pub dims: Vec<u64>,
    pub block: BlockType,
    pub data: Vec<u8>,
}

/// The parts of a model file, which tests can change.
pub struct Tiny {
    pub metadata: Vec<(String, Value)>,
    pub tensors: BTreeMap<String, Tensor>,
}

/// Splits a file into its parts.
impl Sink for Tiny {
    fn header(&mut self, header: Header) -> Result<(), Error> {
        self.metadata = header.metadata.iter().map(|(key, value)| (key.into(), value.clone())).collect();
        Ok(())
    }

    fn rows(&mut self, info: &TensorInfo, _: usize, rows: &[u8]) -> Result<(), Error> {
        let new = || Tensor { dims: info.dims.clone(), block: info.block, data: Vec::new() };
        self.tensors.entry(info.name.clone()).or_insert_with(new).data.extend(rows);
        Ok(())
    }
}

impl Tiny {
    /// Reads a file.
    pub fn read(bytes: &[u8]) -> Self {
        let mut tiny = Self { metadata: Vec::new(), tensors: BTreeMap::new() };
        GgufReader::new().feed(bytes, &mut tiny).unwrap();
        tiny
    }

    /// Random weights. `block` returns the type of each matrix, by the last part of its name.
    pub fn new(seed: u64, block: impl Fn(&str) -> BlockType) -> Self {
        Self::of_width(1, seed, block)
    }

    /// Heads and rows are `width` times as wide: with 8, rows are whole blocks of every type.
    pub fn of_width(width: usize, seed: u64, block: impl Fn(&str) -> BlockType) -> Self {
        let (hidden, ffn, head_dim) = (width * HIDDEN, width * FFN, width * HEAD_DIM);
        let mut tiny = Self { metadata: metadata(hidden, ffn), tensors: BTreeMap::new() };
        let mut rng = Rng::new(seed);
        let mut matrix = |name: String, cols: usize, rows: usize| {
            let block = block(name.rsplit('.').nth(1).unwrap());
            tiny.tensors.insert(
                name,
                Tensor { dims: vec![cols as u64, rows as u64], block, data: rng.rows(block, rows, cols) },
            );
        };
        matrix("token_embd.weight".into(), hidden, VOCAB);
        for layer in 0..LAYERS {
            for (name, cols, rows) in [
                ("attn_q", hidden, HEADS * head_dim),
                ("attn_k", hidden, KV_HEADS * head_dim),
                ("attn_v", hidden, KV_HEADS * head_dim),
                ("attn_output", HEADS * head_dim, hidden),
                ("ffn_gate", hidden, ffn),
                ("ffn_up", hidden, ffn),
                ("ffn_down", ffn, hidden),
            ] {
                matrix(format!("blk.{layer}.{name}.weight"), cols, rows);
            }
        }
        for layer in 0..LAYERS {
            tiny = tiny.vector(&format!("blk.{layer}.attn_norm.weight"), &rng.units(hidden));
            tiny = tiny.vector(&format!("blk.{layer}.ffn_norm.weight"), &rng.units(hidden));
        }
        tiny.vector("output_norm.weight", &rng.units(hidden))
    }

    /// The same with a convolution in the place of attention in the last layer, as `lfm2` has it.
    pub fn convolving(seed: u64) -> Self {
        let Self { metadata, tensors } = Self::new(seed, |_| BlockType::Q8_0);
        let last = format!("blk.{}.", LAYERS - 1);
        let attends = |name: &String| !name.starts_with(&format!("{last}attn_")) || name.contains("attn_norm");
        let renamed = |(key, value): (String, Value)| (key.replacen("llama.", "lfm2.", 1), value);
        let mut tiny = Self {
            metadata: metadata.into_iter().map(renamed).collect(),
            tensors: tensors.into_iter().filter(|(name, _)| attends(name)).collect(),
        };
        let mut rng = Rng::new(seed + 1000);
        for (name, rows) in [("in_proj", 3 * HIDDEN), ("out_proj", HIDDEN)] {
            let (dims, block) = (vec![HIDDEN as u64, rows as u64], BlockType::Q8_0);
            let data = rng.rows(block, rows, HIDDEN);
            tiny.tensors.insert(format!("{last}shortconv.{name}.weight"), Tensor { dims, block, data });
        }
        tiny = tiny.vector(&format!("{last}shortconv.conv.weight"), &rng.units(3 * HIDDEN));
        if let Some(weight) = tiny.tensors.get_mut(&format!("{last}shortconv.conv.weight")) {
            weight.dims = vec![3, HIDDEN as u64];
        }
        if let Some(norm) = tiny.tensors.remove("output_norm.weight") {
            tiny.tensors.insert("token_embd_norm.weight".into(), norm);
        }
        let heads: Vec<u32> = (0..LAYERS).map(|layer| if layer + 1 < LAYERS { KV_HEADS as u32 } else { 0 }).collect();
        for layer in 0..LAYERS - 1 {
            tiny = tiny.vector(&format!("blk.{layer}.attn_q_norm.weight"), &rng.units(HEAD_DIM));
            tiny = tiny.vector(&format!("blk.{layer}.attn_k_norm.weight"), &rng.units(HEAD_DIM));
        }
        tiny.meta("general.architecture", "lfm2")
            .meta("lfm2.attention.head_count_kv", Value::Array(Array::U32(heads)))
            .meta("lfm2.shortconv.l_cache", 3u32)
    }

    /// The same with linear attention in the place of attention in the first layer, as `qwen35` has
    /// it.
    pub fn recurrent(seed: u64) -> Self {
        let Self { metadata, tensors } = Self::new(seed, |_| BlockType::Q8_0);
        let stays = |name: &String| !name.starts_with("blk.0.attn_") || name.contains("attn_norm");
        let renamed = |(key, value): (String, Value)| (key.replacen("llama.", "qwen35.", 1), value);
        let mut tiny = Self {
            metadata: metadata.into_iter().map(renamed).collect(),
            tensors: tensors.into_iter().filter(|(name, _)| stays(name)).collect(),
        };
        let (keys, values, key_dim, value_dim) = (2, 4, 8, 16);
        let qkv = 2 * keys * key_dim + values * value_dim;
        let mut rng = Rng::new(seed + 2000);
        for (name, cols, rows) in [
            ("blk.0.attn_qkv", HIDDEN, qkv),
            ("blk.0.attn_gate", HIDDEN, values * value_dim),
            ("blk.0.ssm_beta", HIDDEN, values),
            ("blk.0.ssm_alpha", HIDDEN, values),
            ("blk.0.ssm_out", values * value_dim, HIDDEN),
            ("blk.1.attn_q", HIDDEN, 2 * HEADS * HEAD_DIM),
        ] {
            let (dims, block) = (vec![cols as u64, rows as u64], BlockType::Q8_0);
            let data = rng.rows(block, rows, cols);
            tiny.tensors.insert(format!("{name}.weight"), Tensor { dims, block, data });
        }
        for layer in 0..LAYERS {
            if let Some(norm) = tiny.tensors.remove(&format!("blk.{layer}.ffn_norm.weight")) {
                tiny.tensors.insert(format!("blk.{layer}.post_attention_norm.weight"), norm);
            }
        }
        tiny = tiny
            .vector("blk.0.ssm_conv1d.weight", &rng.units(4 * qkv))
            .vector("blk.0.ssm_a", &[-0.02, -0.1, -0.5, -1.5])
            .vector("blk.0.ssm_dt.bias", &rng.units(values))
            .vector("blk.0.ssm_norm.weight", &rng.units(value_dim))
            .vector("blk.1.attn_q_norm.weight", &rng.units(HEAD_DIM))
            .vector("blk.1.attn_k_norm.weight", &rng.units(HEAD_DIM));
        if let Some(weight) = tiny.tensors.get_mut("blk.0.ssm_conv1d.weight") {
            weight.dims = vec![4, qkv as u64];
        }
        tiny.meta("general.architecture", "qwen35")
            .meta("qwen35.full_attention_interval", 2u32)
            .meta("qwen35.ssm.conv_kernel", 4u32)
            .meta("qwen35.ssm.group_count", keys as u32)
            .meta("qwen35.ssm.time_step_rank", values as u32)
            .meta("qwen35.ssm.state_size", key_dim as u32)
            .meta("qwen35.ssm.inner_size", (values * value_dim) as u32)
    }

    /// Random weights of a model without attention and feed-forward blocks, as `mamba2` is.
    pub fn scanning(seed: u64) -> Self {
        let Self { metadata, tensors } = Self::new(seed, |_| BlockType::Q8_0);
        let renamed = |(key, value): (String, Value)| (key.replacen("llama.", "mamba2.", 1), value);
        let stays = |name: &String| !name.starts_with("blk.") || name.ends_with(".attn_norm.weight");
        let mut tiny = Self {
            metadata: metadata.into_iter().map(renamed).collect(),
            tensors: tensors.into_iter().filter(|(name, _)| stays(name)).collect(),
        };
        let (heads, groups, head_dim, state_dim) = (4, 2, 16, 8);
        let inner = heads * head_dim;
        let xbc = inner + 2 * groups * state_dim;
        let mut rng = Rng::new(seed + 3000);
        for layer in 0..LAYERS {
            let name = |part: &str| format!("blk.{layer}.{part}");
            for (part, cols, rows) in [("ssm_in", HIDDEN, inner + xbc + heads), ("ssm_out", inner, HIDDEN)] {
                let (dims, block) = (vec![cols as u64, rows as u64], BlockType::Q8_0);
                let data = rng.rows(block, rows, cols);
                tiny.tensors.insert(name(&format!("{part}.weight")), Tensor { dims, block, data });
            }
            tiny = tiny
                .vector(&name("ssm_conv1d.weight"), &rng.units(4 * xbc))
                .vector(&name("ssm_conv1d.bias"), &rng.units(xbc))
                .vector(&name("ssm_a"), &[-0.02, -0.1, -0.5, -1.5])
                .vector(&name("ssm_dt.bias"), &rng.units(heads))
                .vector(&name("ssm_d"), &rng.units(heads))
                .vector(&name("ssm_norm.weight"), &rng.units(inner));
            let shapes = [
                ("ssm_conv1d.weight", [4, xbc]),
                ("ssm_a", [1, heads]),
                ("ssm_d", [1, heads]),
                ("ssm_norm.weight", [inner / groups, groups]),
            ];
            for (part, dims) in shapes {
                tiny.tensors.get_mut(&name(part)).unwrap().dims = dims.map(|dim| dim as u64).to_vec();
            }
        }
        tiny.metadata.retain(|(key, _)| key != "mamba2.attention.head_count_kv");
        tiny.meta("general.architecture", "mamba2")
            .meta("mamba2.feed_forward_length", 0u32)
            .meta("mamba2.attention.head_count", 0u32)
            .meta("mamba2.ssm.conv_kernel", 4u32)
            .meta("mamba2.ssm.group_count", groups as u32)
            .meta("mamba2.ssm.time_step_rank", heads as u32)
            .meta("mamba2.ssm.state_size", state_dim as u32)
            .meta("mamba2.ssm.inner_size", inner as u32)
    }

    /// The same of Mamba: no attention, and columns that fade by themselves.
    pub fn scanning_columns(seed: u64) -> Self {
        let Self { metadata, tensors } = Self::scanning(seed);
        let (inner, states, rank) = (64, 8, 4);
        let stays = |name: &String| !["ssm_in", "ssm_a", "ssm_d", "ssm_norm"].iter().any(|part| name.contains(part));
        let mut tiny = Self {
            metadata: metadata.into_iter().map(|(key, value)| (key.replacen("mamba2.", "mamba.", 1), value)).collect(),
            tensors: tensors.into_iter().filter(|(name, _)| stays(name)).collect(),
        };
        let mut rng = Rng::new(seed + 4000);
        for layer in 0..LAYERS {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let matrices =
                [("ssm_in", HIDDEN, 2 * inner), ("ssm_x", inner, rank + 2 * states), ("ssm_dt", rank, inner)];
            for (part, cols, rows) in matrices {
                let block = if part == "ssm_dt" { BlockType::F32 } else { BlockType::Q8_0 };
                let (dims, data) = (vec![cols as u64, rows as u64], rng.rows(block, rows, cols));
                tiny.tensors.insert(name(&format!("{part}.weight")), Tensor { dims, block, data });
            }
            let decays: Vec<f32> = rng.units(inner * states).iter().map(|unit| -0.01 - unit.abs()).collect();
            tiny = tiny
                .vector(&name("ssm_conv1d.weight"), &rng.units(4 * inner))
                .vector(&name("ssm_conv1d.bias"), &rng.units(inner))
                .vector(&name("ssm_a"), &decays)
                .vector(&name("ssm_dt.bias"), &rng.units(inner))
                .vector(&name("ssm_d"), &rng.units(inner));
            for (part, dims) in [("ssm_conv1d.weight", [4, inner]), ("ssm_a", [states, inner])] {
                tiny.tensors.get_mut(&name(part)).unwrap().dims = dims.map(|dim| dim as u64).to_vec();
            }
        }
        tiny.meta("general.architecture", "mamba").meta("mamba.ssm.time_step_rank", rank as u32)
    }

    /// Random weights of RWKV-7's layers.
    pub fn mixing(seed: u64) -> Self {
        let Self { metadata, tensors } = Self::new(seed, |_| BlockType::Q8_0);
        let renamed = |(key, value): (String, Value)| (key.replacen("llama.", "rwkv7.", 1), value);
        let stays = |name: &String| !name.starts_with("blk.") || name.ends_with(".attn_norm.weight");
        let mut tiny = Self {
            metadata: metadata.into_iter().map(renamed).collect(),
            tensors: tensors.into_iter().filter(|(name, _)| stays(name)).collect(),
        };
        let (head, rank, ffn) = (HEAD_DIM, 8, 2 * HIDDEN);
        let mut rng = Rng::new(seed + 5000);
        for layer in 0..LAYERS {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let square =
                ["receptance", "key", "value", "output"].map(|part| (format!("time_mix_{part}"), HIDDEN, HIDDEN));
            let low = ['w', 'a', 'v', 'g'].map(|letter| {
                [(format!("time_mix_{letter}1"), HIDDEN, rank), (format!("time_mix_{letter}2"), rank, HIDDEN)]
            });
            let channel = [("channel_mix_key".into(), HIDDEN, ffn), ("channel_mix_value".into(), ffn, HIDDEN)];
            for (part, cols, rows) in square.into_iter().chain(low.into_iter().flatten()).chain(channel) {
                let block = if cols == rank { BlockType::F32 } else { BlockType::Q8_0 };
                let (dims, data) = (vec![cols as u64, rows as u64], rng.rows(block, rows, cols));
                tiny.tensors.insert(name(&format!("{part}.weight")), Tensor { dims, block, data });
            }
            for part in ["w0", "a0", "v0", "k_k", "k_a", "r_k", "ln"] {
                tiny = tiny.vector(&name(&format!("time_mix_{part}.weight")), &rng.units(HIDDEN));
            }
            for part in ["time_mix_ln.bias", "channel_mix_lerp_k.weight", "attn_norm_2.weight"] {
                tiny = tiny.vector(&name(part), &rng.units(HIDDEN));
            }
            let shifts = name("time_mix_lerp_fused.weight");
            tiny = tiny.vector(&shifts, &rng.units(6 * HIDDEN));
            tiny.tensors.get_mut(&shifts).unwrap().dims = vec![HIDDEN as u64, 1, 1, 6];
        }
        for rank_of in ["decay", "iclr", "value_residual_mix", "gate"] {
            tiny = tiny.meta(&format!("rwkv7.attention.{rank_of}_lora_rank"), rank as u32);
        }
        tiny.vector("token_embd_norm.weight", &rng.units(HIDDEN))
            .meta("general.architecture", "rwkv7")
            .meta("rwkv7.feed_forward_length", ffn as u32)
            .meta("rwkv7.attention.head_count", 0u32)
            .meta("rwkv7.attention.layer_norm_epsilon", 1e-5f32)
            .meta("rwkv7.wkv.head_size", head as u32)
    }

    pub fn vector(mut self, name: &str, values: &[f32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.insert(name.into(), Tensor { dims: vec![values.len() as u64], block: BlockType::F32, data });
        self
    }

    pub fn meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.retain(|(existing, _)| existing != key);
        self.metadata.push((key.into(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.tensors.remove(name).expect(name);
        self
    }

    /// The same weights as plain floats.
    pub fn widened(&self) -> Self {
        let widen = |tensor: &Tensor| {
            let cols = tensor.dims[0] as usize;
            let layout = Layout::for_block(tensor.block);
            let mut planes = Planes::default();
            repack(tensor.block, cols, &tensor.data, &mut planes);
            let (q, s) = (layout.quants_row_bytes(cols), layout.scales_row_bytes(cols));
            let mut data = Vec::new();
            let mut row = vec![0.0; cols];
            for r in 0..planes.quants.len() / q {
                dequantize_row(layout, &planes.quants[r * q..][..q], &planes.scales[r * s..][..s], &mut row);
                data.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            }
            Tensor { dims: tensor.dims.clone(), block: BlockType::F32, data }
        };
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), widen(tensor))).collect();
        Self { metadata: self.metadata.clone(), tensors }
    }

    pub fn bytes(&self) -> Vec<u8> {
        write(&self.metadata, self.tensors.iter())
    }
}

pub fn write<'a>(metadata: &[(String, Value)], tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    for (key, value) in metadata {
        writer = writer.metadata(key, value.clone());
    }
    for (name, tensor) in tensors {
        writer = writer.tensor(name, &tensor.dims, tensor.block, &tensor.data);
    }
    writer.to_bytes()
}

fn metadata(hidden: usize, ffn: usize) -> Vec<(String, Value)> {
    let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), "</s>".into()];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let types: Vec<i32> = [2, 3, 3].into_iter().chain([6; 256]).collect();
    let pairs: Vec<(&str, Value)> = vec![
        ("general.architecture", "llama".into()),
        ("llama.block_count", (LAYERS as u32).into()),
        ("llama.context_length", 128u32.into()),
        ("llama.embedding_length", (hidden as u32).into()),
        ("llama.feed_forward_length", (ffn as u32).into()),
        ("llama.attention.head_count", (HEADS as u32).into()),
        ("llama.attention.head_count_kv", (KV_HEADS as u32).into()),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5f32.into()),
        ("tokenizer.ggml.model", "llama".into()),
        ("tokenizer.ggml.tokens", Value::Array(Array::Strings(tokens))),
        ("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0; VOCAB]))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(types))),
        ("tokenizer.ggml.bos_token_id", 1u32.into()),
        ("tokenizer.ggml.eos_token_id", 2u32.into()),
        ("tokenizer.ggml.unknown_token_id", 0u32.into()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

pub fn decoder_on(engine: impl Engine + 'static, bytes: &[u8]) -> Result<LoadedDecoder, Error> {
    decoder_with(engine, bytes, None)
}

pub fn decoder_with(
    engine: impl Engine + 'static,
    bytes: &[u8],
    context: Option<usize>,
) -> Result<LoadedDecoder, Error> {
    load(Loading::new(Box::new(engine), context), bytes)
}

/// With keys and values in f32, so that a GPU gives nearly the logits of the reference.
pub fn exact_decoder_on(engine: impl Engine + 'static, bytes: &[u8]) -> LoadedDecoder {
    decoder_in(KvFormat::F32, engine, bytes)
}

/// With keys and values in this format, where the engine has it.
pub fn decoder_in(format: KvFormat, engine: impl Engine + 'static, bytes: &[u8]) -> LoadedDecoder {
    let mut loading = Loading::new(Box::new(engine), None);
    loading.set_kv_format(Some(format));
    load(loading, bytes).unwrap()
}

fn load(mut loading: Loading, bytes: &[u8]) -> Result<LoadedDecoder, Error> {
    // an odd chunk size, so that chunks split rows
    for chunk in bytes.chunks(1009) {
        block_on(loading.feed(chunk))?;
    }
    block_on(loading.finish())
}

/// The tokens of a greedy generation.
pub fn greedy(decoder: &mut LoadedDecoder, prompt: &[u32], max_tokens: usize) -> Vec<u32> {
    let sampling = SamplingOptions::greedy();
    let options = GenerateOptions { max_tokens: Some(max_tokens), ignore_eos: true, sampling, ..Default::default() };
    let generation = decoder.start(prompt.to_vec(), options, 0).unwrap();
    let mut ids = Vec::new();
    loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, .. } => ids.push(id),
            Event::End { .. } => return ids,
        }
    }
}
