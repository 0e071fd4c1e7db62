//! Hugging Face's `tokenizer.json` and `tokenizer_config.json` → a tokenizer.
//!
//! The files describe a chain of steps: normalizer, pre-tokenizer, model, post-processor. Each step that changes the ids
//! is one that the kinds of vocabulary here know, under its own name or another, or an error that names it: a step left out
//! would answer, only worse. (The `tokenizers` crate reads such a file too, but has no way to keep typed text
//! from becoming a control token, carries the offsets of every byte along, and would make the module larger by all the steps that
//! no language model uses.)

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::bpe::{Bpe, BpeOptions};
use super::charsmap::CharsMap;
use super::pre_tokenizer::{DIGIT, GPT2, PUNCTUATION};
use super::sentencepiece::{self, SPACE, SentencePiece};
use super::vocabulary::{Strip, TokenKind, Vocabulary};
use super::word_piece::{self, WordPiece};
use super::{Model, Spelling, Tokenizer};
use crate::{Error, Result};

/// Most ids that may be missing in a row; real files leave room for some hundreds of added tokens.
const MAX_GAP: usize = 4096;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    model: FileModel,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
}

#[derive(Deserialize)]
struct FileModel {
    /// Old files leave it out.
    r#type: Option<String>,
    vocab: Vocab,
    #[serde(default)]
    merges: Vec<Merge>,
    unk_token: Option<String>,
    unk_id: Option<u32>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocab {
    Ids(BTreeMap<String, u32>),
    Scores(Vec<(String, f32)>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair([String; 2]),
    Line(String),
}

#[derive(Deserialize, Default)]
struct Config {
    bos_token: Option<Named>,
    eos_token: Option<Named>,
    pad_token: Option<Named>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    chat_template: Option<Template>,
}

/// A token by its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    Token { content: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Template {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl Tokenizer {
    /// Builds the tokenizer of a `tokenizer.json` and, where there is one, a `tokenizer_config.json`, given as text; with it
    /// comes the source of the configuration's chat template (of several, the one called `default`).
    ///
    /// # Errors
    /// [`Error::InvalidModel`] for a file that is not what it should be, [`Error::UnsupportedTokenizer`] for a step that
    /// weft does not know.
    pub fn from_hugging_face(tokenizer: &str, config: Option<&str>) -> Result<(Self, Option<String>)> {
        let file: File = serde_json::from_str(tokenizer).map_err(|error| invalid("tokenizer.json", error))?;
        let config: Config = config
            .map_or(Ok(Config::default()), serde_json::from_str)
            .map_err(|error| invalid("tokenizer_config.json", error))?;
        let template = match config.chat_template {
            Some(Template::One(ref template)) => Some(template.clone()),
            Some(Template::Several(ref all)) => {
                all.iter().find(|named| named.name == "default").map(|named| named.template.clone())
            }
            None => None,
        };
        Ok((build(file, &config)?, template))
    }
}

fn build(file: File, config: &Config) -> Result<Tokenizer> {
    let File { added_tokens, normalizer, pre_tokenizer, post_processor, model } = file;
    let steps = Steps::new(normalizer.as_ref(), pre_tokenizer.as_ref())?;
    let kind = match (&model.r#type, &model.vocab) {
        (Some(kind), _) => kind.as_str(),
        (None, Vocab::Scores(_)) => "Unigram",
        (None, Vocab::Ids(_)) => "BPE",
    };
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if kind == "BPE" && affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err(unsupported("model", "BPE with continuing_subword_prefix or end_of_word_suffix"));
    }
    let (mut tokens, mut kinds, scores) = tokens_of(model.vocab)?;
    if kind == "WordPiece" {
        tokens = tokens.into_iter().map(word_piece::mark).collect();
    }
    // Ids go on where the vocabulary ends, with a gap at most; a wild one would take memory for all below it.
    let most = tokens.len() + added_tokens.len() + MAX_GAP;
    for token in &added_tokens {
        if token.single_word {
            return Err(unsupported("added_tokens", &format!("`{}` with single_word", token.content)));
        }
        let id = token.id as usize;
        if id >= most {
            return Err(invalid("tokenizer.json", format!("id {id} of `{}` in added_tokens", token.content)));
        }
        if id >= tokens.len() {
            tokens.resize(id + 1, String::new());
            kinds.resize(id + 1, TokenKind::Unused);
        }
        kinds[id] = if token.special { TokenKind::Control } else { TokenKind::UserDefined };
        tokens[id] = token.content.clone();
    }
    let find = |text: &str| tokens.iter().position(|token| token == text).and_then(|id| u32::try_from(id).ok());
    let named = |token: &Option<Named>| match token {
        Some(Named::Text(text) | Named::Token { content: text }) => find(text),
        None => None,
    };
    let (first, last) = post_processor.as_ref().map_or(Ok((None, None)), around)?;
    let unk = model.unk_id.or_else(|| model.unk_token.as_deref().and_then(find));
    if let Some(kind) = unk.and_then(|unk| kinds.get_mut(unk as usize)) {
        *kind = TokenKind::Unknown;
    }
    let strips = added_tokens.iter().filter(|token| token.lstrip || token.rstrip);
    let vocabulary = Vocabulary {
        bos: first.as_deref().and_then(find).or_else(|| named(&config.bos_token)),
        eos: named(&config.eos_token),
        sep: last.as_deref().and_then(find),
        pad: named(&config.pad_token),
        add_bos: Some(config.add_bos_token.unwrap_or(first.is_some())),
        add_eos: Some(last.is_none() && config.add_eos_token == Some(true)),
        add_sep: Some(last.is_some()),
        strip: strips.map(|token| Strip { id: token.id, left: token.lstrip, right: token.rstrip }).collect(),
        ..Default::default()
    };
    let model = match kind {
        "BPE" => {
            let spelling = if steps.byte_level { Spelling::Bytes } else { Spelling::Blocks };
            if spelling == Spelling::Blocks && !(model.byte_fallback && steps.blocks) {
                return Err(unsupported("model", "BPE that is neither byte-level nor spelled with `▁` and bytes"));
            }
            if spelling == Spelling::Blocks {
                mark_bytes(&tokens, &mut kinds);
            }
            let merges = model.merges.into_iter().map(|merge| match merge {
                Merge::Pair([left, right]) => format!("{left} {right}"),
                Merge::Line(line) => line,
            });
            let options = BpeOptions {
                patterns: steps.patterns,
                ignore_merges: model.ignore_merges,
                nfc: steps.nfc,
                add_space_prefix: steps.prefix,
                spelling,
            };
            Model::Bpe(Box::new(Bpe::new(&tokens, &kinds, merges.collect(), options)?))
        }
        "Unigram" => {
            if model.byte_fallback {
                mark_bytes(&tokens, &mut kinds);
            }
            let mut scores = scores;
            scores.resize(tokens.len(), 0.0);
            let options = sentencepiece::Options {
                unigram: true,
                add_space_prefix: steps.prefix,
                remove_extra_whitespaces: steps.remove_extra_whitespaces,
                charsmap: CharsMap::new(&steps.charsmap)?,
            };
            Model::SentencePiece(SentencePiece::new(&tokens, &kinds, scores, unk, options)?)
        }
        "WordPiece" => {
            let normalizer = steps.bert.ok_or_else(|| unsupported("normalizer", "WordPiece without BertNormalizer"))?;
            Model::WordPiece(Box::new(WordPiece::new(&tokens, &kinds, unk, normalizer)?))
        }
        other => return Err(unsupported("model", other)),
    };
    let vocabulary = Vocabulary { tokens, ..vocabulary };
    vocabulary.kinds()?;
    let tokenizer = Tokenizer::with_model(vocabulary, kinds, model)?;
    Ok(Tokenizer { prefix_once: steps.prefix_once, ..tokenizer })
}

/// Texts, kinds and scores by id. An id that the vocabulary leaves out has no text.
fn tokens_of(vocab: Vocab) -> Result<(Vec<String>, Vec<TokenKind>, Vec<f32>)> {
    let (tokens, scores): (Vec<String>, Vec<f32>) = match vocab {
        Vocab::Scores(scores) => scores.into_iter().unzip(),
        Vocab::Ids(ids) => {
            let size = ids.values().max().map_or(0, |max| (*max as usize).saturating_add(1));
            if size > 2 * ids.len() + MAX_GAP {
                return Err(invalid("tokenizer.json", format!("{} tokens with ids up to {size}", ids.len())));
            }
            let mut tokens = vec![String::new(); size];
            ids.into_iter().for_each(|(token, id)| tokens[id as usize] = token);
            (tokens, Vec::new())
        }
    };
    let kinds = tokens.iter().map(|token| if token.is_empty() { TokenKind::Unused } else { TokenKind::Normal });
    let kinds = kinds.collect();
    Ok((tokens, kinds, scores))
}

/// `<0xXX>` stands for a byte.
fn mark_bytes(tokens: &[String], kinds: &mut [TokenKind]) {
    for (token, kind) in tokens.iter().zip(kinds) {
        if *kind == TokenKind::Normal && sentencepiece::parse_byte(token).is_some() {
            *kind = TokenKind::Byte;
        }
    }
}

/// What the normalizer and the pre-tokenizer come to.
#[derive(Default)]
struct Steps {
    patterns: Vec<String>,
    nfc: bool,
    byte_level: bool,
    /// A space becomes `▁`.
    blocks: bool,
    /// A space goes before the text.
    prefix: bool,
    /// Not after special tokens, though.
    prefix_once: bool,
    remove_extra_whitespaces: bool,
    charsmap: Vec<u8>,
    bert: Option<tokenizers::normalizers::BertNormalizer>,
}

impl Steps {
    fn new(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Self> {
        let mut steps = Self::default();
        normalizer.map_or(Ok(()), |step| steps.normalizer(step))?;
        pre_tokenizer.map_or(Ok(()), |step| steps.pre_tokenizer(step))?;
        Ok(steps)
    }

    fn normalizer(&mut self, step: &Value) -> Result<()> {
        let flag = |name: &str| step[name].as_bool();
        match (kind_of(step), &step["pattern"]) {
            ("Sequence", _) => return each(&step["normalizers"], |step| self.normalizer(step)),
            ("NFC", _) => self.nfc = true,
            ("Prepend", _) if step["prepend"] == SPACE => self.prefix = true,
            ("Replace", pattern) if pattern["String"] == " " && step["content"] == SPACE => self.blocks = true,
            // Runs of spaces, of which SentencePiece leaves one.
            ("Replace", pattern) if pattern["Regex"] == " {2,}" => self.remove_extra_whitespaces = true,
            ("Strip", _) if flag("strip_right") == Some(true) => self.remove_extra_whitespaces = true,
            ("Precompiled", _) => self.charsmap = base64(step["precompiled_charsmap"].as_str().unwrap_or_default())?,
            ("BertNormalizer", _)
                if flag("clean_text") != Some(false) && flag("handle_chinese_chars") != Some(false) =>
            {
                let lowercase = flag("lowercase").unwrap_or(true);
                self.bert = Some(word_piece::normalizer(lowercase, flag("strip_accents")));
            }
            _ => return Err(unsupported("normalizer", &short(step))),
        }
        Ok(())
    }

    fn pre_tokenizer(&mut self, step: &Value) -> Result<()> {
        let whole = |name: &str, default: bool| step[name].as_bool().unwrap_or(default);
        let behavior = step["behavior"].as_str().unwrap_or_default();
        match kind_of(step) {
            "Sequence" => return each(&step["pretokenizers"], |step| self.pre_tokenizer(step)),
            "Split" if behavior == "Isolated" || (behavior == "Removed" && step["invert"] == true) => {
                match &step["pattern"]["Regex"] {
                    Value::String(pattern) => self.patterns.push(pattern.clone()),
                    _ => return Err(unsupported("pre_tokenizer", &short(step))),
                }
            }
            // Spaces have become `▁` before.
            "Split" if step["pattern"]["String"] == " " && self.blocks => {}
            "Digits" => {
                let digits = if whole("individual_digits", false) { DIGIT } else { r"\p{N}+" };
                self.patterns.push(digits.into());
            }
            "Punctuation" if behavior == "Contiguous" => self.patterns.push(PUNCTUATION.into()),
            "ByteLevel" => {
                self.byte_level = true;
                self.prefix |= whole("add_prefix_space", true);
                if whole("use_regex", true) {
                    self.patterns.push(GPT2.into());
                }
            }
            "Metaspace" => {
                let scheme = step["prepend_scheme"].as_str();
                self.blocks = true;
                self.prefix |= scheme.map_or(whole("add_prefix_space", true), |scheme| scheme != "never");
                self.prefix_once = scheme == Some("first");
            }
            // Metaspace follows, and SentencePiece has no other white space by then.
            "WhitespaceSplit" => self.remove_extra_whitespaces = true,
            "BertPreTokenizer" => {}
            _ => return Err(unsupported("pre_tokenizer", &short(step))),
        }
        Ok(())
    }
}

/// The special tokens that the post-processor puts before and after a text.
fn around(step: &Value) -> Result<(Option<String>, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(match kind_of(step) {
        "Sequence" => {
            let mut sum = (None, None);
            each(&step["processors"], |step| {
                let (first, last) = around(step)?;
                sum = (sum.0.take().or(first), sum.1.take().or(last));
                Ok(())
            })?;
            sum
        }
        "TemplateProcessing" => match step["single"].as_array().map(Vec::as_slice).unwrap_or_default() {
            [first @ .., sequence] if first.len() < 2 && sequence.get("Sequence").is_some() => {
                (first.first().and_then(|first| text(&first["SpecialToken"]["id"])), None)
            }
            [first @ .., sequence, last] if first.len() < 2 && sequence.get("Sequence").is_some() => {
                let first = first.first().and_then(|first| text(&first["SpecialToken"]["id"]));
                (first, text(&last["SpecialToken"]["id"]))
            }
            _ => return Err(unsupported("post_processor", &short(step))),
        },
        "BertProcessing" | "RobertaProcessing" => (text(&step["cls"][0]), text(&step["sep"][0])),
        "ByteLevel" => (None, None),
        _ => return Err(unsupported("post_processor", &short(step))),
    })
}

fn kind_of(step: &Value) -> &str {
    step["type"].as_str().unwrap_or_default()
}

fn each(steps: &Value, mut visit: impl FnMut(&Value) -> Result<()>) -> Result<()> {
    steps.as_array().into_iter().flatten().try_for_each(&mut visit)
}

/// The bytes of `text`; white space and the padding at the end say nothing.
fn base64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(invalid("precompiled_charsmap", format!("`{}` in base64", c as char))),
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}

/// A step as an error shows it.
fn short(step: &Value) -> String {
    step.to_string().chars().take(120).collect()
}

fn invalid(what: &str, got: impl ToString) -> Error {
    Error::InvalidModel { what: what.into(), expected: "a tokenizer of Hugging Face's".into(), got: got.to_string() }
}

fn unsupported(what: &str, found: &str) -> Error {
    let known = "BPE (byte-level, or with byte fallback), Unigram, WordPiece, and the steps that language models use";
    Error::UnsupportedTokenizer { what: format!("tokenizer.json: {what}"), found: found.into(), known: known.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EncodeOptions;
    use super::*;

    const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

    /// Llama 2 and those after it: `▁` for a space, which goes before the text, and bytes of what has no token.
    fn llama() -> Value {
        json!({
            "added_tokens": [
                {"id": 0, "content": "<unk>", "special": true},
                {"id": 1, "content": "<s>", "special": true},
                {"id": 8, "content": "<|user|>", "special": true, "rstrip": true},
                {"id": 9, "content": "@@", "special": false, "single_word": false},
            ],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "pre_tokenizer": null,
            "post_processor": {"type": "TemplateProcessing", "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            ]},
            "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": ["l o", ["▁", "lo"]],
                "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "l": 3, "o": 4, "lo": 5, "▁lo": 6, "<0x0A>": 7}},
        })
    }

    fn load(file: &Value, config: Option<&Value>) -> Result<(Tokenizer, Option<String>)> {
        Tokenizer::from_hugging_face(&file.to_string(), config.map(Value::to_string).as_deref())
    }

    #[test]
    fn spaces_bytes_and_special_tokens_are_as_the_file_has_them() {
        let (tokenizer, template) = load(&llama(), None).unwrap();
        assert_eq!(tokenizer.encode("lo lo\n@@lo", WHOLE).unwrap(), [1, 6, 6, 7, 9, 5]);
        assert_eq!(tokenizer.encode("<|user|>\n lo", WHOLE).unwrap(), [1, 8, 6]);
        assert_eq!(tokenizer.decode(&[1, 6, 6, 7], true).unwrap(), "lo lo\n");
        assert_eq!((tokenizer.bos(), tokenizer.eos(), template), (Some(1), None, None));

        let mut once = llama();
        once["normalizer"] = Value::Null;
        once["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"});
        let (tokenizer, _) = load(&once, None).unwrap();
        assert_eq!(tokenizer.encode("lo<s>lo", WHOLE).unwrap(), [1, 6, 1, 5]);
    }

    #[test]
    fn the_configuration_names_tokens_and_the_template() {
        let config = json!({"bos_token": {"content": "<s>"}, "eos_token": "@@", "add_bos_token": false, "add_eos_token": true,
            "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]});
        let (tokenizer, template) = load(&llama(), Some(&config)).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.eos(), template.as_deref()), (Some(1), Some(9), Some("d")));
        assert_eq!(tokenizer.encode("lo", WHOLE).unwrap(), [6, 9]);
    }

    #[test]
    fn a_step_that_is_not_known_is_named() {
        let refused = |pointer: &str, value: Value, expected: &str| {
            let mut file = llama();
            *file.pointer_mut(pointer).unwrap() = value;
            let error = load(&file, None).err().expect(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("/normalizer", json!({"type": "NFKD"}), "NFKD");
        refused("/pre_tokenizer", json!({"type": "UnicodeScripts"}), "UnicodeScripts");
        refused(
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "MergedWithNext"}),
            "MergedWithNext",
        );
        refused("/post_processor/single", json!([{}, {}, {"Sequence": {}}]), "post_processor");
        refused("/model/type", json!("WordLevel"), "WordLevel");
        refused("/model/byte_fallback", json!(false), "neither byte-level");
        refused("/added_tokens/3/single_word", json!(true), "single_word");
        refused("/added_tokens/3/id", json!(4_000_000_000_u32), "id 4000000000");
        refused("/model/vocab/lo", json!(4_000_000_000_u32), "ids up to 4000000001");
        refused("/model/vocab", json!(1), "tokenizer.json");
    }

    #[test]
    fn base64_is_read_and_checked() {
        assert_eq!(base64("AP9h\nYg==").unwrap(), [0, 255, b'a', b'b']);
        assert!(base64("A-==").is_err());
    }
}
