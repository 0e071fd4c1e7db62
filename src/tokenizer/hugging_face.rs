//! Hugging Face's `tokenizer.json` and `tokenizer_config.json` → a tokenizer.
//!
//! The files describe a chain of steps: normalizer, pre-tokenizer, model, post-processor. Each step
//! that changes the ids is mapped to a kind of vocabulary here, or is an error that names it: a
//! step left out would silently make answers worse. (The `tokenizers` crate reads such a file too.
//! But it cannot keep typed text from becoming a control token, keeps an offset for every byte, and
//! would add all the steps that no language model uses to the module's size.)

mod file;
mod gguf;
mod steps;

use serde_json::Value;

use super::bpe::{Bpe, BpeOptions, WORD_END};
use super::charsmap::CharsMap;
use super::sentencepiece::{self, SentencePiece};
use super::vocabulary::{Strip, TokenKind, Vocabulary};
use super::word_piece::{self, WordPiece};
use super::{DEFAULT_TEMPLATE, Prefixed, Spelling, Tokenizer, TokenizerModel, structure};
use crate::{Error, Result};
use file::{Config, File, Merge, Named, Template, Vocab};
use steps::Steps;

/// Limit of ids missing in a row; published files leave room for some hundreds of added tokens.
const MAX_GAP: usize = 4096;

/// Words with the space before them.
const WORDS: &str = "▁[^▁]*";

impl Tokenizer {
    /// Builds the tokenizer of a `tokenizer.json` and, if present, a `tokenizer_config.json`, both
    /// given as text. Also returns the names and texts of the configuration's chat templates; a
    /// single one is called `default`.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] for a malformed file, [`Error::UnsupportedTokenizer`] for a step
    /// that weft does not know.
    pub fn from_hugging_face(tokenizer: &str, config: Option<&str>) -> Result<(Self, Vec<(String, String)>)> {
        Self::from_folder(tokenizer, config, &FolderOptions::default())
    }

    /// The same with what other files of the folder say. Errors: also `InvalidModel` if the model
    /// has fewer embeddings than tokens.
    pub fn from_folder(
        tokenizer: &str,
        config: Option<&str>,
        options: &FolderOptions,
    ) -> Result<(Self, Vec<(String, String)>)> {
        let mut file: File = serde_json::from_str(tokenizer).map_err(|error| invalid("tokenizer.json", error))?;
        // Gemma 3 adds a token for images, which its text-only models have no embedding for.
        file.added_tokens.retain(|token| options.size.is_none_or(|size| (token.id as usize) < size));
        let config: Config = config
            .map_or(Ok(Config::default()), serde_json::from_str)
            .map_err(|error| invalid("tokenizer_config.json", error))?;
        let templates = match &config.chat_template {
            Some(Template::One(template)) => vec![(DEFAULT_TEMPLATE.to_owned(), template.clone())],
            Some(Template::Several(all)) => all.iter().map(|one| (one.name.clone(), one.template.clone())).collect(),
            Some(Template::Named(all)) => all.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
            None => Vec::new(),
        };
        let sources = options.templates.iter().chain(templates.iter().map(|(_, text)| text)).cloned().collect();
        let given = Vocabulary { ends: options.ends.clone(), templates: sources, ..Vocabulary::default() };
        let mut tokenizer = build(file, &config, given)?;
        tokenizer.fill(options)?;
        Ok((tokenizer, templates))
    }
}

/// Properties of the tokenizer that the folder's other files define.
#[derive(Debug, Clone, Default)]
pub struct FolderOptions {
    /// Rows of the embedding table, often a few more than tokens.
    pub size: Option<usize>,
    /// Ids that end an answer.
    pub ends: Vec<u32>,
    /// Sources of chat templates in files of their own.
    pub templates: Vec<String>,
}

impl Tokenizer {
    /// Adds tokens without text until every embedding has one.
    fn fill(&mut self, options: &FolderOptions) -> Result<()> {
        let count = self.tokens.len();
        let size = options.size.unwrap_or(count);
        if !(count..=count + MAX_GAP).contains(&size) {
            let expected = format!("{size} tokens or a few less, by the `vocab_size` of config.json");
            let got = format!("{count}, so these may be files of two models");
            return Err(Error::InvalidModel { what: "tokenizer.json".into(), expected, got });
        }
        for id in self.tokens.len()..size {
            self.tokens.push(format!("[PAD{id}]"));
            self.kinds.push(TokenKind::Unused);
        }
        Ok(())
    }
}

/// `given`: what files other than `tokenizer.json` say.
fn build(file: File, config: &Config, given: Vocabulary) -> Result<Tokenizer> {
    let File { added_tokens, normalizer, pre_tokenizer, post_processor, model } = file;
    let steps = Steps::new(normalizer.as_ref(), pre_tokenizer.as_ref())?;
    let kind = match (&model.r#type, &model.vocab) {
        (Some(kind), _) => kind.as_str(),
        (None, Vocab::Scores(_)) => "Unigram",
        (None, Vocab::Ids(_)) => "BPE",
    };
    let suffix = model.end_of_word_suffix.as_deref().filter(|suffix| kind == "BPE" && !suffix.is_empty());
    steps.check(kind, suffix.is_some())?;
    if suffix.is_some_and(|suffix| suffix != WORD_END) {
        return Err(unsupported("model", "BPE with another end_of_word_suffix than `</w>`"));
    }
    if kind == "BPE" && model.continuing_subword_prefix.is_some_and(|prefix| !prefix.is_empty()) {
        return Err(unsupported("model", "BPE with continuing_subword_prefix"));
    }
    let (mut tokens, mut kinds, scores) = tokens_of(model.vocab)?;
    if kind == "WordPiece" {
        tokens = tokens.into_iter().map(word_piece::mark).collect();
    }
    // Ids may leave a gap after the vocabulary; a huge id would take memory for all ids below it.
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
    let (first, last) = post_processor.as_ref().map_or(Ok((Vec::new(), None)), around)?;
    let after_bos: Vec<u32> = first.iter().skip(1).filter_map(|token| find(token)).collect();
    if after_bos.len() + 1 < first.len() {
        return Err(invalid("tokenizer.json", format!("{first:?} before a text, and one of these is no token")));
    }
    let between = post_processor.as_ref().and_then(between);
    let between = between.map(|between| between.iter().filter_map(|token| find(token)).collect());
    let unk = model.unk_id.or_else(|| model.unk_token.as_deref().and_then(find));
    if let Some(kind) = unk.and_then(|unk| kinds.get_mut(unk as usize)) {
        *kind = TokenKind::Unknown;
    }
    let strips = added_tokens.iter().filter(|token| token.lstrip || token.rstrip);
    let merges = model.merges.into_iter().map(|merge| match merge {
        Merge::Pair([left, right]) => format!("{left} {right}"),
        Merge::Line(line) => line,
    });
    let mut vocabulary = Vocabulary {
        // GGUF's name of the kind
        model: (if kind == "Unigram" { "t5" } else { "gpt2" }).into(),
        bos: first.first().and_then(|first| find(first)).or_else(|| named(&config.bos_token)),
        eos: named(&config.eos_token),
        sep: last.as_deref().and_then(find),
        pad: named(&config.pad_token),
        mask: named(&config.mask_token),
        add_bos: Some(config.add_bos_token.unwrap_or(!first.is_empty())),
        add_eos: Some(last.is_none() && config.add_eos_token == Some(true)),
        add_sep: Some(last.is_some()),
        strip: strips.map(|token| Strip { id: token.id, left: token.lstrip, right: token.rstrip }).collect(),
        merges: merges.collect(),
        tokens,
        ..given
    };
    vocabulary.kinds()?; // for its checks
    let structure = structure::assign(&vocabulary, &mut kinds);
    let tokens = &vocabulary.tokens;
    let model = match kind {
        "BPE" => {
            let spelling = match suffix {
                Some(_) => Spelling::WordEnds,
                None if steps.byte_level => Spelling::Bytes,
                None => Spelling::Blocks,
            };
            if spelling == Spelling::Blocks && !(model.byte_fallback && steps.blocks) {
                return Err(unsupported("model", "BPE that is neither byte-level nor spelled with `▁` and bytes"));
            }
            if spelling == Spelling::Blocks {
                mark_bytes(tokens, &mut kinds);
            }
            let words = steps.split_words.then(|| WORDS.to_owned());
            let options = BpeOptions {
                patterns: steps.patterns.into_iter().chain(words).collect(),
                ignore_merges: model.ignore_merges,
                nfc: steps.nfc,
                space_prefix: steps.prefix,
                spelling,
                words: steps.bert.unwrap_or_default(),
                unk: suffix.and(model.unk_token),
            };
            TokenizerModel::Bpe(Box::new(Bpe::new(tokens, &kinds, std::mem::take(&mut vocabulary.merges), options)?))
        }
        "Unigram" => {
            if model.byte_fallback {
                mark_bytes(tokens, &mut kinds);
            }
            let mut scores = scores;
            scores.resize(tokens.len(), 0.0);
            let options = sentencepiece::Options {
                unigram: true,
                space_prefix: steps.prefix,
                split_words: steps.split_words,
                remove_extra_whitespaces: steps.remove_extra_whitespaces,
                charsmap: CharsMap::new(&steps.charsmap)?,
            };
            TokenizerModel::SentencePiece(SentencePiece::new(tokens, &kinds, scores, unk, options)?)
        }
        "WordPiece" => {
            let normalizer = steps.bert.ok_or_else(|| unsupported("normalizer", "WordPiece without BertNormalizer"))?;
            TokenizerModel::WordPiece(Box::new(WordPiece::new(tokens, &kinds, unk, normalizer)?))
        }
        other => return Err(unsupported("model", other)),
    };
    let tokenizer = Tokenizer::with_model(vocabulary, kinds, structure, model)?;
    let between = between.unwrap_or_else(|| tokenizer.between.clone());
    let prefixed = if steps.prefix_once { Prefixed::AtStart } else { Prefixed::AfterTokens };
    Ok(Tokenizer { after_bos, prefixed, between, ..tokenizer })
}

/// Texts, kinds and scores by id. Ids that the vocabulary leaves out get an empty text.
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

/// Gives tokens of the form `<0xXX>` the kind `Byte`.
fn mark_bytes(tokens: &[String], kinds: &mut [TokenKind]) {
    for (token, kind) in tokens.iter().zip(kinds) {
        if *kind == TokenKind::Normal && sentencepiece::parse_byte(token).is_some() {
            *kind = TokenKind::Byte;
        }
    }
}

/// The special tokens that the post-processor puts before a text, and the one after it.
fn around(step: &Value) -> Result<(Vec<String>, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let special = |token: &Value| text(&token["SpecialToken"]["id"]);
    let refused = || unsupported("post_processor", &short(step));
    Ok(match kind_of(step) {
        "Sequence" => {
            let mut sum = (Vec::new(), None);
            each(&step["processors"], |step| {
                let (first, last) = around(step)?;
                sum = (if sum.0.is_empty() { first } else { std::mem::take(&mut sum.0) }, sum.1.take().or(last));
                Ok(())
            })?;
            sum
        }
        "TemplateProcessing" => {
            let whole = step["single"].as_array().map(Vec::as_slice).unwrap_or_default();
            let at = whole.iter().position(|part| part.get("Sequence").is_some()).ok_or_else(refused)?;
            let first = whole[..at].iter().map(special).collect::<Option<_>>().ok_or_else(refused)?;
            match &whole[at + 1..] {
                [] => (first, None),
                [last] => (first, Some(special(last).ok_or_else(refused)?)),
                _ => return Err(refused()),
            }
        }
        "BertProcessing" | "RobertaProcessing" => (text(&step["cls"][0]).into_iter().collect(), text(&step["sep"][0])),
        "ByteLevel" => (Vec::new(), None),
        _ => return Err(refused()),
    })
}

/// The special tokens that the post-processor puts between two texts, if it says so.
fn between(step: &Value) -> Option<Vec<String>> {
    let sep = || step["sep"][0].as_str().map(str::to_owned);
    match kind_of(step) {
        "Sequence" => step["processors"].as_array()?.iter().find_map(between),
        "BertProcessing" => Some(vec![sep()?]),
        "RobertaProcessing" => Some(vec![sep()?; 2]),
        "TemplateProcessing" => {
            let mut texts = step["pair"].as_array()?.split(|part| part.get("Sequence").is_some());
            let special = |part: &Value| part["SpecialToken"]["id"].as_str().map(str::to_owned);
            Some(texts.nth(1)?.iter().filter_map(special).collect())
        }
        _ => None,
    }
}

fn kind_of(step: &Value) -> &str {
    step["type"].as_str().unwrap_or_default()
}

fn each(steps: &Value, mut visit: impl FnMut(&Value) -> Result<()>) -> Result<()> {
    steps.as_array().into_iter().flatten().try_for_each(&mut visit)
}

/// The beginning of a step, for an error.
fn short(step: &Value) -> String {
    step.to_string().chars().take(120).collect()
}

fn invalid(what: &str, got: impl ToString) -> Error {
    Error::InvalidModel { what: what.into(), expected: "a Hugging Face tokenizer".into(), got: got.to_string() }
}

fn unsupported(what: &str, found: &str) -> Error {
    let known = "BPE (byte-level, or with byte fallback), Unigram, WordPiece, and the steps that language models use";
    Error::UnsupportedTokenizer { what: format!("tokenizer.json: {what}"), found: found.into(), known: known.into() }
}

#[cfg(test)]
mod tests;
