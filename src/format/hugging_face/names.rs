//! Tensor names of Hugging Face's transformers → those of GGUF, and what is specific to a family of
//! models.
//!
//! Sources: the state dictionaries of `transformers`, and the names that the `gguf` package maps
//! them to.

use super::order::Order;

/// Models that are stored alike.
#[derive(Debug)]
pub(super) struct Family {
    /// `model_type` of config.json.
    pub model_types: &'static [&'static str],
    /// `general.architecture` of GGUF.
    pub architecture: &'static str,
    /// Activations that weft's architecture computes.
    pub activations: &'static [&'static str],
    /// Tensors, without layer and suffix, whose values GGUF stores in another order.
    pub orders: &'static [Orders],
    /// Which layers have the window of the configuration.
    pub windowed: Windowed,
    /// Names that mean something other than in [`NAMES`].
    pub names: &'static [(&'static str, &'static str)],
}

impl Family {
    /// The order of a tensor, by its name without layer and suffix.
    pub fn order_of(&self, stem: &str) -> Order {
        let found = self.orders.iter().copied().flatten().find(|(ordered, _)| *ordered == stem);
        found.map_or(Order::Kept, |(_, order)| *order)
    }
}

/// Which layers have a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Windowed {
    /// None: the architecture has no windows in GGUF.
    Never,
    /// All layers.
    All,
    /// All layers, unless the configuration lists some.
    Listed,
    /// All but every n-th layer, counted from 1, unless the configuration lists the layers.
    AllButEvery(usize),
    /// All but the first of each n, unless the configuration lists the layers.
    AllButFirstOf(usize),
}

const SILU: &[&str] = &["silu", "swish"];
const GELU: &[&str] = &["gelu"];
const GELU_TANH: &[&str] = &["gelu_new", "gelu_pytorch_tanh", "gelu_fast"];
/// Early configurations name exact GELU, but the models were trained with the tanh form.
const GEMMA_GELU: &[&str] = &["gelu_pytorch_tanh", "gelu"];

type Orders = &'static [(&'static str, Order)];

const PAIRS: Orders = &[("attn_q", Order::Pairs), ("attn_k", Order::Pairs)];
const GROUPS: Orders = &[("attn_qkv", Order::Groups)];
const TRANSPOSED: Orders = &[
    ("attn_qkv", Order::Transposed),
    ("attn_output", Order::Transposed),
    ("ffn_up", Order::Transposed),
    ("ffn_down", Order::Transposed),
];
/// Experts as matrices of inputs by outputs, or in blocks of outputs by inputs.
const GATE_UP_INTERLEAVED: Orders = &[
    ("ffn_gate_up_exps", Order::Experts { interleaved: true }),
    ("ffn_down_exps", Order::Experts { interleaved: true }),
];
/// Gate and up projection of experts, or of a block beside them, as one tensor.
const GATE_UP: Orders = &[
    ("ffn_gate_up_exps", Order::Experts { interleaved: false }),
    ("ffn_gate_up_shexp", Order::Experts { interleaved: false }),
];
const SCANS: Orders = &[("ssm_a", Order::Decay { tiled: false })];
const PLUS_ONE: Orders = &[
    ("attn_norm", Order::PlusOne),
    ("attn_q_norm", Order::PlusOne),
    ("attn_k_norm", Order::PlusOne),
    ("post_attention_norm", Order::PlusOne),
    ("ffn_norm", Order::PlusOne),
    ("post_ffw_norm", Order::PlusOne),
    ("output_norm", Order::PlusOne),
];
/// Linear attention whose value heads are tiled.
const TILED: Orders = &[
    ("attn_qkv", Order::ValuesBehindKeys),
    ("ssm_conv1d", Order::ValuesBehindKeys),
    ("attn_gate", Order::ValueRows),
    ("ssm_beta", Order::ValueHeads),
    ("ssm_alpha", Order::ValueHeads),
    ("ssm_dt", Order::ValueHeads),
    ("ssm_a", Order::Decay { tiled: true }),
    ("ssm_out", Order::ValueColumns),
];
/// Linear attention whose projections are together for each key head.
const GROUPED: Orders = &[("attn_qkv", Order::KeyHeads), ("ssm_a", Order::Decay { tiled: false })];

/// Models with a norm before and after each block: here `post_attention_layernorm` does come after
/// attention.
const NORMS_AROUND: &[(&str, &str)] = &[
    ("layers.#.post_attention_layernorm", "blk.#.post_attention_norm"),
    ("layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm"),
    ("layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"),
];

/// Llama's models, but what their configuration calls a norm behind attention is named so in GGUF.
const POST_ATTENTION: &[(&str, &str)] = &[("layers.#.post_attention_layernorm", "blk.#.post_attention_norm")];

/// T5. A layer of an encoder has two sublayers, each with its norm, one of a decoder three.
const T5: &[(&str, &str)] = &[
    ("shared", "token_embd"),
    ("block.#.layer.0.layer_norm", "enc.blk.#.attn_norm"),
    ("block.#.layer.0.SelfAttention.q", "enc.blk.#.attn_q"),
    ("block.#.layer.0.SelfAttention.k", "enc.blk.#.attn_k"),
    ("block.#.layer.0.SelfAttention.v", "enc.blk.#.attn_v"),
    ("block.#.layer.0.SelfAttention.o", "enc.blk.#.attn_o"),
    ("block.#.layer.0.SelfAttention.relative_attention_bias", "enc.blk.#.attn_rel_b"),
    ("block.#.layer.1.layer_norm", "enc.blk.#.ffn_norm"),
    ("block.#.layer.1.DenseReluDense.wi", "enc.blk.#.ffn_up"),
    ("block.#.layer.1.DenseReluDense.wi_0", "enc.blk.#.ffn_gate"),
    ("block.#.layer.1.DenseReluDense.wi_1", "enc.blk.#.ffn_up"),
    ("block.#.layer.1.DenseReluDense.wo", "enc.blk.#.ffn_down"),
    ("final_layer_norm", "enc.output_norm"),
    ("decoder.block.#.layer.0.layer_norm", "dec.blk.#.attn_norm"),
    ("decoder.block.#.layer.0.SelfAttention.q", "dec.blk.#.attn_q"),
    ("decoder.block.#.layer.0.SelfAttention.k", "dec.blk.#.attn_k"),
    ("decoder.block.#.layer.0.SelfAttention.v", "dec.blk.#.attn_v"),
    ("decoder.block.#.layer.0.SelfAttention.o", "dec.blk.#.attn_o"),
    ("decoder.block.#.layer.0.SelfAttention.relative_attention_bias", "dec.blk.#.attn_rel_b"),
    ("decoder.block.#.layer.1.layer_norm", "dec.blk.#.cross_attn_norm"),
    ("decoder.block.#.layer.1.EncDecAttention.q", "dec.blk.#.cross_attn_q"),
    ("decoder.block.#.layer.1.EncDecAttention.k", "dec.blk.#.cross_attn_k"),
    ("decoder.block.#.layer.1.EncDecAttention.v", "dec.blk.#.cross_attn_v"),
    ("decoder.block.#.layer.1.EncDecAttention.o", "dec.blk.#.cross_attn_o"),
    ("decoder.block.#.layer.1.EncDecAttention.relative_attention_bias", "dec.blk.#.cross_attn_rel_b"),
    ("decoder.block.#.layer.2.layer_norm", "dec.blk.#.ffn_norm"),
    ("decoder.block.#.layer.2.DenseReluDense.wi", "dec.blk.#.ffn_up"),
    ("decoder.block.#.layer.2.DenseReluDense.wi_0", "dec.blk.#.ffn_gate"),
    ("decoder.block.#.layer.2.DenseReluDense.wi_1", "dec.blk.#.ffn_up"),
    ("decoder.block.#.layer.2.DenseReluDense.wo", "dec.blk.#.ffn_down"),
    ("decoder.final_layer_norm", "dec.output_norm"),
];

const fn family(model_types: &'static [&'static str], architecture: &'static str) -> Family {
    let (orders, windowed, names): (&[Orders], _, &[_]) = (&[], Windowed::Never, &[]);
    Family { model_types, architecture, activations: SILU, orders, windowed, names }
}

/// One row per family.
pub(super) const FAMILIES: &[Family] = &[
    Family { orders: &[PAIRS], ..family(&["llama"], "llama") },
    Family { orders: &[PAIRS], windowed: Windowed::All, ..family(&["mistral", "mixtral"], "llama") },
    Family { orders: &[PAIRS], windowed: Windowed::Listed, ..family(&["ministral"], "llama") },
    Family { orders: &[PAIRS], windowed: Windowed::All, ..family(&["ministral3"], "mistral3") },
    Family { orders: &[PAIRS], ..family(&["smollm3"], "smollm3") },
    Family { orders: &[PAIRS], ..family(&["granite"], "granite") },
    Family { orders: &[PAIRS, GATE_UP], ..family(&["granitemoe"], "granitemoe") },
    Family { orders: &[PAIRS, GATE_UP, SCANS], ..family(&["granitemoehybrid"], "granitehybrid") },
    Family { orders: &[SCANS], ..family(&["mamba", "falcon_mamba"], "mamba") },
    Family { orders: &[SCANS], ..family(&["mamba2"], "mamba2") },
    Family { orders: &[PAIRS], ..family(&["minicpm"], "minicpm") },
    family(&["minicpm3"], "minicpm3"),
    family(&["deepseek_v2", "deepseek_v3"], "deepseek2"),
    family(&["ernie4_5"], "ernie4_5"),
    family(&["ernie4_5_moe"], "ernie4_5-moe"),
    Family { activations: &["relu2"], orders: &[PAIRS], ..family(&["arcee"], "arcee") },
    Family { activations: &["relu2"], ..family(&["bitnet"], "bitnet") },
    Family { names: POST_ATTENTION, ..family(&["seed_oss"], "seed_oss") },
    Family { windowed: Windowed::AllButEvery(4), names: NORMS_AROUND, ..family(&["exaone4"], "exaone4") },
    family(&["glm4"], "glm4"),
    Family { activations: &["relu"], ..family(&["smallthinker"], "smallthinker") },
    family(&["lfm2"], "lfm2"),
    family(&["lfm2_moe"], "lfm2moe"),
    family(&["qwen2"], "qwen2"),
    family(&["hunyuan_v1_dense"], "hunyuan-dense"),
    family(&["qwen3"], "qwen3"),
    Family {
        orders: &[PLUS_ONE, TILED, GATE_UP],
        names: POST_ATTENTION,
        ..family(&["qwen3_5_text", "qwen3_5"], "qwen35")
    },
    Family {
        orders: &[PLUS_ONE, TILED, GATE_UP],
        names: POST_ATTENTION,
        ..family(&["qwen3_5_moe_text", "qwen3_5_moe"], "qwen35moe")
    },
    Family { orders: &[PLUS_ONE, GROUPED, GATE_UP], names: POST_ATTENTION, ..family(&["qwen3_next"], "qwen3next") },
    family(&["qwen2_moe"], "qwen2moe"),
    family(&["qwen3_moe"], "qwen3moe"),
    family(&["olmoe"], "olmoe"),
    Family { names: NORMS_AROUND, ..family(&["olmo2"], "olmo2") },
    Family { windowed: Windowed::AllButEvery(4), names: NORMS_AROUND, ..family(&["olmo3"], "olmo2") },
    Family {
        orders: &[GATE_UP_INTERLEAVED],
        windowed: Windowed::AllButEvery(2),
        names: POST_ATTENTION,
        ..family(&["gpt_oss"], "gpt-oss")
    },
    Family { windowed: Windowed::All, ..family(&["phi3"], "phi3") },
    Family { windowed: Windowed::All, ..family(&["phimoe"], "phimoe") },
    family(&["stablelm"], "stablelm"),
    Family { activations: GEMMA_GELU, orders: &[PLUS_ONE], ..family(&["gemma"], "gemma") },
    Family {
        activations: GEMMA_GELU,
        orders: &[PLUS_ONE],
        windowed: Windowed::AllButEvery(2),
        names: NORMS_AROUND,
        ..family(&["gemma2"], "gemma2")
    },
    Family {
        activations: GEMMA_GELU,
        orders: &[PLUS_ONE],
        windowed: Windowed::AllButEvery(6),
        names: NORMS_AROUND,
        ..family(&["gemma3_text", "gemma3"], "gemma3")
    },
    Family {
        activations: GEMMA_GELU,
        orders: &[PLUS_ONE],
        windowed: Windowed::AllButEvery(6),
        names: NORMS_AROUND,
        ..family(&["gemma3_text"], "gemma-embedding")
    },
    Family {
        activations: GELU_TANH,
        windowed: Windowed::AllButEvery(6),
        names: NORMS_AROUND,
        orders: &[GATE_UP],
        ..family(&["gemma4_text", "gemma4"], "gemma4")
    },
    Family {
        activations: GELU_TANH,
        windowed: Windowed::AllButEvery(5),
        names: NORMS_AROUND,
        ..family(&["gemma3n_text", "gemma3n"], "gemma3n")
    },
    Family { activations: GELU_TANH, windowed: Windowed::All, ..family(&["starcoder2"], "starcoder2") },
    Family { activations: GELU_TANH, ..family(&["phi"], "phi2") },
    Family { activations: GELU_TANH, orders: &[TRANSPOSED], ..family(&["gpt2"], "gpt2") },
    // this architecture names the tanh form differently
    Family { activations: GELU, orders: &[TRANSPOSED], ..family(&["openai-gpt"], "openai-gpt") },
    Family { activations: GELU_TANH, ..family(&["gptj"], "gptj") },
    Family { activations: GELU, orders: &[GROUPS], ..family(&["gpt_neox"], "gptneox") },
    Family { activations: GELU, orders: &[GROUPS], ..family(&["falcon"], "falcon") },
    Family { activations: GELU, ..family(&["mpt"], "mpt") },
    Family { activations: GELU_TANH, orders: &[GROUPS], ..family(&["bloom"], "bloom") },
    Family { activations: GELU, ..family(&["bert", "distilbert", "roberta", "xlm-roberta", "camembert"], "bert") },
    Family { activations: GELU, ..family(&["bert"], "jina-bert-v2") },
    Family { activations: &["silu", "swiglu"], ..family(&["nomic_bert"], "nomic-bert") },
    Family { names: T5, ..family(&["t5", "mt5", "umt5"], "t5encoder") },
    Family { names: T5, ..family(&["t5", "mt5", "umt5"], "t5") },
    Family { activations: GELU, windowed: Windowed::AllButFirstOf(3), ..family(&["modernbert"], "modern-bert") },
];

/// Prefixes of names: the part of the model that a tensor belongs to.
const PREFIXES: [&str; 10] = [
    "backbone.",
    "model.",
    "language_model.",
    "transformer.",
    "gpt_neox.",
    "bert.",
    "distilbert.",
    "roberta.",
    "encoder.",
    "text_model.",
];

/// Names in transformers, without prefix and suffix, and in GGUF. The first `#` in a layer is the
/// layer, another one the index in a stack (of experts). A name means the same in every family,
/// except for [`Family::names`].
const NAMES: &[(&str, &str)] = &[
    ("embed_tokens", "token_embd"),
    ("norm", "output_norm"),
    ("final_layernorm", "output_norm"),
    ("lm_head", "output"),
    ("layers.#.input_layernorm", "blk.#.attn_norm"),
    ("layers.#.self_attn.q_proj", "blk.#.attn_q"),
    ("layers.#.self_attn.k_proj", "blk.#.attn_k"),
    ("layers.#.self_attn.v_proj", "blk.#.attn_v"),
    ("layers.#.self_attn.qkv_proj", "blk.#.attn_qkv"),
    ("layers.#.self_attn.o_proj", "blk.#.attn_output"),
    ("layers.#.self_attn.dense", "blk.#.attn_output"),
    ("layers.#.self_attn.q_norm", "blk.#.attn_q_norm"),
    ("layers.#.self_attn.k_norm", "blk.#.attn_k_norm"),
    ("layers.#.self_attn.query_layernorm", "blk.#.attn_q_norm"),
    ("layers.#.self_attn.key_layernorm", "blk.#.attn_k_norm"),
    ("layers.#.self_attn.q_layernorm.norms.#", "blk.#.attn_q_norm"),
    ("layers.#.self_attn.k_layernorm.norms.#", "blk.#.attn_k_norm"),
    ("layers.#.self_attn.attn_sub_norm", "blk.#.attn_sub_norm"),
    ("layers.#.mlp.ffn_sub_norm", "blk.#.ffn_sub_norm"),
    ("layers.#.post_attention_layernorm", "blk.#.ffn_norm"),
    ("layers.#.post_self_attn_layernorm", "blk.#.post_attention_norm"),
    ("layers.#.post_mlp_layernorm", "blk.#.post_ffw_norm"),
    ("layers.#.mlp.gate_proj", "blk.#.ffn_gate"),
    ("layers.#.mlp.up_proj", "blk.#.ffn_up"),
    ("layers.#.mlp.down_proj", "blk.#.ffn_down"),
    ("layers.#.mlp.gate_up_proj", "blk.#.ffn_up"),
    ("layers.#.mlp.c_fc", "blk.#.ffn_up"),
    ("layers.#.mlp.c_proj", "blk.#.ffn_down"),
    ("layers.#.mlp.fc1", "blk.#.ffn_up"),
    ("layers.#.mlp.fc2", "blk.#.ffn_down"),
    ("layers.#.mlp.gate", "blk.#.ffn_gate_inp"),
    ("layers.#.mlp.router", "blk.#.ffn_gate_inp"),
    ("layers.#.mlp.experts.#.gate_proj", "blk.#.ffn_gate_exps"),
    ("layers.#.mlp.experts.#.up_proj", "blk.#.ffn_up_exps"),
    ("layers.#.mlp.experts.#.down_proj", "blk.#.ffn_down_exps"),
    ("layers.#.mlp.shared_expert_gate", "blk.#.ffn_gate_inp_shexp"),
    ("layers.#.mlp.shared_expert.gate_proj", "blk.#.ffn_gate_shexp"),
    ("layers.#.mlp.shared_expert.up_proj", "blk.#.ffn_up_shexp"),
    ("layers.#.mlp.shared_expert.down_proj", "blk.#.ffn_down_shexp"),
    ("layers.#.mlp.shared_experts.gate_proj", "blk.#.ffn_gate_shexp"),
    ("layers.#.mlp.shared_experts.up_proj", "blk.#.ffn_up_shexp"),
    ("layers.#.mlp.shared_experts.down_proj", "blk.#.ffn_down_shexp"),
    ("layers.#.block_sparse_moe.gate", "blk.#.ffn_gate_inp"),
    ("layers.#.block_sparse_moe.router.layer", "blk.#.ffn_gate_inp"),
    ("layers.#.block_sparse_moe.primary_router", "blk.#.ffn_gate_inp"),
    ("layers.#.block_sparse_moe.experts.#.gate", "blk.#.ffn_gate_exps"),
    ("layers.#.block_sparse_moe.experts.#.up", "blk.#.ffn_up_exps"),
    ("layers.#.block_sparse_moe.experts.#.down", "blk.#.ffn_down_exps"),
    ("layers.#.block_sparse_moe.input_linear", "blk.#.ffn_gate_up_exps"),
    ("layers.#.block_sparse_moe.output_linear", "blk.#.ffn_down_exps"),
    ("layers.#.block_sparse_moe.experts.#.w1", "blk.#.ffn_gate_exps"),
    ("layers.#.block_sparse_moe.experts.#.w2", "blk.#.ffn_down_exps"),
    ("layers.#.block_sparse_moe.experts.#.w3", "blk.#.ffn_up_exps"),
    // DeepSeek and MiniCPM 3
    ("layers.#.self_attn.q_a_proj", "blk.#.attn_q_a"),
    ("layers.#.self_attn.q_a_layernorm", "blk.#.attn_q_a_norm"),
    ("layers.#.self_attn.q_b_proj", "blk.#.attn_q_b"),
    ("layers.#.self_attn.kv_a_proj_with_mqa", "blk.#.attn_kv_a_mqa"),
    ("layers.#.self_attn.kv_a_layernorm", "blk.#.attn_kv_a_norm"),
    ("layers.#.self_attn.kv_b_proj", "blk.#.attn_kv_b"),
    // Qwen 3.5 and Qwen3-Next
    ("layers.#.linear_attn.in_proj_qkv", "blk.#.attn_qkv"),
    ("layers.#.linear_attn.in_proj_qkvz", "blk.#.attn_qkv"),
    ("layers.#.linear_attn.in_proj_z", "blk.#.attn_gate"),
    ("layers.#.linear_attn.in_proj_b", "blk.#.ssm_beta"),
    ("layers.#.linear_attn.in_proj_a", "blk.#.ssm_alpha"),
    ("layers.#.linear_attn.in_proj_ba", "blk.#.ssm_ba"),
    ("layers.#.linear_attn.conv1d", "blk.#.ssm_conv1d"),
    ("layers.#.linear_attn.norm", "blk.#.ssm_norm"),
    ("layers.#.linear_attn.out_proj", "blk.#.ssm_out"),
    // Gemma 3n
    ("altup_projections.#", "altup_proj"),
    ("altup_unembed_projections.#", "altup_unembd_proj"),
    ("layers.#.altup.prediction_coefs", "blk.#.altup_predict_coef"),
    ("layers.#.altup.correction_coefs", "blk.#.altup_correct_coef"),
    ("layers.#.altup.modality_router", "blk.#.altup_router"),
    ("layers.#.altup.router_norm", "blk.#.altup_router_norm"),
    ("layers.#.laurel.linear_left", "blk.#.laurel_l"),
    ("layers.#.laurel.linear_right", "blk.#.laurel_r"),
    ("layers.#.laurel.post_laurel_norm", "blk.#.laurel_post_norm"),
    // Gemma 3n and 4
    ("embed_tokens_per_layer", "per_layer_token_embd"),
    ("per_layer_model_projection", "per_layer_model_proj"),
    ("per_layer_projection_norm", "per_layer_proj_norm"),
    ("layers.#.per_layer_input_gate", "blk.#.inp_gate"),
    ("layers.#.per_layer_projection", "blk.#.proj"),
    ("layers.#.post_per_layer_input_norm", "blk.#.post_norm"),
    ("layers.#.router.proj", "blk.#.ffn_gate_inp"),
    ("layers.#.post_feedforward_layernorm_1", "blk.#.post_ffw_norm_1"),
    ("layers.#.pre_feedforward_layernorm_2", "blk.#.pre_ffw_norm_2"),
    ("layers.#.post_feedforward_layernorm_2", "blk.#.post_ffw_norm_2"),
    // LFM2
    ("embedding_norm", "token_embd_norm"),
    ("layers.#.operator_norm", "blk.#.attn_norm"),
    ("layers.#.self_attn.out_proj", "blk.#.attn_output"),
    ("layers.#.self_attn.q_layernorm", "blk.#.attn_q_norm"),
    ("layers.#.self_attn.k_layernorm", "blk.#.attn_k_norm"),
    ("layers.#.conv.in_proj", "blk.#.shortconv.in_proj"),
    ("layers.#.conv.conv", "blk.#.shortconv.conv"),
    ("layers.#.conv.out_proj", "blk.#.shortconv.out_proj"),
    ("layers.#.ffn_norm", "blk.#.ffn_norm"),
    ("layers.#.feed_forward.w1", "blk.#.ffn_gate"),
    ("layers.#.feed_forward.w2", "blk.#.ffn_down"),
    ("layers.#.feed_forward.w3", "blk.#.ffn_up"),
    ("layers.#.feed_forward.gate", "blk.#.ffn_gate_inp"),
    ("layers.#.feed_forward.experts.#.w1", "blk.#.ffn_gate_exps"),
    ("layers.#.feed_forward.experts.#.w2", "blk.#.ffn_down_exps"),
    ("layers.#.feed_forward.experts.#.w3", "blk.#.ffn_up_exps"),
    // Mamba, Mamba-2, and Granite 4
    ("embeddings", "token_embd"),
    ("layers.#.norm", "blk.#.attn_norm"),
    ("layers.#.mixer.in_proj", "blk.#.ssm_in"),
    ("layers.#.mixer.conv1d", "blk.#.ssm_conv1d"),
    ("layers.#.mixer.norm", "blk.#.ssm_norm"),
    ("layers.#.mixer.x_proj", "blk.#.ssm_x"),
    ("layers.#.mixer.dt_proj", "blk.#.ssm_dt"),
    ("layers.#.mixer.out_proj", "blk.#.ssm_out"),
    ("layers.#.mamba.in_proj", "blk.#.ssm_in"),
    ("layers.#.mamba.conv1d", "blk.#.ssm_conv1d"),
    ("layers.#.mamba.norm", "blk.#.ssm_norm"),
    ("layers.#.mamba.out_proj", "blk.#.ssm_out"),
    ("layers.#.shared_mlp.input_linear", "blk.#.ffn_gate_up_shexp"),
    ("layers.#.shared_mlp.output_linear", "blk.#.ffn_down_shexp"),
    // GPT-2, GPT-1 and GPT-J
    ("wte", "token_embd"),
    ("wpe", "position_embd"),
    ("tokens_embed", "token_embd"),
    ("positions_embed", "position_embd"),
    ("ln_f", "output_norm"),
    ("h.#.ln_1", "blk.#.attn_norm"),
    ("h.#.ln_2", "blk.#.ffn_norm"),
    ("h.#.attn.c_attn", "blk.#.attn_qkv"),
    ("h.#.attn.c_proj", "blk.#.attn_output"),
    ("h.#.mlp.c_fc", "blk.#.ffn_up"),
    ("h.#.mlp.c_proj", "blk.#.ffn_down"),
    ("h.#.attn.q_proj", "blk.#.attn_q"),
    ("h.#.attn.k_proj", "blk.#.attn_k"),
    ("h.#.attn.v_proj", "blk.#.attn_v"),
    ("h.#.attn.out_proj", "blk.#.attn_output"),
    ("h.#.mlp.fc_in", "blk.#.ffn_up"),
    ("h.#.mlp.fc_out", "blk.#.ffn_down"),
    // GPT-NeoX and Falcon
    ("embed_in", "token_embd"),
    ("embed_out", "output"),
    ("final_layer_norm", "output_norm"),
    ("layers.#.attention.query_key_value", "blk.#.attn_qkv"),
    ("layers.#.attention.dense", "blk.#.attn_output"),
    ("layers.#.mlp.dense_h_to_4h", "blk.#.ffn_up"),
    ("layers.#.mlp.dense_4h_to_h", "blk.#.ffn_down"),
    ("word_embeddings", "token_embd"),
    ("h.#.input_layernorm", "blk.#.attn_norm"),
    ("h.#.ln_attn", "blk.#.attn_norm_2"),
    ("h.#.ln_mlp", "blk.#.attn_norm"),
    ("h.#.self_attention.query_key_value", "blk.#.attn_qkv"),
    ("h.#.self_attention.dense", "blk.#.attn_output"),
    ("h.#.mlp.dense_h_to_4h", "blk.#.ffn_up"),
    ("h.#.mlp.dense_4h_to_h", "blk.#.ffn_down"),
    // BLOOM, which shares its other names with Falcon and GPT-2, and MPT
    ("word_embeddings_layernorm", "token_embd_norm"),
    ("h.#.post_attention_layernorm", "blk.#.ffn_norm"),
    ("norm_f", "output_norm"),
    ("blocks.#.norm_1", "blk.#.attn_norm"),
    ("blocks.#.norm_2", "blk.#.ffn_norm"),
    ("blocks.#.attn.Wqkv", "blk.#.attn_qkv"),
    ("blocks.#.attn.out_proj", "blk.#.attn_output"),
    ("blocks.#.ffn.up_proj", "blk.#.ffn_up"),
    ("blocks.#.ffn.down_proj", "blk.#.ffn_down"),
    // BERT and DistilBERT
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
    ("layer.#.attention.self.query", "blk.#.attn_q"),
    ("layer.#.attention.self.key", "blk.#.attn_k"),
    ("layer.#.attention.self.value", "blk.#.attn_v"),
    ("layer.#.attention.output.dense", "blk.#.attn_output"),
    ("layer.#.attention.output.LayerNorm", "blk.#.attn_output_norm"),
    ("layer.#.intermediate.dense", "blk.#.ffn_up"),
    ("layer.#.output.dense", "blk.#.ffn_down"),
    ("layer.#.output.LayerNorm", "blk.#.layer_output_norm"),
    ("layer.#.attention.q_lin", "blk.#.attn_q"),
    ("layer.#.attention.k_lin", "blk.#.attn_k"),
    ("layer.#.attention.v_lin", "blk.#.attn_v"),
    ("layer.#.attention.out_lin", "blk.#.attn_output"),
    ("layer.#.sa_layer_norm", "blk.#.attn_output_norm"),
    ("layer.#.ffn.lin1", "blk.#.ffn_up"),
    ("layer.#.ffn.lin2", "blk.#.ffn_down"),
    ("layer.#.output_layer_norm", "blk.#.layer_output_norm"),
    ("cls.predictions.transform.dense", "mlm_transform"),
    ("cls.predictions.transform.LayerNorm", "mlm_transform_norm"),
    ("cls.predictions.decoder", "output"),
    ("cls.predictions", "output"),
    ("vocab_transform", "mlm_transform"),
    ("vocab_layer_norm", "mlm_transform_norm"),
    ("vocab_projector", "output"),
    // RoBERTa
    ("lm_head.dense", "mlm_transform"),
    ("lm_head.layer_norm", "mlm_transform_norm"),
    ("lm_head.decoder", "output"),
    ("classifier.dense", "cls"),
    ("classifier.out_proj", "cls.output"),
    // Jina's BERT
    ("layer.#.mlp.gated_layers", "blk.#.ffn_up"),
    ("layer.#.mlp.wo", "blk.#.ffn_down"),
    ("layer.#.mlp.layernorm", "blk.#.layer_output_norm"),
    // Nomic's BERT
    ("emb_ln", "token_embd_norm"),
    ("layers.#.attn.Wqkv", "blk.#.attn_qkv"),
    ("layers.#.attn.out_proj", "blk.#.attn_output"),
    ("layers.#.mlp.fc11", "blk.#.ffn_up"),
    ("layers.#.mlp.fc12", "blk.#.ffn_gate"),
    ("layers.#.norm1", "blk.#.attn_output_norm"),
    ("layers.#.norm2", "blk.#.layer_output_norm"),
    // ModernBERT
    ("embeddings.tok_embeddings", "token_embd"),
    ("embeddings.norm", "token_embd_norm"),
    ("layers.#.attn_norm", "blk.#.attn_norm"),
    ("layers.#.attn.Wo", "blk.#.attn_output"),
    ("layers.#.mlp_norm", "blk.#.ffn_norm"),
    ("layers.#.mlp.Wi", "blk.#.ffn_up"),
    ("layers.#.mlp.Wo", "blk.#.ffn_down"),
    ("final_norm", "output_norm"),
    ("head.dense", "cls"),
    ("head.norm", "cls.norm"),
    ("decoder", "output"),
    // projections behind pooling, each a file of its own
    ("2_Dense.linear", "dense_2"),
    ("3_Dense.linear", "dense_3"),
    // of a decoder that ranks
    ("score", "cls.output"),
    ("pooler.dense", "cls"),
    ("pre_classifier", "cls"),
    // one output per token in models that classify tokens
    ("classifier", "cls.output"),
];

/// The same for parameters that belong to no module, and have no suffix. What follows them with `_`
/// is their suffix in GGUF.
const PARAMETERS: &[(&str, &str)] = &[
    ("layers.#.self_attn.sinks", "blk.#.attn_sinks"),
    ("layers.#.linear_attn.A_log", "blk.#.ssm_a"),
    ("layers.#.linear_attn.dt", "blk.#.ssm_dt"),
    ("layers.#.layer_scalar", "blk.#.layer_output_scale"),
    ("layers.#.altup.correct_output", "blk.#.altup_correct_scale"),
    ("layers.#.feed_forward.expert", "blk.#.exp_probs_b"),
    ("layers.#.mlp.gate.e_score_correction", "blk.#.exp_probs_b"),
    ("layers.#.mlp.moe_statics.e_score_correction", "blk.#.exp_probs_b"),
    ("layers.#.mlp.gate.moe_statics.e_score_correction", "blk.#.exp_probs_b"),
    ("layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_up_exps"),
    ("layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps"),
    ("layers.#.experts.gate_up_proj", "blk.#.ffn_gate_up_exps"),
    ("layers.#.experts.down_proj", "blk.#.ffn_down_exps"),
    ("layers.#.router.", "blk.#.ffn_gate_inp"),
    ("layers.#.router.per_expert", "blk.#.ffn_down_exps"),
    ("layers.#.mixer.A_log", "blk.#.ssm_a"),
    ("layers.#.mixer.D", "blk.#.ssm_d"),
    ("layers.#.mixer.dt", "blk.#.ssm_dt"),
    ("layers.#.mamba.A_log", "blk.#.ssm_a"),
    ("layers.#.mamba.D", "blk.#.ssm_d"),
    ("layers.#.mamba.dt", "blk.#.ssm_dt"),
];
const PARAMETER_SUFFIXES: [&str; 4] = ["bias", "blocks", "scales", "scale"];
/// Those without a suffix in GGUF too.
const BARE: [&str; 2] = ["blk.#.ssm_a", "blk.#.ssm_d"];

/// Tensors of old checkpoints that are not weights: masks, positions, frequencies, the head for
/// pairs of sentences, and a second copy of the bias of a masked language model.
const BUFFERS: [&str; 10] = [
    "lm_head.decoder.bias",
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "attention.bias",
    "attention.masked_bias",
    "embeddings.position_ids",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
    "cls.predictions.decoder.bias",
];

/// The parts of a model for images and sound, and layers that draft further tokens, which its text
/// part does not need; and copies of the embedding table.
const OTHER_PARTS: &[&str] = &[
    "vision_tower.",
    "model.vision_tower.",
    "multi_modal_projector.",
    "model.multi_modal_projector.",
    "visual.",
    "model.visual.",
    "mtp.",
    "model.mtp_",
    "audio_tower.",
    "model.audio_tower.",
    "embed_vision.",
    "model.embed_vision.",
    "embed_audio.",
    "model.embed_audio.",
    "encoder.embed_tokens.",
    "decoder.embed_tokens.",
];

/// Destination of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The tensor is dropped.
    Dropped,
    /// The tensor `blk.LAYER.STEM.SUFFIX`, or `STEM.SUFFIX`.
    Tensor {
        /// Name in GGUF.
        name: String,
        /// Name without layer and suffix.
        stem: &'static str,
        /// The layer.
        layer: Option<usize>,
        /// Index in a stack, such as that of an expert.
        index: Option<usize>,
    },
}

/// Destination of the tensor in this family; `None` for an unknown name.
pub(super) fn target(family: &Family, name: &str) -> Option<Target> {
    let is_buffer =
        |buffer: &&str| name.strip_suffix(*buffer).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if BUFFERS.iter().any(is_buffer) || OTHER_PARTS.iter().any(|part| name.starts_with(part)) {
        return Some(Target::Dropped);
    }
    let mut rest = name;
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    let (path, suffix) = match rest.rsplit_once('.')? {
        (path, "weight" | "gamma") => (path, Some("weight")),
        (path, "bias" | "beta") => (path, Some("bias")),
        (path, "weight_scale") => (path, Some("scale")),
        _ => (rest, None),
    };
    let mut numbers = Vec::new();
    let mut before = "";
    let number = |part| -> String {
        // sublayers of T5 are not a stack
        let is_sublayer = std::mem::replace(&mut before, part) == "layer" && !numbers.is_empty();
        match part.parse::<usize>() {
            Ok(_) if is_sublayer => part.into(),
            Ok(number) if number.to_string() == part => {
                numbers.push(number);
                "#".into()
            }
            _ => part.into(),
        }
    };
    let pattern = path.split('.').map(number).collect::<Vec<_>>().join(".");
    let mut names = family.names.iter().chain(NAMES);
    let (gguf, suffix) = match suffix {
        Some(suffix) => (names.find(|(name, _)| *name == pattern)?.1, suffix),
        None => parameter(&pattern)?,
    };
    let of_layer = gguf.split_once("blk.#.").map(|(_, stem)| stem);
    let layer = of_layer.and_then(|_| numbers.first().copied());
    let name = layer.map_or((*gguf).into(), |layer| gguf.replace('#', &layer.to_string()));
    Some(Target::Tensor {
        name: if BARE.contains(&gguf) { name } else { format!("{name}.{suffix}") },
        stem: of_layer.unwrap_or(gguf),
        layer,
        index: numbers.get(usize::from(layer.is_some())).copied(),
    })
}

/// Name and suffix of one of [`PARAMETERS`].
fn parameter(pattern: &str) -> Option<(&'static str, &'static str)> {
    let suffix = PARAMETER_SUFFIXES.into_iter().find(|&suffix| pattern.ends_with(suffix));
    let name = suffix.map_or(pattern, |suffix| pattern[..pattern.len() - suffix.len()].trim_end_matches('_'));
    let (_, gguf) = PARAMETERS.iter().find(|(known, _)| *known == name)?;
    Some((gguf, suffix.unwrap_or("weight")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model_type: &str, name: &str) -> Option<(String, Option<usize>)> {
        let family = FAMILIES.iter().find(|family| family.model_types.contains(&model_type)).unwrap();
        match target(family, name)? {
            Target::Dropped => Some(("dropped".into(), None)),
            Target::Tensor { name, index, .. } => Some((name, index)),
        }
    }

    #[test]
    fn each_family_has_its_tensor_names() {
        let means = |model_type, name, expected: &str| assert_eq!(of(model_type, name).unwrap().0, expected);
        means("llama", "model.layers.12.post_attention_layernorm.weight", "blk.12.ffn_norm.weight");
        means("gemma2", "model.layers.12.post_attention_layernorm.weight", "blk.12.post_attention_norm.weight");
        means("gemma3", "language_model.model.embed_tokens.weight", "token_embd.weight");
        means("gemma3", "vision_tower.vision_model.embeddings.patch_embedding.weight", "dropped");
        means("gemma4", "model.language_model.layers.3.layer_scalar", "blk.3.layer_output_scale.weight");
        means("gemma4", "model.language_model.layers.3.per_layer_projection.weight", "blk.3.proj.weight");
        means("gemma3n", "model.altup_projections.1.weight", "altup_proj.weight");
        means("gemma4", "model.layers.3.router.scale", "blk.3.ffn_gate_inp.scale");
        means("gemma4", "model.layers.3.router.per_expert_scale", "blk.3.ffn_down_exps.scale");
        means("gemma4", "model.audio_tower.layers.0.norm_out.weight", "dropped");
        means("gpt2", "h.0.attn.bias", "dropped");
        means("gpt2", "h.0.attn.c_attn.bias", "blk.0.attn_qkv.bias");
        means("gpt_neox", "gpt_neox.layers.1.attention.dense.bias", "blk.1.attn_output.bias");
        means("bloom", "transformer.word_embeddings_layernorm.bias", "token_embd_norm.bias");
        means("mpt", "transformer.blocks.3.attn.Wqkv.weight", "blk.3.attn_qkv.weight");
        means("bert", "bert.embeddings.LayerNorm.gamma", "token_embd_norm.weight");
        means("bert", "cls.predictions.bias", "output.bias");
        means("distilbert", "distilbert.transformer.layer.0.ffn.lin2.weight", "blk.0.ffn_down.weight");
        means("qwen3_5", "model.language_model.layers.2.linear_attn.A_log", "blk.2.ssm_a");
        means("qwen3_5", "model.language_model.layers.2.linear_attn.dt_bias", "blk.2.ssm_dt.bias");
        means("qwen3_5", "model.visual.blocks.0.norm1.weight", "dropped");
        means("qwen3_next", "mtp.layers.0.mlp.gate.weight", "dropped");
        means("ernie4_5_moe", "model.layers.1.mlp.moe_statics.e_score_correction_bias", "blk.1.exp_probs_b.bias");
        means("ernie4_5_moe", "model.mtp_emb_norm.0.weight", "dropped");
        means("deepseek_v3", "model.layers.4.mlp.gate.e_score_correction_bias", "blk.4.exp_probs_b.bias");
        means("minicpm3", "model.layers.4.self_attn.kv_a_proj_with_mqa.weight", "blk.4.attn_kv_a_mqa.weight");
        means("gpt_oss", "model.layers.2.self_attn.sinks", "blk.2.attn_sinks.weight");
        means("gpt_oss", "model.layers.2.mlp.experts.gate_up_proj", "blk.2.ffn_gate_up_exps.weight");
        means("gpt_oss", "model.layers.2.mlp.experts.down_proj_bias", "blk.2.ffn_down_exps.bias");
        means("gpt_oss", "model.layers.2.mlp.experts.down_proj_scales", "blk.2.ffn_down_exps.scales");
        means("t5", "shared.weight", "token_embd.weight");
        means("t5", "encoder.embed_tokens.weight", "dropped");
        means("t5", "encoder.final_layer_norm.weight", "enc.output_norm.weight");
        means("t5", "decoder.final_layer_norm.weight", "dec.output_norm.weight");
        means("t5", "decoder.block.1.layer.1.EncDecAttention.k.weight", "dec.blk.1.cross_attn_k.weight");
        means("t5", "encoder.block.1.layer.0.SelfAttention.o.weight", "enc.blk.1.attn_o.weight");
        means("t5", "encoder.block.3.layer.1.layer_norm.weight", "enc.blk.3.ffn_norm.weight");
        let expert = of("mixtral", "model.layers.1.block_sparse_moe.experts.3.w2.weight");
        assert_eq!(expert, Some(("blk.1.ffn_down_exps.weight".into(), Some(3))));
        for unknown in
            ["model.layers.1.self_attn.q_proj.scale", "model.layers.01.input_layernorm.weight", "x", "lm_head"]
        {
            assert_eq!(of("llama", unknown), None, "{unknown}");
        }
    }
}
