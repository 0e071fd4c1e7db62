//! A small model with a few errors: it loads and answers, or is refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weft_fuzz::support::Rng;
use weft_fuzz::support::tiny::{Tensor, Tiny};
use weft_fuzz::{CONTEXT, load, no_bug, run};
use weft_llm::format::{Array, BlockType, Value};
use weft_llm::inference::GenerateOptions;
use weft_llm::tokenizer::{EncodeOptions, Message};

#[derive(Arbitrary, Debug)]
struct Input {
    architecture: u8,
    /// Rows wide enough for blocks of every type, and the type of the first matrix; otherwise
    /// narrow rows and the small types.
    wide: Option<u8>,
    edits: Vec<Edit>,
    /// Changed bytes of the finished file.
    damage: Vec<(u32, u8)>,
    cut: Option<u16>,
    context: Option<u8>,
    prompt: String,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Metadata(u8, Stored),
    Dims(u8, Vec<u16>),
    Block(u8, u8),
    Bytes(u8, u16, [u8; 4]),
    Remove(u8),
    Rename(u8, u8),
    Vector(u8, u8),
}

#[derive(Arbitrary, Debug)]
enum Stored {
    U8(u8),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Floats(Vec<f32>),
    Ints(Vec<i32>),
    Bytes(Vec<u8>),
}

impl From<Stored> for Value {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::U8(value) => value.into(),
            Stored::U32(value) => value.into(),
            Stored::I64(value) => value.into(),
            Stored::F32(value) => value.into(),
            Stored::F64(value) => value.into(),
            Stored::Bool(value) => value.into(),
            Stored::Text(value) => value.into(),
            Stored::Texts(values) => values.into(),
            Stored::Floats(values) => values.into(),
            Stored::Ints(values) => values.into(),
            Stored::Bytes(values) => Value::Array(Array::U8(values)),
        }
    }
}

/// Architectures whose tensors have Llama's names.
const ARCHITECTURES: &[&str] = &[
    "llama",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma4",
    "gemma3n",
    "phi3",
    "smollm3",
    "granite",
    "stablelm",
    "starcoder2",
    "olmoe",
    "olmo2",
    "mistral3",
    "gpt-oss",
    "granitemoe",
    "minicpm",
    "minicpm3",
    "deepseek2",
    "ernie4_5",
    "ernie4_5-moe",
    "internlm2",
    "arcee",
    "bitnet",
    "seed_oss",
    "exaone4",
    "glm4",
    "lfm2",
    "modern-bert",
    "gemma-embedding",
    "nomic-bert",
    "t5encoder",
    "t5",
    "qwen35",
    "qwen35moe",
    "qwen3next",
    "granitehybrid",
    "mamba",
    "mamba2",
    "rwkv7",
    "smallthinker",
    "hunyuan-dense",
];

/// Every key that is read.
const KEYS: &[&str] = &[
    "general.architecture",
    "general.name",
    "general.alignment",
    "split.count",
    "split.no",
    "split.tensors.count",
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.expert_count",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.attention.sliding_window",
    "llama.attention.temperature_scale",
    "t5encoder.attention.relative_buckets_count",
    "t5.decoder_block_count",
    "t5.decoder_start_token_id",
    "lfm2.attention.head_count_kv",
    "lfm2.shortconv.l_cache",
    "qwen35.full_attention_interval",
    "qwen35.nextn_predict_layers",
    "qwen35.ssm.conv_kernel",
    "qwen35.ssm.group_count",
    "qwen35.ssm.inner_size",
    "qwen35.ssm.state_size",
    "qwen35.ssm.time_step_rank",
    "mamba.ssm.conv_kernel",
    "mamba.ssm.dt_b_c_rms",
    "mamba.ssm.inner_size",
    "mamba.ssm.state_size",
    "mamba.ssm.time_step_rank",
    "mamba2.attention.head_count_kv",
    "mamba2.ssm.conv_kernel",
    "mamba2.ssm.group_count",
    "mamba2.ssm.inner_size",
    "mamba2.ssm.state_size",
    "mamba2.ssm.time_step_rank",
    "rwkv7.attention.decay_lora_rank",
    "rwkv7.attention.gate_lora_rank",
    "rwkv7.attention.iclr_lora_rank",
    "rwkv7.attention.value_residual_mix_lora_rank",
    "rwkv7.wkv.head_size",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "tokenizer.chat_template",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_space_prefix",
];

/// Optional tensors that the small model lacks.
const VECTORS: &[&str] = &[
    "rope_freqs.weight",
    "blk.0.attn_q.bias",
    "blk.0.attn_k.bias",
    "blk.1.attn_output.bias",
    "blk.1.ffn_up.bias",
    "output.weight",
    "output_norm.bias",
    "blk.0.attn_q_norm.weight",
    "blk.0.attn_k_norm.weight",
    "blk.0.post_attention_norm.weight",
    "blk.0.post_ffw_norm.weight",
    "blk.0.attn_sinks.weight",
    "enc.blk.0.attn_rel_b.weight",
    "dec.blk.0.attn_rel_b.weight",
    "dec.blk.0.cross_attn_norm.weight",
    "blk.9.attn_q.weight",
];

/// A larger tensor only claims its size.
const MAX_TENSOR_BYTES: usize = 1 << 17;

fn pick<T: Copy>(list: &[T], index: u8) -> T {
    list[usize::from(index) % list.len()]
}

/// Replaces the weights by ones that fit the tensor's description, if possible.
fn refill(tensor: &mut Tensor) {
    let Tensor { dims, block, data } = tensor;
    let Some((&cols, rows)) = dims.split_first() else { return };
    let Some(rows) = rows.iter().try_fold(1, |rows: usize, &dim| rows.checked_mul(dim as usize)) else { return };
    let cols = cols as usize;
    let whole = cols.is_multiple_of(block.block_len());
    if whole && rows.checked_mul(block.row_bytes(cols)).is_some_and(|bytes| bytes <= MAX_TENSOR_BYTES) {
        *data = Rng::new(1).rows(*block, rows, cols);
    }
}

/// The model under the name of another architecture.
fn renamed(mut tiny: Tiny, architecture: &str) -> Tiny {
    for (key, value) in &mut tiny.metadata {
        if let Some(rest) = key.strip_prefix("llama.") {
            *key = format!("{architecture}.{rest}");
        } else if key == "general.architecture" && matches!(value, Value::String(name) if name == "llama") {
            *value = architecture.into();
        }
    }
    tiny
}

fn apply(edit: Edit, mut tiny: Tiny) -> Tiny {
    let names: Vec<String> = tiny.tensors.keys().cloned().collect();
    if names.is_empty() {
        return tiny;
    }
    let name = |index: u8| names[usize::from(index) % names.len()].clone();
    match edit {
        Edit::Metadata(key, stored) => return tiny.meta(pick(KEYS, key), stored),
        Edit::Vector(name, len) => return tiny.vector(pick(VECTORS, name), &vec![0.5; usize::from(len)]),
        Edit::Dims(index, dims) => {
            if let Some(tensor) = tiny.tensors.get_mut(&name(index)) {
                tensor.dims = dims.into_iter().map(u64::from).collect();
                refill(tensor);
            }
        }
        Edit::Block(index, block) => {
            if let Some(tensor) = tiny.tensors.get_mut(&name(index)) {
                tensor.block = pick(&BlockType::ALL, block);
                refill(tensor);
            }
        }
        Edit::Bytes(index, at, bytes) => {
            if let Some(tensor) = tiny.tensors.get_mut(&name(index)) {
                let len = tensor.data.len();
                for (i, byte) in bytes.into_iter().enumerate().take(len) {
                    tensor.data[(usize::from(at) + i) % len] = byte;
                }
            }
        }
        Edit::Remove(index) => drop(tiny.tensors.remove(&name(index))),
        Edit::Rename(index, other) => {
            if let Some(tensor) = tiny.tensors.remove(&name(index)) {
                tiny.tensors.insert(pick(VECTORS, other).into(), tensor);
            }
        }
    }
    tiny
}

fuzz_target!(|input: Input| {
    let Input { architecture, wide, edits, damage, cut, context, prompt } = input;
    let small = [BlockType::F32, BlockType::Q8_0, BlockType::Q4_0];
    let tiny = match wide {
        Some(first) => Tiny::of_width(8, 1, |name| pick(&BlockType::ALL, first.wrapping_add(name.len() as u8))),
        None => Tiny::new(1, |name| small[name.len() % small.len()]),
    };
    let name = pick(ARCHITECTURES, architecture);
    let tiny = match name {
        "lfm2" => Tiny::convolving(1),
        "qwen35" => Tiny::recurrent(1),
        "mamba" => Tiny::scanning_columns(1),
        "mamba2" => Tiny::scanning(1),
        "rwkv7" => Tiny::mixing(1),
        _ => tiny,
    };
    let tiny = edits.into_iter().fold(tiny, |tiny, edit| apply(edit, tiny));
    let mut file = renamed(tiny, name).bytes();
    for (at, byte) in damage {
        let len = file.len();
        file[at as usize % len] = byte;
    }
    if let Some(cut) = cut {
        file.truncate(file.len().saturating_sub(cut.into()));
    }
    let context = context.map_or(CONTEXT, usize::from);
    let Some(mut decoder) = no_bug(load(&file, Some(context))) else { return };

    let Some(text) = no_bug(decoder.chat_prompt(&vec![Message::new("user", prompt.as_str())].into(), 0)) else {
        return;
    };
    let options = EncodeOptions { add_special: true, parse_special: false };
    let Some(ids) = no_bug(decoder.tokenizer().encode(&prompt, options)) else { return };
    for ids in [text, ids] {
        let generate = GenerateOptions { max_tokens: Some(2), ..GenerateOptions::default() };
        if let Some(generation) = no_bug(decoder.start(ids, generate, 1)) {
            no_bug(run(&mut decoder, generation, 5));
        }
    }
});
