//! Headers of published models, made from their shapes: enough to record them. With random weights
//! ([`Shape::random`]) enough to run them.
//!
//! Shapes are those of the models' config.json on Hugging Face. Block types follow llama.cpp's
//! quantiser (src/llama-quant.cpp): Q4_K_M keeps the output matrix, or the embedding table where it
//! is both, in Q6_K, and so `attn_v` and `ffn_down` of half of the layers; `attn_qkv`, where these
//! are one tensor, in Q5_K. A row that is not made of blocks of 256 is in Q5_0 instead of Q4_K, and
//! in Q8_0 instead of Q6_K.

mod weights;

pub use weights::RandomFile;

use crate::format::layout::GROUP;
use crate::format::metadata::{Array, Metadata};
use crate::format::writer::header_of;
use crate::format::{BlockType, TensorInfo, Value};
use crate::{Error, Result};

/// Positions of a convolution.
const CONVOLVED: usize = 3;

/// The shapes of a model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name in the command.
    pub name: &'static str,
    /// The model that it is of.
    pub model: &'static str,
    architecture: &'static str,
    layers: usize,
    hidden: usize,
    ffn: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    context: usize,
    /// Experts, and how many of them a token has.
    experts: Option<(usize, usize)>,
    tied: bool,
    qkv_bias: bool,
    qk_norm: bool,
    norms_behind: bool,
    /// Whether q, k and v are one tensor, and so gate and up.
    fused: bool,
    /// Pairs of RoPE that have a factor.
    rope_factors: usize,
    window: Option<usize>,
    /// The layers with attention, where the others are convolutions; `None`: all.
    attends: Option<&'static [usize]>,
}

const LLAMA_8B: Shape = Shape {
    name: "llama-8b",
    model: "Llama 3.1 8B",
    architecture: "llama",
    layers: 32,
    hidden: 4096,
    ffn: 14336,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    vocab: 128_256,
    context: 131_072,
    experts: None,
    tied: false,
    qkv_bias: false,
    qk_norm: false,
    norms_behind: false,
    fused: false,
    rope_factors: 64,
    window: None,
    attends: None,
};

/// Qwen 3 0.6B.
const QWEN3: Shape = Shape {
    name: "qwen3-0.6b",
    model: "Qwen3 0.6B",
    architecture: "qwen3",
    layers: 28,
    hidden: 1024,
    ffn: 3072,
    heads: 16,
    vocab: 151_936,
    context: 40_960,
    tied: true,
    qk_norm: true,
    rope_factors: 0,
    ..LLAMA_8B
};

/// Qwen 2.5 1.5B.
const QWEN2: Shape = Shape {
    name: "qwen2.5-1.5b",
    model: "Qwen2.5 1.5B",
    architecture: "qwen2",
    hidden: 1536,
    ffn: 8960,
    heads: 12,
    kv_heads: 2,
    context: 32_768,
    qkv_bias: true,
    qk_norm: false,
    ..QWEN3
};

/// All models.
pub const SHAPES: &[Shape] = &[
    LLAMA_8B,
    Shape {
        name: "llama-3b",
        model: "Llama 3.2 3B",
        layers: 28,
        hidden: 3072,
        ffn: 8192,
        heads: 24,
        tied: true,
        ..LLAMA_8B
    },
    Shape { name: "mistral-7b", model: "Mistral 7B v0.3", vocab: 32_768, context: 32_768, rope_factors: 0, ..LLAMA_8B },
    Shape {
        name: "phi3-mini",
        model: "Phi-3 mini 4k",
        architecture: "phi3",
        hidden: 3072,
        ffn: 8192,
        kv_heads: 32,
        head_dim: 96,
        vocab: 32_064,
        context: 4096,
        fused: true,
        rope_factors: 0,
        window: Some(2047),
        ..LLAMA_8B
    },
    QWEN3,
    QWEN2,
    Shape {
        name: "qwen2.5-0.5b",
        model: "Qwen2.5 0.5B",
        layers: 24,
        hidden: 896,
        ffn: 4864,
        heads: 14,
        head_dim: 64,
        // the published file has the table twice
        tied: false,
        ..QWEN2
    },
    Shape {
        name: "gemma3-4b",
        model: "Gemma 3 4B",
        architecture: "gemma3",
        layers: 34,
        hidden: 2560,
        ffn: 10_240,
        heads: 8,
        kv_heads: 4,
        head_dim: 256,
        vocab: 262_144,
        context: 131_072,
        norms_behind: true,
        window: Some(1024),
        ..QWEN3
    },
    Shape {
        name: "lfm2-1.2b",
        model: "LFM2 1.2B",
        architecture: "lfm2",
        layers: 16,
        hidden: 2048,
        ffn: 8192,
        heads: 32,
        head_dim: 64,
        vocab: 65_536,
        context: 128_000,
        attends: Some(&[2, 5, 8, 10, 12, 14]),
        ..QWEN3
    },
    Shape {
        name: "qwen3-8b",
        model: "Qwen3 8B",
        layers: 36,
        hidden: 4096,
        ffn: 12_288,
        heads: 32,
        tied: false,
        ..QWEN3
    },
    Shape {
        name: "qwen3-30b-a3b",
        model: "Qwen3 30B A3B",
        architecture: "qwen3moe",
        layers: 48,
        hidden: 2048,
        ffn: 768,
        heads: 32,
        kv_heads: 4,
        experts: Some((128, 8)),
        tied: false,
        ..QWEN3
    },
];

/// The model of this name. Errors: `InvalidOption`.
pub fn named(name: &str) -> Result<&'static Shape> {
    SHAPES.iter().find(|shape| shape.name == name).ok_or_else(|| Error::InvalidOption {
        name: "synthetic".into(),
        expected: SHAPES.iter().map(|shape| shape.name).collect::<Vec<_>>().join(", "),
        got: name.into(),
    })
}

/// How the weights are quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixture {
    /// Q4_K, and Q6_K where llama.cpp has it.
    Q4KM,
    /// Q4_0, and Q6_K for the output.
    Q4_0,
    /// Q8_0 throughout.
    Q8_0,
}

impl Mixture {
    /// The mixture of this name. Errors: `InvalidOption`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "q4_k_m" => Ok(Self::Q4KM),
            "q4_0" => Ok(Self::Q4_0),
            "q8_0" => Ok(Self::Q8_0),
            _ => Err(Error::InvalidOption {
                name: "type".into(),
                expected: "q4_k_m, q4_0 or q8_0".into(),
                got: name.into(),
            }),
        }
    }

    /// The type of a matrix of `cols` columns; `layer` of `layers`, for `attn_v` and `ffn_down`.
    fn block(self, stem: &str, cols: usize, place: (usize, usize), tied: bool) -> BlockType {
        match self.usual(stem, place, tied) {
            BlockType::Q4K if !cols.is_multiple_of(GROUP) => BlockType::Q5_0,
            BlockType::Q6K if !cols.is_multiple_of(GROUP) => BlockType::Q8_0,
            block => block,
        }
    }

    /// The type where rows are made of blocks of 256.
    fn usual(self, stem: &str, (layer, layers): (usize, usize), tied: bool) -> BlockType {
        let is_output = stem == "output" || (stem == "token_embd" && tied);
        // llama.cpp's use_more_bits: the first and the last eighth of the layers, and every third
        // between them
        let eighth = layers / 8;
        let more = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
        let counts = ["attn_v", "ffn_down", "ffn_down_exps"].contains(&stem);
        match self {
            Self::Q8_0 => BlockType::Q8_0,
            _ if is_output => BlockType::Q6K,
            Self::Q4_0 => BlockType::Q4_0,
            Self::Q4KM if counts && more => BlockType::Q6K,
            Self::Q4KM if stem == "attn_qkv" => BlockType::Q5K,
            Self::Q4KM => BlockType::Q4K,
        }
    }
}

impl Shape {
    /// The same model cut after so many layers.
    pub fn with_layers(self, layers: usize) -> Self {
        Self { layers: layers.min(self.layers), ..self }
    }

    /// The bytes of a GGUF file before its weights.
    pub fn header(&self, mixture: Mixture) -> Vec<u8> {
        header_of(&self.metadata(), &self.tensors(mixture))
    }

    /// Whether a layer has attention.
    fn attends(&self, layer: usize) -> bool {
        self.attends.is_none_or(|layers| layers.contains(&layer))
    }

    fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", self.architecture);
        metadata.insert("general.name", self.model);
        metadata.insert("tokenizer.ggml.model", "none");
        let mut put = |key: &str, value: Value| metadata.insert(format!("{}.{key}", self.architecture), value);
        let mut count = |key: &str, value: usize| put(key, (value as u32).into());
        count("block_count", self.layers);
        count("context_length", self.context);
        count("embedding_length", self.hidden);
        count("feed_forward_length", self.ffn);
        count("attention.head_count", self.heads);
        if self.attends.is_some() {
            count("shortconv.l_cache", CONVOLVED);
        } else {
            count("attention.head_count_kv", self.kv_heads);
        }
        count("attention.key_length", self.head_dim);
        count("attention.value_length", self.head_dim);
        count("vocab_size", self.vocab);
        if let Some((experts, chosen)) = self.experts {
            count("expert_count", experts);
            count("expert_used_count", chosen);
            count("expert_feed_forward_length", self.ffn);
        }
        if let Some(window) = self.window {
            count("attention.sliding_window", window);
        }
        if self.attends.is_some() {
            let heads = |layer| if self.attends(layer) { self.kv_heads as u32 } else { 0 };
            put("attention.head_count_kv", Value::Array(Array::U32((0..self.layers).map(heads).collect())));
        }
        put("attention.layer_norm_rms_epsilon", 1e-6f32.into());
        metadata
    }

    fn tensors(&self, mixture: Mixture) -> Vec<TensorInfo> {
        let mut tensors = Vec::new();
        let mut tensor = |name: String, dims: &[usize], block| {
            let dims = dims.iter().map(|&dim| dim as u64).collect();
            tensors.push(TensorInfo { name: format!("{name}.weight"), dims, block, offset: 0 });
        };
        let (hidden, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let vector = BlockType::F32;
        for (stem, is_there) in [("token_embd", true), ("output", !self.tied)] {
            if is_there {
                tensor(stem.into(), &[hidden, self.vocab], mixture.block(stem, hidden, (0, 0), self.tied));
            }
        }
        let final_norm = if self.attends.is_some() { "token_embd_norm" } else { "output_norm" };
        tensor(final_norm.into(), &[hidden], vector);
        if self.rope_factors > 0 {
            tensor("rope_freqs".into(), &[self.rope_factors], vector);
        }
        for layer in 0..self.layers {
            let mut matrix = |stem: &str, dims: &[usize]| {
                tensor(
                    format!("blk.{layer}.{stem}"),
                    dims,
                    mixture.block(stem, dims[0], (layer, self.layers), self.tied),
                );
            };
            if !self.attends(layer) {
                matrix("shortconv.in_proj", &[hidden, 3 * hidden]);
                matrix("shortconv.out_proj", &[hidden, hidden]);
            } else if self.fused {
                matrix("attn_qkv", &[hidden, q + 2 * kv]);
            } else {
                matrix("attn_q", &[hidden, q]);
                matrix("attn_k", &[hidden, kv]);
                matrix("attn_v", &[hidden, kv]);
            }
            if self.attends(layer) {
                matrix("attn_output", &[q, hidden]);
            }
            match self.experts {
                None if self.fused => {
                    matrix("ffn_up", &[hidden, 2 * self.ffn]);
                    matrix("ffn_down", &[self.ffn, hidden]);
                }
                None => {
                    matrix("ffn_gate", &[hidden, self.ffn]);
                    matrix("ffn_up", &[hidden, self.ffn]);
                    matrix("ffn_down", &[self.ffn, hidden]);
                }
                Some((experts, _)) => {
                    matrix("ffn_gate_exps", &[hidden, self.ffn, experts]);
                    matrix("ffn_up_exps", &[hidden, self.ffn, experts]);
                    matrix("ffn_down_exps", &[self.ffn, hidden, experts]);
                    tensor(format!("blk.{layer}.ffn_gate_inp"), &[hidden, experts], vector);
                }
            }
            if !self.attends(layer) {
                tensor(format!("blk.{layer}.shortconv.conv"), &[CONVOLVED, hidden], vector);
            }
            let mut norm = |stem: &str, cols: usize, is_there: bool| {
                if is_there {
                    tensor(format!("blk.{layer}.{stem}"), &[cols], vector);
                }
            };
            norm("attn_norm", hidden, true);
            norm("ffn_norm", hidden, true);
            norm("attn_q_norm", self.head_dim, self.qk_norm && self.attends(layer));
            norm("attn_k_norm", self.head_dim, self.qk_norm && self.attends(layer));
            norm("post_attention_norm", hidden, self.norms_behind);
            norm("post_ffw_norm", hidden, self.norms_behind);
        }
        let biases = [("attn_q", q), ("attn_k", kv), ("attn_v", kv)];
        for (layer, (stem, len)) in (0..self.layers).flat_map(|layer| biases.map(|bias| (layer, bias))) {
            if self.qkv_bias {
                let name = format!("blk.{layer}.{stem}.bias");
                tensors.push(TensorInfo { name, dims: vec![len as u64], block: vector, offset: 0 });
            }
        }
        tensors
    }
}
