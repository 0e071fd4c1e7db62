//! A folder of transformers with a few errors: the reader gives the same result for any chunks, and
//! the model loads and answers, or is refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pollster::block_on;
use serde_json::{Map, Value, json};
use weft_fuzz::support::Rng;
use weft_fuzz::{CONTEXT, no_bug, pieces, run};
use weft_llm::Result;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{Folder, Header, ModelReader, Quantize, Sink, TensorInfo};
use weft_llm::inference::{Estimator, GenerateOptions, Loading};

#[derive(Arbitrary, Debug)]
struct Input {
    family: u8,
    edits: Vec<Edit>,
    /// `model.safetensors.index.json`, if present: number of files, and replacement text.
    index: Option<(u8, Option<String>)>,
    /// Replacement texts of config.json and tokenizer.json.
    config: Option<String>,
    tokenizer: Option<String>,
    quantize: u8,
    /// Changed bytes of the finished file.
    damage: Vec<(u32, u8)>,
    cut: Option<u16>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Config(u8, Stored),
    Name(u8, String),
    Shape(u8, Vec<u16>),
    Type(u8, u8),
    Offset(u8, i8, i8),
    Remove(u8),
}

#[derive(Arbitrary, Debug)]
enum Stored {
    Null,
    Bool(bool),
    Int(i32),
    Float(f32),
    Text(String),
    List(Vec<i16>),
    Rope(u8, f32, Vec<f32>),
}

const ROPES: &[&str] = &["default", "linear", "yarn", "llama3", "longrope", "dynamic"];

impl Stored {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::List(values) => values.into(),
            Self::Rope(kind, number, numbers) => {
                json!({"rope_type": pick(ROPES, kind), "factor": number, "low_freq_factor": number,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8, "short_factor": numbers, "long_factor": numbers})
            }
        }
    }
}

/// Every key that is read, and some others.
const KEYS: &[&str] = &[
    "model_type",
    "architectures",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "vocab_size",
    "hidden_act",
    "tie_word_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "sliding_window",
    "use_sliding_window",
    "layer_types",
    "num_local_experts",
    "num_experts_per_tok",
    "norm_topk_prob",
    "query_pre_attn_scalar",
    "eos_token_id",
    "id2label",
    "text_config",
];

const TYPES: &[&str] = &["F32", "F16", "BF16", "I64", "F8_E4M3", "Q8"];

const FAMILIES: &[&str] = &["llama", "mixtral", "gemma", "qwen2", "mistral"];

const HIDDEN: usize = 32;

fn pick<T: Copy>(list: &[T], index: u8) -> T {
    list[usize::from(index) % list.len()]
}

struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    shift: (i64, i64),
}

fn tensors(family: &str) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut add = |name: &str, shape: &[usize]| {
        let shape = shape.iter().map(|&dim| dim as u64).collect();
        tensors.push(Tensor { name: format!("model.{name}"), dtype: "F32", shape, shift: (0, 0) });
    };
    add("embed_tokens.weight", &[8, HIDDEN]);
    add("norm.weight", &[HIDDEN]);
    add("layers.0.input_layernorm.weight", &[HIDDEN]);
    add("layers.0.post_attention_layernorm.weight", &[HIDDEN]);
    for (name, rows) in [("q", HIDDEN), ("k", HIDDEN / 2), ("v", HIDDEN / 2), ("o", HIDDEN)] {
        add(&format!("layers.0.self_attn.{name}_proj.weight"), &[rows, HIDDEN]);
    }
    if family == "mixtral" {
        add("layers.0.block_sparse_moe.gate.weight", &[2, HIDDEN]);
        for expert in 0..2 {
            for (name, shape) in [("w1", [8, HIDDEN]), ("w2", [HIDDEN, 8]), ("w3", [8, HIDDEN])] {
                add(&format!("layers.0.block_sparse_moe.experts.{expert}.{name}.weight"), &shape);
            }
        }
    } else {
        add("layers.0.mlp.gate_proj.weight", &[8, HIDDEN]);
        add("layers.0.mlp.up_proj.weight", &[8, HIDDEN]);
        add("layers.0.mlp.down_proj.weight", &[HIDDEN, 8]);
    }
    tensors
}

fn apply(edit: Edit, config: &mut Value, tensors: &mut Vec<Tensor>) {
    let (Edit::Name(index, _)
    | Edit::Shape(index, _)
    | Edit::Type(index, _)
    | Edit::Offset(index, ..)
    | Edit::Remove(index)
    | Edit::Config(index, _)) = edit;
    let at = usize::from(index) % tensors.len().max(1);
    match (edit, tensors.get_mut(at)) {
        (Edit::Config(key, stored), _) => config[pick(KEYS, key)] = stored.value(),
        (Edit::Name(_, name), Some(tensor)) => tensor.name = name,
        (Edit::Shape(_, shape), Some(tensor)) => tensor.shape = shape.iter().map(|&dim| u64::from(dim) % 300).collect(),
        (Edit::Type(_, kind), Some(tensor)) => tensor.dtype = pick(TYPES, kind),
        (Edit::Offset(_, begin, end), Some(tensor)) => tensor.shift = (begin.into(), end.into()),
        (Edit::Remove(_), Some(_)) => drop(tensors.remove(at)),
        (_, None) => {}
    }
}

/// A larger tensor only claims its size.
const MAX_BYTES: u64 = 1 << 16;

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::<u8>::new());
    for Tensor { name, dtype, shape, shift } in tensors {
        let begin = data.len() as i64;
        let size = match *dtype {
            "F32" => 4,
            "I64" => 8,
            "F16" | "BF16" => 2,
            _ => 1,
        };
        let bytes = shape.iter().try_fold(size, |bytes: u64, dim| bytes.checked_mul(*dim)).unwrap_or(u64::MAX);
        let mut rng = Rng::new(name.len() as u64);
        data.extend((0..bytes.min(MAX_BYTES)).map(|i| if i % 4 == 3 { 0x3d } else { rng.below(256) as u8 }));
        let end = begin.saturating_add_unsigned(bytes);
        let offsets = [begin.saturating_add(shift.0), end.saturating_add(shift.1)];
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

#[derive(Default, Debug)]
struct Keep {
    headers: Vec<Header>,
    rows: Vec<(String, usize, Vec<u8>)>,
}

impl Sink for Keep {
    fn header(&mut self, header: Header) -> Result<()> {
        self.headers.push(header);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        assert!(!rows.is_empty() && rows.len().is_multiple_of(tensor.row_bytes()));
        for (i, row) in rows.chunks_exact(tensor.row_bytes()).enumerate() {
            assert!(first_row + i < tensor.rows());
            self.rows.push((tensor.name.clone(), first_row + i, row.to_vec()));
        }
        Ok(())
    }
}

/// The calls of the reader as text, in which NaN equals NaN, and the code of its error.
fn read(mut reader: ModelReader, pieces: &[&[u8]]) -> String {
    let mut keep = Keep::default();
    let fed = pieces.iter().try_for_each(|piece| reader.feed(piece, &mut keep));
    let result = fed.and_then(|()| reader.finish()).map_err(|error| error.code());
    format!("{:?}", (keep, result))
}

fuzz_target!(|input: Input| {
    let Input { family, edits, index, config, tokenizer, quantize, damage, cut } = input;
    let family = pick(FAMILIES, family);
    let mut values = json!({"model_type": family, "hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "vocab_size": 8, "tie_word_embeddings": true});
    if family == "mixtral" {
        values["num_local_experts"] = 2.into();
        values["num_experts_per_tok"] = 1.into();
    }
    let mut tensors = tensors(family);
    edits.into_iter().for_each(|edit| apply(edit, &mut values, &mut tensors));
    let mut bytes = file(&tensors);
    for (at, byte) in damage {
        let len = bytes.len();
        bytes[at as usize % len] = byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(bytes.len().saturating_sub(cut.into()));
    }
    let config = config.unwrap_or_else(|| values.to_string());
    let tokenizer = tokenizer.unwrap_or_else(|| {
        json!({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
            "model": {"type": "BPE", "merges": [], "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5, "g": 6}}})
        .to_string()
    });
    let index = index.map(|(files, text)| {
        let names = tensors.iter().enumerate();
        let entry = |(i, tensor): (usize, &Tensor)| {
            (tensor.name.clone(), format!("{}.safetensors", i % (1 + usize::from(files % 3))))
        };
        text.unwrap_or_else(|| {
            json!({"weight_map": names.map(entry).collect::<std::collections::BTreeMap<_, _>>()}).to_string()
        })
    });
    let folder = || {
        Folder::new("fuzz", |name| match name {
            "config.json" => Some(config.as_str()),
            "tokenizer.json" => Some(tokenizer.as_str()),
            "model.safetensors.index.json" => index.as_deref(),
            _ => None,
        })
    };
    let quantize = Quantize::named(pick(&["none", "q8_0", "q4_0", "q4_1", "q5_1", "f16"], quantize)).ok();
    let reader = || folder().map(|folder| ModelReader::new(Some(folder), quantize));
    let Some(first) = no_bug(reader()) else { return };
    let Some(second) = no_bug(reader()) else { return };
    assert!(read(first, &[&bytes]) == read(second, &pieces(&bytes)));

    let load = || -> Result<_> {
        let mut estimator = Estimator::new(reader()?, Some(CONTEXT));
        estimator.feed(&bytes)?;
        no_bug(estimator.finish());
        let mut loading = Loading::with(Box::new(HostEngine::new(Reference)), reader()?, Some(CONTEXT));
        loading.set_stream_bytes(bytes.len() as u64);
        for piece in pieces(&bytes) {
            block_on(loading.feed(piece))?;
        }
        block_on(loading.finish())
    };
    let Some(mut decoder) = no_bug(load()) else { return };
    let generate = GenerateOptions { max_tokens: Some(2), ..GenerateOptions::default() };
    if let Some(generation) = no_bug(decoder.start(vec![1, 2], generate, 1)) {
        no_bug(run(&mut decoder, generation, 5));
    }
});
