//! The tokenizer's metadata: from GGUF (`tokenizer.ggml.*`, `tokenizer.chat_template`) or from a
//! model's folder.

use crate::Result;
use crate::format::hugging_face;
use crate::format::metadata::{Array, Metadata, Value};
use crate::tokenizer::{DEFAULT_TEMPLATE, FimIds, FolderOptions, Strip, Tokenizer, Vocabulary};

const TOKENS: &str = "tokenizer.ggml.tokens";

/// Key of the tokenizer's kind.
const MODEL: &str = "tokenizer.ggml.model";

/// Key of the default chat template. Other templates append their name, as in
/// `tokenizer.chat_template.tool_use`.
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Key of the list of the other templates' names.
const CHAT_TEMPLATES: &str = "tokenizer.chat_templates";

/// Kinds that mean "no vocabulary", after llama.cpp.
const NO_VOCABULARY: [&str; 2] = ["none", "no_vocab"];

/// Takes the tokenizer and the chat templates (name, text) out of the metadata. `rows`: rows of the
/// embedding table, if the file has it. It is the vocabulary's size in a file without one.
pub fn take_tokenizer(metadata: &mut Metadata, rows: Option<usize>) -> Result<(Tokenizer, Vec<(String, String)>)> {
    let mut templates = take_templates(metadata)?;
    if let Some(model) = metadata.opt_str(MODEL)?.filter(|model| NO_VOCABULARY.contains(model)) {
        let key = format!("{}.vocab_size", metadata.str("general.architecture")?);
        let size = match rows {
            Some(rows) => rows,
            None => metadata.u32(&key)? as usize,
        };
        let vocabulary = Vocabulary { model: model.into(), ..named_ids(metadata)? };
        return Ok((Tokenizer::without_text(vocabulary, size)?, Vec::new()));
    }
    let sources = templates.iter().map(|(_, text)| text.clone()).collect();
    let json = match metadata.get(TOKENS) {
        None => metadata.take_str(hugging_face::TOKENIZER)?,
        Some(_) => None,
    };
    let Some(json) = json else {
        let vocabulary = Vocabulary { templates: sources, ..take_vocabulary(metadata)? };
        return Ok((Tokenizer::new(vocabulary)?, templates));
    };
    let config = metadata.take_str(hugging_face::TOKENIZER_CONFIG)?;
    let options = FolderOptions { templates: sources, ..folder_options(metadata)? };
    let (tokenizer, own) = Tokenizer::from_folder(&json, config.as_deref(), &options)?;
    // A template file wins over a template of the same name in tokenizer_config.json: the first one
    // counts.
    templates.extend(own);
    Ok((tokenizer, templates))
}

/// Takes names and texts of the chat templates, the default one first.
fn take_templates(metadata: &mut Metadata) -> Result<Vec<(String, String)>> {
    let default = metadata.take_str(CHAT_TEMPLATE)?.map(|text| (DEFAULT_TEMPLATE.to_owned(), text));
    let named: Vec<(String, String)> = metadata
        .iter()
        .filter_map(|(key, value)| match (key.strip_prefix(CHAT_TEMPLATE)?.strip_prefix('.')?, value) {
            (name, Value::String(text)) => Some((name.to_owned(), text.clone())),
            _ => None,
        })
        .collect();
    metadata.remove(|key| key.starts_with(CHAT_TEMPLATE));
    Ok(default.into_iter().chain(named).collect())
}

/// Properties of the tokenizer that the folder's other files define.
fn folder_options(metadata: &Metadata) -> Result<FolderOptions> {
    let size = metadata.opt_u32(&format!("{}.vocab_size", metadata.str("general.architecture")?))?;
    let ends = metadata.opt_i32s(hugging_face::ENDS)?.unwrap_or_default();
    let ends = ends.iter().map(|end| end.cast_unsigned()).collect();
    Ok(FolderOptions { size: size.map(|size| size as usize), ends, templates: Vec::new() })
}

/// Rewrites a folder's vocabulary as GGUF keys. Metadata from a GGUF file stays as it is.
pub fn write_vocabulary(metadata: &mut Metadata) -> Result<()> {
    let Some(json) = metadata.take_str(hugging_face::TOKENIZER)? else { return Ok(()) };
    let config = metadata.take_str(hugging_face::TOKENIZER_CONFIG)?;
    let options = folder_options(metadata)?;
    metadata.remove(|key| key == hugging_face::ENDS);
    let (_, templates) = Tokenizer::from_folder(&json, config.as_deref(), &options)?;
    write_templates(metadata, templates);
    let vocabulary = Vocabulary::from_folder(&json, config.as_deref(), &options)?;
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            metadata.insert(format!("tokenizer.ggml.{key}"), value);
        }
    };
    put("model", Some(vocabulary.model.into()));
    put("pre", vocabulary.pre.map(Value::from));
    put("tokens", Some(vocabulary.tokens.into()));
    put("token_type", Some(vocabulary.token_types.into()));
    put("scores", Some(vocabulary.scores).filter(|scores| !scores.is_empty()).map(Value::from));
    put("merges", Some(vocabulary.merges).filter(|merges| !merges.is_empty()).map(Value::from));
    put("bos_token_id", vocabulary.bos.map(Value::from));
    // of several ends of generation, the first one ends a turn
    put("eos_token_id", vocabulary.eos.or(options.ends.first().copied()).map(Value::from));
    put("unknown_token_id", vocabulary.unk.map(Value::from));
    put("seperator_token_id", vocabulary.sep.map(Value::from));
    put("padding_token_id", vocabulary.pad.map(Value::from));
    put("mask_token_id", vocabulary.mask.map(Value::from));
    put("add_bos_token", vocabulary.add_bos.map(Value::from));
    put("add_eos_token", vocabulary.add_eos.map(Value::from));
    put("add_sep_token", vocabulary.add_sep.map(Value::from));
    put("add_space_prefix", vocabulary.add_space_prefix.map(Value::from));
    put("remove_extra_whitespaces", vocabulary.remove_extra_whitespaces.map(Value::from));
    let charsmap = Some(vocabulary.precompiled_charsmap).filter(|charsmap| !charsmap.is_empty());
    put("precompiled_charsmap", charsmap.map(|bytes| Array::U8(bytes).into()));
    put("normalizer.lowercase", vocabulary.lowercase.map(Value::from));
    put("normalizer.strip_accents", vocabulary.strip_accents.map(Value::from));
    Ok(())
}

/// Adds the templates of tokenizer_config.json, except those that have a file of their own.
fn write_templates(metadata: &mut Metadata, templates: Vec<(String, String)>) {
    for (name, text) in templates {
        let key = if name == DEFAULT_TEMPLATE { CHAT_TEMPLATE.to_owned() } else { format!("{CHAT_TEMPLATE}.{name}") };
        if metadata.get(&key).is_none() {
            metadata.insert(key, text);
        }
    }
    let name = |(key, _): (&str, &Value)| key.strip_prefix(CHAT_TEMPLATE)?.strip_prefix('.').map(str::to_owned);
    let names: Vec<String> = metadata.iter().filter_map(name).collect();
    if !names.is_empty() {
        metadata.insert(CHAT_TEMPLATES, Value::Array(Array::Strings(names)));
    }
}

/// Takes the vocabulary out of the metadata. Its strings are moved, not copied: they are megabytes.
pub fn take_vocabulary(metadata: &mut Metadata) -> Result<Vocabulary> {
    let flag = |metadata: &Metadata, name: &str| metadata.opt_bool(&format!("tokenizer.ggml.{name}"));
    metadata.strings(TOKENS)?; // if absent, the error names the key
    let mut vocabulary = Vocabulary {
        model: metadata.str(MODEL)?.to_string(),
        pre: metadata.opt_str("tokenizer.ggml.pre")?.filter(|pre| !pre.is_empty()).map(str::to_string),
        scores: metadata.opt_f32s("tokenizer.ggml.scores")?.unwrap_or_default().to_vec(),
        token_types: metadata.opt_i32s("tokenizer.ggml.token_type")?.unwrap_or_default().into_owned(),
        add_bos: flag(metadata, "add_bos_token")?,
        add_eos: flag(metadata, "add_eos_token")?,
        add_sep: flag(metadata, "add_sep_token")?,
        add_space_prefix: flag(metadata, "add_space_prefix")?,
        remove_extra_whitespaces: flag(metadata, "remove_extra_whitespaces")?,
        precompiled_charsmap: charsmap(metadata),
        lowercase: flag(metadata, "normalizer.lowercase")?,
        strip_accents: flag(metadata, "normalizer.strip_accents")?,
        tokens: metadata.take_strings(TOKENS)?.unwrap_or_default(),
        merges: metadata.take_strings("tokenizer.ggml.merges")?.unwrap_or_default(),
        ..named_ids(metadata)?
    };
    if metadata.opt_str("general.architecture")? == Some("phi3") && vocabulary.model == "llama" {
        vocabulary.strip = phi3_strip(&vocabulary);
    }
    Ok(vocabulary)
}

/// The ids of special tokens.
fn named_ids(metadata: &Metadata) -> Result<Vocabulary> {
    let id = |name: &str| token_id(metadata, &format!("tokenizer.ggml.{name}_token_id"));
    let either = |name: &str, older: &str| Ok(id(name)?.or(id(older)?));
    Ok(Vocabulary {
        bos: id("bos")?,
        eos: id("eos")?,
        eot: id("eot")?,
        eom: id("eom")?,
        unk: id("unknown")?,
        sep: id("seperator")?,
        pad: id("padding")?,
        mask: id("mask")?,
        fim: FimIds {
            pre: either("fim_pre", "prefix")?,
            suf: either("fim_suf", "suffix")?,
            mid: either("fim_mid", "middle")?,
            pad: id("fim_pad")?,
            rep: id("fim_rep")?,
            sep: id("fim_sep")?,
        },
        ..Vocabulary::default()
    })
}

/// The token id at `key`. A value that is no id, such as -1, counts as absent; the tokenizer later
/// drops ids beyond the vocabulary.
fn token_id(metadata: &Metadata, key: &str) -> Result<Option<u32>> {
    Ok(metadata.opt_integer(key)?.and_then(|id| u32::try_from(id).ok()))
}

/// The bytes of `precompiled_charsmap`, which files store as u8 or as i8.
fn charsmap(metadata: &Metadata) -> Vec<u8> {
    match metadata.get("tokenizer.ggml.precompiled_charsmap") {
        Some(Value::Array(Array::U8(bytes))) => bytes.clone(),
        Some(Value::Array(Array::I8(bytes))) => bytes.iter().map(|byte| byte.cast_unsigned()).collect(),
        _ => Vec::new(),
    }
}

/// The tokens of Phi-3 that strip the white space after them: `</s>` and the tokens that delimit
/// turns. Its `tokenizer.json` says so, but the GGUF file has lost it.
fn phi3_strip(vocabulary: &Vocabulary) -> Vec<Strip> {
    let swallows = |(id, token): (u32, &String)| {
        let kind = vocabulary.token_types.get(id as usize);
        let turn = kind == Some(&3) && token.starts_with("<|") && token != "<|endoftext|>";
        (turn || token == "</s>").then_some(Strip { id, left: false, right: true })
    };
    (0..).zip(&vocabulary.tokens).filter_map(swallows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::format::{GgufReader, Header, Sink, TensorInfo};
    use crate::tokenizer::{EncodeOptions, Tokenizer};

    fn strings(texts: &[&str]) -> Value {
        Value::Array(Array::Strings(texts.iter().map(|text| text.to_string()).collect()))
    }

    #[test]
    fn all_keys_of_the_tokenizer_are_read() {
        let mut metadata = Metadata::default();
        metadata.insert(TOKENS, strings(&["[CLS]", "[SEP]", "▁a"]));
        metadata.insert("tokenizer.ggml.model", Value::String("bert".into()));
        metadata.insert("tokenizer.ggml.seperator_token_id", Value::U32(1));
        metadata.insert("tokenizer.ggml.normalizer.lowercase", Value::Bool(false));
        metadata.insert("tokenizer.ggml.precompiled_charsmap", Value::Array(Array::I8(vec![-1, 1])));
        let vocabulary = take_vocabulary(&mut metadata).unwrap();
        assert_eq!((vocabulary.model.as_str(), vocabulary.sep, vocabulary.lowercase), ("bert", Some(1), Some(false)));
        assert_eq!((vocabulary.tokens.len(), vocabulary.precompiled_charsmap), (3, vec![255, 1]));
    }

    /// llama.cpp's saver writes an empty value for an absent key.
    #[test]
    fn an_empty_pre_tokenizer_is_none() {
        let mut metadata = Metadata::default();
        metadata.insert(TOKENS, strings(&["a"]));
        metadata.insert("tokenizer.ggml.model", Value::String("gpt2".into()));
        metadata.insert("tokenizer.ggml.pre", Value::String(String::new()));
        assert_eq!(take_vocabulary(&mut metadata).unwrap().pre, None);
    }

    /// Phi-3's turns were tokenized with an extra line break before each text.
    #[test]
    fn phi3_turns_strip_the_line_break_after_them() {
        let mut metadata = Metadata::default();
        metadata.insert(TOKENS, strings(&["<unk>", "<s>", "</s>", "<|endoftext|>", "<|user|>", "a"]));
        metadata.insert("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![2, 3, 4, 3, 3, 1])));
        metadata.insert("tokenizer.ggml.model", Value::String("llama".into()));
        for (architecture, expected) in [("phi3", vec![2, 4]), ("llama", vec![])] {
            let mut metadata = metadata.clone();
            metadata.insert("general.architecture", Value::String(architecture.into()));
            let strip = take_vocabulary(&mut metadata).unwrap().strip;
            assert_eq!(strip.iter().map(|strip| strip.id).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn named_templates_are_read_beside_the_default_one() {
        let mut metadata = Metadata::default();
        metadata.insert("tokenizer.chat_template.tool_use", "U");
        metadata.insert(CHAT_TEMPLATES, strings(&["tool_use"]));
        metadata.insert(CHAT_TEMPLATE, "D");
        let own = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        write_templates(&mut metadata, vec![own("default", "older"), own("rag", "R")]);
        assert_eq!(metadata.get(CHAT_TEMPLATES), Some(&strings(&["rag", "tool_use"])));
        let expected = [own("default", "D"), own("rag", "R"), own("tool_use", "U")];
        assert_eq!(take_templates(&mut metadata).unwrap(), expected);
        assert!(metadata.is_empty());
    }

    fn metadata_of(path: &std::path::Path) -> Metadata {
        #[derive(Default)]
        struct First(Option<Header>);
        impl Sink for First {
            fn header(&mut self, header: Header) -> Result<()> {
                self.0 = Some(header);
                Ok(())
            }
            fn rows(&mut self, _: &TensorInfo, _: usize, _: &[u8]) -> Result<()> {
                Ok(())
            }
        }
        let mut first = First::default();
        GgufReader::new().feed(&std::fs::read(path).unwrap(), &mut first).unwrap();
        first.0.unwrap().metadata
    }

    /// Vocabularies of published models from llama.cpp's own tests. Each comes with texts and the
    /// ids that Hugging Face's tokenizers give.
    #[test]
    #[ignore = "needs the files in models/llama.cpp (npm run test:models)"]
    fn published_files_agree_with_hugging_face() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/llama.cpp");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(".gguf.inp"));
        files.sort();
        assert_eq!(files.len(), 15);
        let mut wrong = Vec::new();
        for inputs in files {
            let path = inputs.with_extension("");
            let tokenizer = Tokenizer::new(take_vocabulary(&mut metadata_of(&path)).unwrap()).unwrap();
            let texts = std::fs::read_to_string(&inputs).unwrap();
            let ids = std::fs::read_to_string(path.with_extension("gguf.out")).unwrap();
            let texts: Vec<_> = texts.split("\n__ggml_vocab_test__\n").collect();
            assert!(texts.len() > 40 && ids.lines().count() + 1 >= texts.len());
            for (text, ids) in texts.iter().zip(ids.lines()) {
                let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
                // This file calls its pre-tokenizer `qwen2`, and its expected ids compose no
                // accents. That Qwen3.5's own tokenizer composes them is inferred, not compared.
                if path.ends_with("ggml-vocab-qwen35.gguf") && text.contains(['\u{300}', '\u{301}']) {
                    continue;
                }
                let found = tokenizer.encode(text, EncodeOptions { add_special: false, parse_special: false }).unwrap();
                if found != ids {
                    let name = path.file_name().unwrap().display();
                    wrong.push(format!("{name} {text:?}:\n  {found:?}\n  {ids:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}
