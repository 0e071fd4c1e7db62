//! The table of architectures: each row says how a model differs from Llama's decoder layer.

use super::scales::Scales;
use crate::ops::{Activation, Function, NormKind, RopeKind, Weighting};

/// The properties that all models of one architecture share.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// Value of `general.architecture`.
    pub name: &'static str,
    /// Norm of the residual stream; QK-norm has its own field.
    pub norm: NormKind,
    /// Whether a LayerNorm stores its ε under `layer_norm_rms_epsilon`.
    pub rms_eps: bool,
    /// Activation between the projections of the feed-forward layer.
    pub activation: Activation,
    /// The same of files whose feed-forward layers have no gate, where they may lack it.
    pub gateless: Option<Function>,
    /// Function of the activation in models without grouped queries, unless their folder says
    /// otherwise.
    pub ungrouped: Option<Function>,
    /// Position encoding.
    pub positions: Positions,
    /// LongRoPE, unless the file names another scaling: one tensor of factors for contexts up to
    /// the original length, another for longer ones.
    pub long_rope: bool,
    /// Whether YaRN's bounds between scaled and unscaled pairs are whole pairs.
    pub whole_yarn_pairs: bool,
    /// Whether `rope.scaling.attn_factor` holds the whole factor of YaRN, not what comes on top.
    pub whole_yarn_factor: bool,
    /// NoPE: the layers that skip RoPE (Yang et al. 2025, arXiv 2501.18795).
    pub no_rope: NoRope,
    /// RoPE of the layers with a sliding window.
    pub windowed_rope: WindowedRope,
    /// Default size of the sliding window, in positions; `None`: no window unless the file has one.
    pub window: Option<usize>,
    /// Default choice of the layers that have a window.
    pub windowed: WindowedLayers,
    /// QK-norm, applied before RoPE unless it says otherwise.
    pub qk_norm: Option<QkNorm>,
    /// Placement of the norms.
    pub norms: Norms,
    /// What the names of a layer's tensors begin with.
    pub layer: &'static str,
    /// Stem of the output projection of attention.
    pub attn_output: &'static str,
    /// Stem of the norm before attention; with [`Norms::After`], of the one after it.
    pub attn_norm: &'static str,
    /// The same of the feed-forward layer.
    pub ffn_norm: &'static str,
    /// Whether the first layer's attention has no norm: that of the embeddings is just before it.
    pub bare_first: bool,
    /// Whether what the last projection of each block reads is normalised too.
    pub sub_norms: bool,
    /// Whether each head has a learned score that belongs to no position (attention sink).
    pub sinks: bool,
    /// Whether `ffn_up` holds the gate and the up projection as one tensor.
    pub fused_gate_up: bool,
    /// Default of `use_parallel_residual`: attention and feed-forward layer read the same residual
    /// stream.
    pub parallel: bool,
    /// Whether the two are parallel exactly when the layers have no `ffn_norm`. The file's
    /// `use_parallel_residual` is then ignored.
    pub parallel_without_ffn_norm: bool,
    /// Layer count at which attention is scaled by the root of hidden / heads instead of
    /// `head_dim`.
    pub wide_heads_at: Option<usize>,
    /// How the router weighs the chosen experts; `None` if the architecture has no mixture of
    /// experts.
    pub experts: Option<Weighting>,
    /// Whether the choice of experts may have a bias (`exp_probs_b`).
    pub biased_choice: bool,
    /// Whether the default width of an expert is `feed_forward_length` / `expert_used_count`.
    pub splits_ffn: bool,
    /// Whether every token also goes to a shared expert, by default `feed_forward_length` wide.
    pub shared_expert: bool,
    /// Whether the router weighs a shared expert; if not, its output counts as it is.
    pub weighs_shared: bool,
    /// Whether the router reads what a layer begins with, before the norm of its attention. Files
    /// say whether it weighs by softmax or by sigmoids.
    pub routes_input: bool,
    /// Whether the router has two matrices with tanh in between.
    pub deep_router: bool,
    /// Whether keys and values of all heads are made of one latent vector of each position.
    pub latent: bool,
    /// Whether layers without key and value heads are short convolutions.
    pub convolutions: bool,
    /// Whether all but every n-th layer, by default the fourth, is linear attention with a gated
    /// delta rule, and attention has a gate for each of its values.
    pub delta: Option<DeltaOrder>,
    /// Whether layers differ in width: those with a window have heads of their own, and the file
    /// may list key and value heads and widths of feed-forward layers for each layer. Experts stand
    /// beside an ordinary feed-forward block.
    pub varied_widths: bool,
    /// Whether values are normalised too, each head alone and without weights. Attention scores are
    /// not scaled by default then.
    pub norms_values: bool,
    /// Whether there are several residual streams, with a residual beside attention.
    pub streams: bool,
    /// Whether layers without key and value heads are selective scans (Mamba-2).
    pub scans: bool,
    /// Whether these are of columns (Mamba).
    pub columns: bool,
    /// Whether layers have no feed-forward block.
    pub bare_mixers: bool,
    /// Whether layers are RWKV-7's: time mixing in the place of attention, and a token shift before
    /// both blocks.
    pub wkv: bool,
    /// Stem of the norm after the last layer.
    pub final_norm: &'static str,
    /// Whether the embeddings are multiplied by √hidden.
    pub scales_embedding: bool,
    /// Whether the embeddings are normalised.
    pub norms_embedding: bool,
    /// Whether this is an encoder: attention is not causal, and windows reach to both sides.
    pub encoder: bool,
    /// The encoder of a source text whose outputs the layers also attend to, in models of both
    /// halves (Vaswani et al. 2017, arXiv 1706.03762).
    pub source: Option<&'static Architecture>,
    /// Whether a classifier reads the mean of all tokens, through GELU and a norm, not the first
    /// token through tanh.
    pub classifies_mean: bool,
    /// What its models that rank read of a query and a document, unless the file has a template
    /// called `rerank`.
    pub rerank: Option<&'static str>,
    /// Default soft cap of the attention scores: see [`Scales`].
    pub attention_cap: Option<f32>,
    /// Default soft cap of the logits.
    pub logits_cap: Option<f32>,
    /// Default scales. In these files `logit_scale` multiplies the logits; elsewhere it divides
    /// them.
    pub scales: Option<Scales>,
}

/// The order of value heads in linear attention: see [`crate::ops::DeltaHeads::tiled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaOrder {
    /// Those of a key head are as many heads apart as there are key heads.
    Tiled,
    /// Those of a key head are neighbours.
    Grouped,
}

/// Position encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// RoPE on queries and keys: which values form a pair.
    Rotary(RopeKind),
    /// A learned vector per position is added to the embedding.
    Learned,
    /// ALiBi: attention scores fall linearly with distance. Holds the default of
    /// `attention.max_alibi_bias`.
    Linear(f32),
    /// None in the layers: what they read has them.
    Outside,
    /// T5: scores have a learned bias for each bucket of distances, which layers share unless they
    /// have one of their own. They are not scaled by default then.
    Buckets,
}

/// The layers without RoPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRope {
    /// None.
    Nowhere,
    /// Every n-th layer, counted from 1.
    Every(usize),
    /// Where some layers have a sliding window: those without.
    Unwindowed,
}

/// RoPE of the layers with a sliding window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WindowedRope {
    /// The same as in other layers, unless the file has a θ for them.
    Same,
    /// Without scaling. `base`: default of its θ; `None`: that of the other layers.
    Unscaled {
        /// θ
        base: Option<f32>,
    },
}

/// Placement of the norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Pre-norm: before each block, and once after the last layer.
    Before,
    /// Post-norm: after each residual addition, as in the first transformer.
    After,
    /// Pre-norm, and a second norm on each block's output. Holds the stems of these second norms:
    /// attention, feed-forward layer.
    Around([&'static str; 2]),
    /// Only on each block's output. Holds the stems: attention, feed-forward layer.
    Outputs([&'static str; 2]),
}

/// Which layers have a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowedLayers {
    /// All layers.
    All,
    /// All but every n-th layer, counted from 1, which sees all positions.
    AllButEvery(usize),
    /// All but the first of each n layers, which sees all positions.
    AllButFirstOf(usize),
}

/// The values that QK-norm normalises together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// Each head alone; all heads share one weight vector, (head_dim).
    Heads,
    /// The same behind RoPE, which must turn all of a head.
    HeadsBehind,
    /// All heads of q at once, and all heads of k at once.
    Rows,
    /// Each head alone with its own weights, (heads, head_dim). Some files have none.
    EachHead,
}

/// Rotates the pairs (2i, 2i + 1).
const NEIGHBOURS: Positions = Positions::Rotary(RopeKind::Interleaved);
/// Rotates the pairs (i, i + dim / 2), as GPT-NeoX does.
const HALVES: Positions = Positions::Rotary(RopeKind::HalfSplit);
/// ALiBi with the paper's largest bias (Press et al. 2022, arXiv 2108.12409).
const ALIBI: Positions = Positions::Linear(8.0);

/// Llama, the base of all rows: each row states its differences.
const LLAMA: Architecture = Architecture {
    name: "llama",
    norm: NormKind::Rms,
    rms_eps: false,
    activation: Activation::SWIGLU,
    gateless: None,
    ungrouped: None,
    positions: NEIGHBOURS,
    long_rope: false,
    whole_yarn_pairs: true,
    whole_yarn_factor: false,
    no_rope: NoRope::Nowhere,
    windowed_rope: WindowedRope::Same,
    window: None,
    windowed: WindowedLayers::All,
    qk_norm: None,
    norms: Norms::Before,
    layer: "blk",
    attn_output: "attn_output",
    attn_norm: "attn_norm",
    ffn_norm: "ffn_norm",
    bare_first: false,
    sub_norms: false,
    sinks: false,
    fused_gate_up: false,
    parallel: false,
    parallel_without_ffn_norm: false,
    wide_heads_at: None,
    experts: None,
    biased_choice: false,
    splits_ffn: false,
    shared_expert: false,
    weighs_shared: true,
    routes_input: false,
    deep_router: false,
    latent: false,
    convolutions: false,
    delta: None,
    varied_widths: false,
    norms_values: false,
    streams: false,
    scans: false,
    columns: false,
    bare_mixers: false,
    wkv: false,
    final_norm: "output_norm",
    scales_embedding: false,
    norms_embedding: false,
    encoder: false,
    source: None,
    classifies_mean: false,
    rerank: None,
    attention_cap: None,
    logits_cap: None,
    scales: None,
};

/// Llama with the RoPE pairs of GPT-NeoX.
const HALF_SPLIT: Architecture = Architecture { positions: HALVES, ..LLAMA };

const GEGLU: Activation = Activation { function: Function::GeluTanh, gated: true };
const EXACT_GEGLU: Activation = Activation { function: Function::Gelu, gated: true };

const GEMMA: Architecture = Architecture { name: "gemma", activation: GEGLU, scales_embedding: true, ..HALF_SPLIT };

/// Its final norm bears the name of a norm of the embeddings.
const LFM2: Architecture = Architecture {
    name: "lfm2",
    qk_norm: Some(QkNorm::Heads),
    convolutions: true,
    final_norm: "token_embd_norm",
    ..HALF_SPLIT
};

/// Linear attention in most layers; what others call the norm of an output is that before the
/// feed-forward layer.
const QWEN35: Architecture = Architecture {
    name: "qwen35",
    qk_norm: Some(QkNorm::Heads),
    ffn_norm: "post_attention_norm",
    delta: Some(DeltaOrder::Tiled),
    ..HALF_SPLIT
};

/// The names of most norms of outputs.
const OUTPUT_STEMS: [&str; 2] = ["post_attention_norm", "post_ffw_norm"];
const GEMMA_NORMS: Norms = Norms::Around(OUTPUT_STEMS);
const OUTPUT_NORMS: Norms = Norms::Outputs(OUTPUT_STEMS);

const GEMMA3: Architecture = Architecture {
    name: "gemma3",
    norms: GEMMA_NORMS,
    qk_norm: Some(QkNorm::Heads),
    windowed: WindowedLayers::AllButEvery(6),
    windowed_rope: WindowedRope::Unscaled { base: Some(10000.0) },
    wide_heads_at: Some(62),
    ..GEMMA
};

/// As Qwen3-Reranker was trained (its model card, 2025), with its usual instruction.
const QWEN3_RERANK: &str = "<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. \
Note that the answer can only be \"yes\" or \"no\".<|im_end|>
<|im_start|>user
<Instruct>: Given a web search query, retrieve relevant passages that answer the query
<Query>: {query}
<Document>: {document}<|im_end|>
<|im_start|>assistant
<think>

</think>

";

/// Scales of Grok-1, from xAI's run.py and model.py (2024). The cap in its table row is from there
/// too.
const GROK: Scales = Scales {
    embedding: 78.383_67,
    attention: 0.088_388_35,
    residual: 1.0,
    logits: 0.577_350_3,
    attention_cap: None,
    logits_cap: None,
};

/// LayerNorm and an activation without a gate, as in GPT-2.
const fn gpt(name: &'static str, positions: Positions, function: Function) -> Architecture {
    let activation = Activation { function, gated: false };
    Architecture { name, norm: NormKind::Layer, activation, positions, ..LLAMA }
}

/// The base of encoders; also the name of DistilBERT and XLM-RoBERTa in GGUF.
const BERT: Architecture = Architecture {
    norms: Norms::After,
    attn_norm: "attn_output_norm",
    ffn_norm: "layer_output_norm",
    norms_embedding: true,
    encoder: true,
    ..gpt("bert", Positions::Learned, Function::Gelu)
};

/// The encoder of T5, mT5 and umT5, in a file that also has the decoder.
const T5_SOURCE: Architecture = Architecture {
    name: "t5",
    activation: GEGLU,
    gateless: Some(Function::Relu),
    positions: Positions::Buckets,
    layer: "enc.blk",
    attn_output: "attn_o",
    final_norm: "enc.output_norm",
    encoder: true,
    ..LLAMA
};

/// One row per architecture.
const ARCHITECTURES: &[Architecture] = &[
    // also the name of Mixtral in GGUF
    Architecture { experts: Some(Weighting::Renormalised), ..LLAMA },
    // LLaMA-MoE, for which GGUF has no name
    Architecture { name: "llama_moe", experts: Some(Weighting::Renormalised), deep_router: true, ..HALF_SPLIT },
    Architecture { name: "qwen2", ..HALF_SPLIT },
    Architecture {
        name: "qwen2moe",
        experts: Some(Weighting::Softmax),
        splits_ffn: true,
        shared_expert: true,
        ..HALF_SPLIT
    },
    Architecture { name: "qwen3", qk_norm: Some(QkNorm::Heads), rerank: Some(QWEN3_RERANK), ..HALF_SPLIT },
    Architecture {
        name: "qwen3moe",
        qk_norm: Some(QkNorm::Heads),
        experts: Some(Weighting::Renormalised),
        splits_ffn: true,
        ..HALF_SPLIT
    },
    QWEN35,
    Architecture { name: "qwen35moe", experts: Some(Weighting::Renormalised), shared_expert: true, ..QWEN35 },
    Architecture {
        name: "qwen3next",
        experts: Some(Weighting::Renormalised),
        shared_expert: true,
        delta: Some(DeltaOrder::Grouped),
        ..QWEN35
    },
    Architecture { name: "hunyuan-dense", qk_norm: Some(QkNorm::HeadsBehind), ..HALF_SPLIT },
    // also OLMo 3, whose files have windows: three layers in four, without scaled RoPE
    Architecture {
        name: "olmo2",
        qk_norm: Some(QkNorm::Rows),
        norms: OUTPUT_NORMS,
        windowed: WindowedLayers::AllButEvery(4),
        windowed_rope: WindowedRope::Unscaled { base: None },
        whole_yarn_factor: true,
        ..HALF_SPLIT
    },
    Architecture { name: "olmoe", qk_norm: Some(QkNorm::Rows), experts: Some(Weighting::Softmax), ..HALF_SPLIT },
    GEMMA,
    // `wide_heads_at` (also below) is the layer count of the 27 B model
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
    GEMMA3,
    Architecture {
        name: "gemma4",
        experts: Some(Weighting::Renormalised),
        norms: GEMMA_NORMS,
        qk_norm: Some(QkNorm::Heads),
        windowed: WindowedLayers::AllButEvery(6),
        windowed_rope: WindowedRope::Unscaled { base: Some(10000.0) },
        varied_widths: true,
        norms_values: true,
        logits_cap: Some(30.0),
        ..GEMMA
    },
    Architecture {
        name: "gemma3n",
        norms: GEMMA_NORMS,
        qk_norm: Some(QkNorm::Heads),
        window: Some(512),
        windowed: WindowedLayers::AllButEvery(5),
        windowed_rope: WindowedRope::Unscaled { base: Some(10000.0) },
        varied_widths: true,
        norms_values: true,
        streams: true,
        logits_cap: Some(30.0),
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
    // Mistral's models since Ministral 3; `mistral` itself is `llama`
    Architecture { name: "mistral3", ..LLAMA },
    Architecture {
        name: "gpt-oss",
        activation: Activation { function: Function::ClampedSwish, gated: true },
        ffn_norm: "post_attention_norm",
        sinks: true,
        windowed: WindowedLayers::AllButEvery(2),
        whole_yarn_pairs: false,
        experts: Some(Weighting::Renormalised),
        ..HALF_SPLIT
    },
    Architecture { name: "smollm3", no_rope: NoRope::Every(4), ..LLAMA },
    Architecture { name: "granite", ..LLAMA },
    Architecture { name: "granitemoe", experts: Some(Weighting::Renormalised), weighs_shared: false, ..LLAMA },
    // Granite 4, and Bamba, whose attention has RoPE
    Architecture {
        name: "granitehybrid",
        experts: Some(Weighting::Renormalised),
        weighs_shared: false,
        scans: true,
        ..LLAMA
    },
    // also FalconMamba
    Architecture { name: "mamba", scans: true, columns: true, bare_mixers: true, ..LLAMA },
    Architecture { name: "mamba2", scans: true, bare_mixers: true, ..LLAMA },
    Architecture {
        ffn_norm: "attn_norm_2",
        norms_embedding: true,
        wkv: true,
        ..gpt("rwkv7", Positions::Outside, Function::SquaredRelu)
    },
    Architecture { name: "minicpm", ..LLAMA },
    Architecture { name: "minicpm3", long_rope: true, latent: true, ..HALF_SPLIT },
    // DeepSeek's models since V2, and GLM 4.7 Flash; the router's sigmoids are those since V3
    Architecture {
        name: "deepseek2",
        experts: Some(Weighting::Softmax),
        biased_choice: true,
        weighs_shared: false,
        latent: true,
        ..LLAMA
    },
    Architecture { name: "ernie4_5", ..LLAMA },
    Architecture {
        name: "ernie4_5-moe",
        experts: Some(Weighting::Renormalised),
        biased_choice: true,
        weighs_shared: false,
        ..LLAMA
    },
    Architecture { name: "internlm2", ..LLAMA },
    Architecture { name: "arcee", activation: Activation { function: Function::SquaredRelu, gated: false }, ..LLAMA },
    // BitNet b1.58 2B4T has grouped queries; earlier models of that name have none, and SiLU, which
    // llama.cpp computes for all
    Architecture {
        name: "bitnet",
        activation: Activation { function: Function::SquaredRelu, gated: true },
        ungrouped: Some(Function::Silu),
        sub_norms: true,
        ..HALF_SPLIT
    },
    Architecture { name: "seed_oss", ffn_norm: "post_attention_norm", ..HALF_SPLIT },
    Architecture {
        name: "exaone4",
        qk_norm: Some(QkNorm::Heads),
        norms: OUTPUT_NORMS,
        windowed: WindowedLayers::AllButEvery(4),
        no_rope: NoRope::Unwindowed,
        ..HALF_SPLIT
    },
    Architecture { name: "glm4", norms: GEMMA_NORMS, fused_gate_up: true, ..LLAMA },
    Architecture {
        name: "smallthinker",
        activation: Activation { function: Function::Relu, gated: true },
        experts: Some(Weighting::Renormalised),
        routes_input: true,
        windowed: WindowedLayers::AllButFirstOf(4),
        no_rope: NoRope::Unwindowed,
        ..HALF_SPLIT
    },
    LFM2,
    Architecture { name: "lfm2moe", experts: Some(Weighting::Sigmoid), biased_choice: true, ..LFM2 },
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
    // GPT-1, for which GGUF has no name; its tensors are named like those of GPT-2
    Architecture { norms: Norms::After, ..gpt("openai-gpt", Positions::Learned, Function::GeluTanh) },
    Architecture { parallel: true, ..gpt("gptneox", HALVES, Function::Gelu) },
    Architecture { parallel: true, ..gpt("phi2", HALVES, Function::GeluTanh) },
    Architecture { parallel: true, ..gpt("falcon", HALVES, Function::Gelu) },
    gpt("mpt", ALIBI, Function::Gelu),
    Architecture { norms_embedding: true, ..gpt("bloom", ALIBI, Function::GeluTanh) },
    BERT,
    Architecture { name: "nomic-bert", positions: HALVES, activation: Activation::SWIGLU, ..BERT },
    // some layers have experts, which have no gate
    Architecture { name: "nomic-bert-moe", positions: HALVES, experts: Some(Weighting::Softmax), ..BERT },
    Architecture { name: "jina-bert-v2", positions: ALIBI, activation: EXACT_GEGLU, ..BERT },
    Architecture {
        name: "modern-bert",
        positions: HALVES,
        activation: EXACT_GEGLU,
        fused_gate_up: true,
        norms: Norms::Before,
        attn_norm: "attn_norm",
        ffn_norm: "ffn_norm",
        bare_first: true,
        classifies_mean: true,
        windowed: WindowedLayers::AllButFirstOf(3),
        windowed_rope: WindowedRope::Unscaled { base: Some(10000.0) },
        ..BERT
    },
    Architecture { name: "t5encoder", encoder: true, ..T5_SOURCE },
    Architecture {
        name: "t5",
        layer: "dec.blk",
        final_norm: "dec.output_norm",
        encoder: false,
        source: Some(&T5_SOURCE),
        ..T5_SOURCE
    },
    Architecture { name: "gemma-embedding", encoder: true, wide_heads_at: None, ..GEMMA3 },
    Architecture { parallel: true, ..gpt("gptj", NEIGHBOURS, Function::GeluTanh) },
];

/// The vision towers of projectors' files: SigLIP (Zhai et al. 2023, arXiv 2303.15343). A row of
/// the embedding table is that of a place in the picture.
const TOWER: Architecture = Architecture {
    encoder: true,
    layer: "v.blk",
    attn_norm: "ln1",
    ffn_norm: "ln2",
    final_norm: "v.post_ln",
    ..gpt(TOWERS, Positions::Outside, Function::GeluTanh)
};

/// The name of [`TOWER`], which no file has: that of its keys.
pub const TOWERS: &str = "clip.vision";

/// The names of all architectures.
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
    /// Returns the row of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().chain([&TOWER]).find(|architecture| architecture.name == name)
    }

    /// Which values RoPE rotates as a pair; `None` for architectures without RoPE.
    pub fn rope(&self) -> Option<RopeKind> {
        match self.positions {
            Positions::Rotary(kind) => Some(kind),
            Positions::Learned | Positions::Linear(_) | Positions::Outside | Positions::Buckets => None,
        }
    }
}
