//! What weft reads of `tokenizer.json` and `tokenizer_config.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct File {
    #[serde(default)]
    pub added_tokens: Vec<AddedToken>,
    pub normalizer: Option<Value>,
    pub pre_tokenizer: Option<Value>,
    pub post_processor: Option<Value>,
    pub model: FileModel,
}

#[derive(Deserialize)]
pub struct AddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub single_word: bool,
}

#[derive(Deserialize)]
pub struct FileModel {
    /// Old files have none.
    pub r#type: Option<String>,
    pub vocab: Vocab,
    #[serde(default)]
    pub merges: Vec<Merge>,
    pub unk_token: Option<String>,
    pub unk_id: Option<u32>,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Vocab {
    Ids(BTreeMap<String, u32>),
    Scores(Vec<(String, f32)>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Merge {
    Pair([String; 2]),
    Line(String),
}

#[derive(Deserialize, Default)]
pub struct Config {
    pub bos_token: Option<Named>,
    pub eos_token: Option<Named>,
    pub pad_token: Option<Named>,
    pub mask_token: Option<Named>,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    pub chat_template: Option<Template>,
}

/// A token by its text.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Named {
    Text(String),
    Token { content: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Template {
    One(String),
    Several(Vec<NamedTemplate>),
    Named(BTreeMap<String, String>),
}

#[derive(Deserialize)]
pub struct NamedTemplate {
    pub name: String,
    pub template: String,
}
