//! The architectures that weft runs, as rows of a table: how each varies the one decoder layer, or the one encoder layer.

use super::config::Scales;
use crate::ops::{Activation, Function, NormKind, RopeKind, Weighting};

/// What does not vary within an architecture.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// `general.architecture`
    pub name: &'static str,
    /// Of every norm but that of heads.
    pub norm: NormKind,
    /// Whether the ε of LayerNorm stands under the name of the other one's.
    pub rms_eps: bool,
    /// Between the projections of the feed-forward layer.
    pub activation: Activation,
    /// How a token's position comes in.
    pub positions: Positions,
    /// Whether an original context length without a kind of scaling means two sets of factors.
    pub long_rope: bool,
    /// Every layer of this number, counted from one, turns nothing (Yang et al. 2025, arXiv 2501.18795).
    pub no_rope_every: Option<usize>,
    /// θ of the layers with a window, where it is another one.
    pub windowed_rope_base: Option<f32>,
    /// Positions that a window holds, where the file does not say; `None` for no windows.
    pub window: Option<usize>,
    /// Which layers have a window, where the file does not say.
    pub windowed: WindowedLayers,
    /// The norm of q and k before they turn.
    pub qk_norm: Option<QkNorm>,
    /// Where the norms of the residual stream are.
    pub norms: Norms,
    /// Whether gate and up projection come as one tensor, `ffn_up`.
    pub fused_gate_up: bool,
    /// Whether attention and feed-forward layer read the same residual stream, where the file does not say.
    pub parallel: bool,
    /// Whether they do so where the layers have no `ffn_norm`, whatever the file says.
    pub parallel_without_ffn_norm: bool,
    /// The model of so many layers scales attention by the width of a head that hidden / heads would give, not by its own.
    pub wide_heads_at: Option<usize>,
    /// What experts weigh, where the architecture has such models.
    pub experts: Option<Weighting>,
    /// Whether an expert is as wide as the feed-forward layer divided by the experts of a token,
    /// where the file does not say.
    pub splits_ffn: bool,
    /// Whether every token goes to one expert more, as wide as the feed-forward layer where the
    /// file does not say.
    pub shared_expert: bool,
    /// Whether the experts are chosen by two matrices, with tanh between.
    pub deep_router: bool,
    /// Whether the embeddings are multiplied by the root of their width.
    pub scales_embedding: bool,
    /// Whether the embeddings are normalised.
    pub norms_embedding: bool,
    /// Whether its layers are those of an encoder, in which each token sees all others.
    pub encoder: bool,
    /// Bound of attention scores, where the file does not say it: see [`Scales`].
    pub attention_cap: Option<f32>,
    /// Bound of logits, where the file does not say it.
    pub logits_cap: Option<f32>,
    /// The factors of a file that does not say them. Such a file says the factor of logits, where
    /// others say what divides them.
    pub scales: Option<Scales>,
}

/// How a token's position comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// Queries and keys turn by it: which values do so together.
    Rotary(RopeKind),
    /// A learned vector is added to the embedding.
    Learned,
    /// Scores fall with the distance: the largest bias, where the file does not say it.
    Linear(f32),
}

/// Where the norms of the residual stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before each block and after the last one.
    Before,
    /// After each block, of the sum, as in the first transformer.
    After,
    /// Before each block, and of what it adds: the stems of those of attention and of the feed-forward layer.
    Around([&'static str; 2]),
}

/// Which layers have a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowedLayers {
    /// Every one.
    All,
    /// The n-th, 2 n-th and so on see everything.
    AllButEvery(usize),
}

/// What a norm of queries and keys spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// Each head on its own, all with the same weights.
    Heads,
    /// All heads of q, and all of k.
    Rows,
    /// Each head on its own, with weights of its own; where the file has them.
    EachHead,
}

/// Pairs turn that stand beside each other.
const NEIGHBOURS: Positions = Positions::Rotary(RopeKind::Interleaved);
/// Pairs turn that are half a head apart, as in GPT-NeoX.
const HALVES: Positions = Positions::Rotary(RopeKind::HalfSplit);
/// As in the paper (Press et al. 2022, arXiv 2108.12409).
const ALIBI: Positions = Positions::Linear(8.0);

/// Of Llama; the others say what they do otherwise.
const LLAMA: Architecture = Architecture {
    name: "llama",
    norm: NormKind::Rms,
    rms_eps: false,
    activation: Activation::SWIGLU,
    positions: NEIGHBOURS,
    long_rope: false,
    no_rope_every: None,
    windowed_rope_base: None,
    window: None,
    windowed: WindowedLayers::All,
    qk_norm: None,
    norms: Norms::Before,
    fused_gate_up: false,
    parallel: false,
    parallel_without_ffn_norm: false,
    wide_heads_at: None,
    experts: None,
    splits_ffn: false,
    shared_expert: false,
    deep_router: false,
    scales_embedding: false,
    norms_embedding: false,
    encoder: false,
    attention_cap: None,
    logits_cap: None,
    scales: None,
};

/// With pairs as in GPT-NeoX.
const HALF_SPLIT: Architecture = Architecture { positions: HALVES, ..LLAMA };

const GEGLU: Activation = Activation { function: Function::GeluTanh, gated: true };

const GEMMA: Architecture = Architecture { name: "gemma", activation: GEGLU, scales_embedding: true, ..HALF_SPLIT };

const GEMMA_NORMS: Norms = Norms::Around(["post_attention_norm", "post_ffw_norm"]);

/// Of Grok-1, as its run.py and model.py have them (xAI 2024), and so is the bound of its attention
/// scores.
const GROK: Scales = Scales {
    embedding: 78.383_67,
    attention: 0.088_388_35,
    residual: 1.0,
    logits: 0.577_350_3,
    attention_cap: None,
    logits_cap: None,
};

/// LayerNorm and a plain activation, as in GPT-2.
const fn gpt(name: &'static str, positions: Positions, function: Function) -> Architecture {
    let activation = Activation { function, gated: false };
    Architecture { name, norm: NormKind::Layer, activation, positions, ..LLAMA }
}

/// Every architecture.
const ARCHITECTURES: &[Architecture] = &[
    // Mixtral is stored under this name too
    Architecture { experts: Some(Weighting::Renormalised), ..LLAMA },
    // LLaMA-MoE, which GGUF has no name for
    Architecture { name: "llama_moe", experts: Some(Weighting::Renormalised), deep_router: true, ..HALF_SPLIT },
    Architecture { name: "qwen2", ..HALF_SPLIT },
    Architecture {
        name: "qwen2moe",
        experts: Some(Weighting::Softmax),
        splits_ffn: true,
        shared_expert: true,
        ..HALF_SPLIT
    },
    Architecture { name: "qwen3", qk_norm: Some(QkNorm::Heads), ..HALF_SPLIT },
    Architecture {
        name: "qwen3moe",
        qk_norm: Some(QkNorm::Heads),
        experts: Some(Weighting::Renormalised),
        splits_ffn: true,
        ..HALF_SPLIT
    },
    Architecture { name: "olmoe", qk_norm: Some(QkNorm::Rows), experts: Some(Weighting::Softmax), ..HALF_SPLIT },
    GEMMA,
    // those of 27 B weights
    Architecture {
        name: "gemma2",
        norms: GEMMA_NORMS,
        window: Some(4096),
        windowed: WindowedLayers::AllButEvery(2),
        wide_heads_at: Some(46),
        attention_cap: Some(50.0),
        logits_cap: Some(30.0),
        ..GEMMA
    },
    Architecture {
        name: "gemma3",
        norms: GEMMA_NORMS,
        qk_norm: Some(QkNorm::Heads),
        windowed: WindowedLayers::AllButEvery(6),
        windowed_rope_base: Some(10000.0),
        wide_heads_at: Some(62),
        ..GEMMA
    },
    Architecture { name: "phi3", fused_gate_up: true, long_rope: true, ..HALF_SPLIT },
    Architecture {
        name: "phimoe",
        norm: NormKind::Layer,
        rms_eps: true,
        long_rope: true,
        experts: Some(Weighting::SparseMixer),
        ..HALF_SPLIT
    },
    Architecture { name: "smollm3", no_rope_every: Some(4), ..LLAMA },
    Architecture { name: "granite", ..LLAMA },
    Architecture {
        name: "grok",
        norms: Norms::Around(["attn_output_norm", "layer_output_norm"]),
        activation: GEGLU,
        experts: Some(Weighting::Softmax),
        attention_cap: Some(30.0),
        scales: Some(GROK),
        ..HALF_SPLIT
    },
    Architecture {
        name: "stablelm",
        norm: NormKind::Layer,
        qk_norm: Some(QkNorm::EachHead),
        parallel_without_ffn_norm: true,
        ..HALF_SPLIT
    },
    gpt("starcoder2", HALVES, Function::GeluTanh),
    gpt("gpt2", Positions::Learned, Function::GeluTanh),
    // GGUF has no name for GPT-1; the tensors have those of GPT-2
    Architecture { norms: Norms::After, ..gpt("openai-gpt", Positions::Learned, Function::GeluTanh) },
    Architecture { parallel: true, ..gpt("gptneox", HALVES, Function::Gelu) },
    Architecture { parallel: true, ..gpt("phi2", HALVES, Function::GeluTanh) },
    Architecture { parallel: true, ..gpt("falcon", HALVES, Function::Gelu) },
    gpt("mpt", ALIBI, Function::Gelu),
    Architecture { norms_embedding: true, ..gpt("bloom", ALIBI, Function::GeluTanh) },
    // DistilBERT is stored under this name too
    Architecture { encoder: true, ..gpt("bert", Positions::Learned, Function::Gelu) },
    Architecture { parallel: true, ..gpt("gptj", NEIGHBOURS, Function::GeluTanh) },
];

/// Their names.
pub const NAMES: [&str; ARCHITECTURES.len()] = {
    let mut names = [""; ARCHITECTURES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = ARCHITECTURES[i].name;
        i += 1;
    }
    names
};

impl Architecture {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name)
    }

    /// Which values turn together; `None` where none turn.
    pub fn rope(&self) -> Option<RopeKind> {
        match self.positions {
            Positions::Rotary(kind) => Some(kind),
            Positions::Learned | Positions::Linear(_) => None,
        }
    }
}
