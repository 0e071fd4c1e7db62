//! Small crafted folders; `tests/hugging_face.rs` reads folders of transformers.

use serde_json::json;

use super::*;
use crate::format::{BlockType, Header, Metadata, Sink, TensorInfo};

/// A tensor of a folder: name, type, shape. Its values count up from 1.
type Stored = (&'static str, &'static str, &'static [usize]);

const LLAMA: &[Stored] = &[
    ("model.embed_tokens.weight", "BF16", &[3, 8]),
    ("model.layers.0.self_attn.q_proj.weight", "F32", &[8, 8]),
    ("model.layers.0.self_attn.q_proj.bias", "F16", &[8]),
    ("model.layers.0.mlp.experts.1.up_proj.weight", "F32", &[2, 8]),
    ("model.layers.0.mlp.experts.0.up_proj.weight", "F32", &[2, 8]),
    ("model.rotary_emb.inv_freq", "F64", &[2]),
    ("lm_head.weight", "BF16", &[3, 8]),
];

fn safetensors(tensors: &[Stored]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, dtype, shape) in tensors {
        let begin = data.len();
        for i in 0..shape.iter().rev().product() {
            let value = i as f32 + 1.0;
            match *dtype {
                "F32" => data.extend(value.to_le_bytes()),
                "F16" => data.extend(half::f16::from_f32(value).to_le_bytes()),
                "BF16" => data.extend(half::bf16::from_f32(value).to_le_bytes()),
                "U8" => data.push(value as u8),
                _ => data.extend(f64::from(value).to_le_bytes()),
            }
        }
        header.insert((*name).into(), json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

fn config(changes: &Value) -> String {
    let mut config = json!({"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 4, "intermediate_size": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "vocab_size": 3, "num_experts": 2, "architectures": ["LlamaForCausalLM"], "eos_token_id": [2, 1]});
    for (key, value) in changes.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config.to_string()
}

fn folder(changes: &Value, index: Option<&Value>) -> Result<Folder> {
    let (config, index) = (config(changes), index.map(Value::to_string));
    Folder::new("tiny", |name| match name {
        "config.json" => Some(config.as_str()),
        "tokenizer.json" => Some("{}"),
        INDEX => index.as_deref(),
        _ => None,
    })
}

/// Everything that the sink received.
#[derive(Default, Debug, PartialEq)]
struct Got {
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    rows: BTreeMap<(String, usize), Vec<u8>>,
}

impl Sink for Got {
    fn header(&mut self, header: Header) -> Result<()> {
        if self.tensors.is_empty() {
            self.metadata = header.metadata;
        }
        self.tensors.extend(header.tensors);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        for (i, row) in rows.chunks_exact(tensor.row_bytes()).enumerate() {
            let twice = self.rows.insert((tensor.name.clone(), first_row + i), row.to_vec());
            assert_eq!(twice, None, "row {} of {} twice", first_row + i, tensor.name);
        }
        Ok(())
    }
}

fn read(folder: Folder, files: &[Vec<u8>], piece: usize) -> Result<Got> {
    let (mut reader, mut got) = (FolderReader::new(folder), Got::default());
    for (i, file) in files.iter().enumerate() {
        for bytes in file.chunks(piece) {
            reader.feed(bytes, &mut got)?;
        }
        if i + 1 < files.len() {
            reader.end_file()?;
        }
    }
    reader.finish()?;
    assert_eq!(reader.total_bytes(), Some(files.iter().map(|file| file.len() as u64).sum()));
    Ok(got)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn tensors_get_ggufs_names_and_order_in_chunks_of_any_size() {
    let file = safetensors(LLAMA);
    let got = read(folder(&json!({}), None).unwrap(), std::slice::from_ref(&file), file.len()).unwrap();
    for piece in [1, 7, 50] {
        let again = read(folder(&json!({}), None).unwrap(), std::slice::from_ref(&file), piece).unwrap();
        assert_eq!(again, got, "in pieces of {piece}");
    }
    let infos: Vec<_> = got.tensors.iter().map(|info| (info.name.as_str(), info.dims.as_slice(), info.block)).collect();
    let expected: [(&str, &[u64], BlockType); 5] = [
        ("token_embd.weight", &[8, 3], BlockType::Bf16),
        ("blk.0.attn_q.weight", &[8, 8], BlockType::F32),
        ("blk.0.attn_q.bias", &[8], BlockType::F32),
        ("blk.0.ffn_up_exps.weight", &[8, 2, 2], BlockType::F32),
        ("output.weight", &[8, 3], BlockType::Bf16),
    ];
    assert_eq!(infos, expected);
    let row = |name: &str, row: usize| floats(&got.rows[&(name.to_owned(), row)]);
    // rows 0 and 2 of the file are a RoPE pair: in GGUF they are neighbours
    assert_eq!(row("blk.0.attn_q.weight", 2)[0], 9.0);
    assert_eq!(row("blk.0.attn_q.weight", 1)[0], 17.0);
    assert_eq!(row("blk.0.attn_q.bias", 0), [1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]);
    // the second expert comes first in the file
    assert_eq!(row("blk.0.ffn_up_exps.weight", 3)[0], 9.0);
    assert_eq!(got.metadata.str("general.name").unwrap(), "tiny");
    assert_eq!(got.metadata.i32s(ENDS).unwrap(), [2, 1].as_slice());
}

#[test]
fn matrices_are_transposed_and_one_is_added_to_norms() {
    let changes = json!({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "num_experts": null});
    let file = safetensors(&[("h.0.mlp.c_fc.weight", "F32", &[2, 3]), ("h.0.mlp.c_fc.bias", "F32", &[3])]);
    let got = read(folder(&changes, None).unwrap(), &[file], 5).unwrap();
    assert_eq!(got.tensors[0].dims, [2, 3]);
    let row = |name: &str, row: usize| floats(&got.rows[&(name.to_owned(), row)]);
    assert_eq!(row("blk.0.ffn_up.weight", 1), [2.0, 5.0]);
    assert_eq!(row("blk.0.ffn_up.bias", 0), [1.0, 2.0, 3.0]);

    let changes = json!({"model_type": "gemma", "num_experts": null});
    let file = safetensors(&[("model.norm.weight", "BF16", &[3]), ("lm_head.weight", "BF16", &[3, 8])]);
    let got = read(folder(&changes, None).unwrap(), &[file], 5).unwrap();
    assert_eq!(floats(&got.rows[&("output_norm.weight".to_owned(), 0)]), [2.0, 3.0, 4.0]);
    assert_eq!(got.tensors.len(), 1, "the output is the embedding table");
}

fn index(shards: &[&[Stored]]) -> Value {
    let file = |i: usize| format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
    let entries = shards.iter().enumerate().flat_map(|(i, shard)| shard.iter().map(move |stored| (i, stored.0)));
    let map: serde_json::Map<_, _> = entries.map(|(i, name)| (name.to_owned(), Value::from(file(i)))).collect();
    json!({"metadata": {"total_size": 0}, "weight_map": map})
}

#[test]
fn experts_may_be_spread_over_files() {
    let shards = [&LLAMA[..4], &LLAMA[4..]];
    let files = shards.map(safetensors);
    let whole = read(folder(&json!({}), None).unwrap(), &[safetensors(LLAMA)], 100).unwrap();
    let index = index(&shards);
    let split = folder(&json!({}), Some(&index)).unwrap();
    assert_eq!(split.shards(), ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
    assert_eq!(read(split, &files, 100).unwrap(), whole);

    // also without a call of `end_file` between the files
    let mut reader = FolderReader::new(folder(&json!({}), Some(&index)).unwrap());
    let mut got = Got::default();
    reader.feed(&files.concat(), &mut got).unwrap();
    reader.finish().unwrap();
    assert_eq!(got, whole);
}

#[test]
fn headers_alone_are_read_file_by_file() {
    let shards = [&LLAMA[..4], &LLAMA[4..]];
    let files = shards.map(safetensors);
    let mut reader = FolderReader::new(folder(&json!({}), Some(&index(&shards))).unwrap());
    let mut got = Got::default();
    for file in &files {
        let header = 8 + u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        reader.feed(&file[..header], &mut got).unwrap();
        reader.skip_rows();
    }
    reader.finish().unwrap();
    assert_eq!((got.tensors.len(), got.rows.len()), (5, 0));
}

#[test]
fn errors_name_the_tensor() {
    let refused = |changes: Value, tensors: &[Stored], expected: &str| {
        let read = folder(&changes, None).and_then(|folder| read(folder, &[safetensors(tensors)], 1000));
        let error = read.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let none = || json!({});
    refused(none(), &[("model.layers.0.self_attn.q_proj.lora_A", "F32", &[2, 2])], "lora_A");
    refused(none(), &[("model.layers.1.mlp.up_proj.weight", "F32", &[8, 8])], "model.layers.1.mlp.up_proj.weight");
    refused(none(), &[("lm_head.weight", "I64", &[3, 8])], "`lm_head.weight` is stored as I64");
    refused(none(), &[("lm_head.weight", "F32", &[0, 8])], "no dimension of 0");
    refused(none(), &[("model.layers.0.self_attn.q_proj.weight", "F32", &[6, 8])], "expected 8 rows, got [6, 8]");
    refused(none(), &[LLAMA[3]], "number 0 of the tensors like `model.layers.0.mlp.experts.1.up_proj.weight`");
    let shapes: &[Stored] = &[LLAMA[3], ("model.layers.0.mlp.experts.0.up_proj.weight", "F32", &[3, 8])];
    refused(none(), shapes, "the shape and type of `model.layers.0.mlp.experts.1.up_proj.weight`");
    refused(none(), &[("model.layers.0.mlp.experts.2.up_proj.weight", "F32", &[2, 8])], "a number below 2");
    let twice: &[Stored] = &[("lm_head.weight", "F32", &[3, 8]), ("model.lm_head.weight", "F32", &[3, 8])];
    refused(none(), twice, "`model.lm_head.weight`: expected one tensor of this kind");
    refused(json!({"model_type": "rwkv"}), LLAMA, "rwkv");
}

#[test]
fn a_truncated_file_is_named() {
    let shards = [&LLAMA[..4], &LLAMA[4..]];
    let [first, second] = shards.map(safetensors);
    let split = || folder(&json!({}), Some(&index(&shards))).unwrap();
    let refused = |files: &[Vec<u8>], expected: &str| {
        let error = read(split(), files, 1000).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let cut = |file: &[u8], bytes: usize| file[..file.len() - bytes].to_vec();
    let name = "tensor `model.layers.0.mlp.experts.1.up_proj.weight` in model-00001-of-00002.safetensors has 64 bytes, and 60 came";
    refused(&[cut(&first, 4), second.clone()], name);
    refused(&[first.clone(), cut(&second, 1)], "tensor `lm_head.weight` in model-00002-of-00002.safetensors");
    refused(&[first.clone(), second[..30].to_vec()], "the header of model-00002-of-00002.safetensors");
    refused(std::slice::from_ref(&first), "the header of model-00002-of-00002.safetensors");
    refused(&[first.clone(), second.clone(), vec![0]], "nothing after the last tensor");
    let mut unlike = index(&shards);
    unlike["weight_map"]["model.norm.weight"] = json!("model-00002-of-00002.safetensors");
    let error = read(folder(&json!({}), Some(&unlike)).unwrap(), &[first, second], 99).unwrap_err().to_string();
    assert!(error.contains("`model.norm.weight` in model-00002-of-00002.safetensors"), "{error}");
}

#[test]
fn an_index_names_only_files_of_the_folder() {
    for file in [json!("../secret.safetensors"), json!("model.bin"), json!(1)] {
        let index = json!({"weight_map": {"lm_head.weight": file}});
        let error = folder(&json!({}), Some(&index)).expect_err("refused").to_string();
        assert!(error.contains("lm_head.weight"), "{error}");
    }
    for index in [json!({}), json!({"weight_map": {}}), json!([])] {
        assert!(folder(&json!({}), Some(&index)).unwrap_err().to_string().contains("weight_map"));
    }
    let error = Folder::new("", |name| (name == "config.json").then_some("{}")).unwrap_err().to_string();
    assert!(error.contains("model_type"), "{error}");
    let error = Folder::new("", |_| None).unwrap_err().to_string();
    assert!(error.contains("config.json: expected one in the folder"), "{error}");
}

#[test]
fn dimensions_beside_a_0_do_not_overflow() {
    let file = safetensors(&[("model.layers.0.self_attn.q_proj.weight", "F32", &[1 << 40, 1 << 40, 0])]);
    let error = read(folder(&json!({}), None).unwrap(), &[file], 50).unwrap_err().to_string();
    assert!(error.contains("q_proj"), "{error}");
}

/// As OpenAI published gpt-oss.
#[test]
fn packed_experts_of_any_two_files_become_one_tensor() {
    const BLOCKS: Stored = ("model.layers.0.mlp.experts.gate_up_proj_blocks", "U8", &[2, 4, 1, 16]);
    const SCALES: Stored = ("model.layers.0.mlp.experts.gate_up_proj_scales", "U8", &[2, 4, 1]);
    const BIAS: Stored = ("model.layers.0.mlp.experts.gate_up_proj_bias", "BF16", &[2, 4]);
    let open =
        |index: Option<&Value>| folder(&json!({"model_type": "gpt_oss", "num_local_experts": 2}), index).unwrap();
    let got = read(open(None), &[safetensors(&[BIAS, BLOCKS, SCALES])], 10).unwrap();
    let infos: Vec<_> = got.tensors.iter().map(|info| (info.name.as_str(), info.dims.as_slice(), info.block)).collect();
    let expected: [(&str, &[u64], BlockType); 4] = [
        ("blk.0.ffn_gate_exps.bias", &[2, 2], BlockType::F32),
        ("blk.0.ffn_up_exps.bias", &[2, 2], BlockType::F32),
        ("blk.0.ffn_gate_exps.weight", &[32, 2, 2], BlockType::Mxfp4),
        ("blk.0.ffn_up_exps.weight", &[32, 2, 2], BlockType::Mxfp4),
    ];
    assert_eq!(infos, expected);
    let row = |name: &str, row: usize| &got.rows[&(name.to_owned(), row)];
    assert_eq!(floats(row("blk.0.ffn_gate_exps.bias", 1)), [5.0, 7.0]);
    assert_eq!(floats(row("blk.0.ffn_up_exps.bias", 1)), [6.0, 8.0]);
    // outputs of gate and up projection take turns; the scale comes first, then halves of a block
    let scales = |name: &str| [0, 1, 2, 3].map(|i| row(name, i)[0]);
    assert_eq!(scales("blk.0.ffn_gate_exps.weight"), [1, 3, 5, 7]);
    assert_eq!(scales("blk.0.ffn_up_exps.weight"), [2, 4, 6, 8]);
    assert_eq!(row("blk.0.ffn_gate_exps.weight", 0)[1..4], [0x91, 0, 0xa2]);

    for (first, second) in [(BLOCKS, SCALES), (SCALES, BLOCKS)] {
        let index = json!({"weight_map": {first.0: "a.safetensors", second.0: "b.safetensors"}});
        let files = [safetensors(&[first]), safetensors(&[second])];
        let apart = read(open(Some(&index)), &files, 7).unwrap();
        assert!(apart.rows.iter().all(|(key, bytes)| got.rows[key] == *bytes), "{} first", first.0);
        assert_eq!(apart.rows.len(), 8);
    }
    let refused = |tensors: &[Stored], expected: &str| {
        let error = read(open(None), &[safetensors(tensors)], 100).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&[BLOCKS], "the other half of `model.layers.0.mlp.experts.gate_up_proj_blocks`");
    refused(&[SCALES], "the other half of `model.layers.0.mlp.experts.gate_up_proj_scales`");
    refused(&[BLOCKS, (SCALES.0, "U8", &[2, 4, 2])], "what fits to `model.layers.0.mlp.experts.gate_up_proj_blocks`");
    refused(&[(SCALES.0, "BF16", &[2, 4, 1])], "gate_up_proj_scales");
    refused(&[(BLOCKS.0, "U8", &[2, 4, 1, 8])], "outputs of each of 2 experts");
    refused(&[(BLOCKS.0, "U8", &[3, 4, 1, 16])], "outputs of each of 2 experts");
    refused(&[(BIAS.0, "BF16", &[2, 3])], "outputs of each of 2 experts");
    refused(&[BLOCKS, SCALES, ("model.layers.0.mlp.experts.gate_up_proj", "BF16", &[2, 32, 4])], "a second one");
}
