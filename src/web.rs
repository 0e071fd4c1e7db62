//! What JavaScript sees. The only file that knows wasm-bindgen; it converts and forwards, and
//! decides nothing.
//!
//! Structured values cross as JSON, which both sides parse faster than property by property.

use js_sys::{Date, Error as JsError, Float32Array, Reflect, Uint32Array};
use serde::{Deserialize, Serialize};
use sha2::Digest;
use wasm_bindgen::prelude::*;

use crate::Error;
use crate::engine::{self, Device, Hints};
use crate::format::{Folder, ModelReader, Quantize};
use crate::inference::{self, EmbedOptions, GenerateOptions, Info, LoadedModel, Loading};
use crate::tokenizer::{Conversation, EncodeOptions};

/// Says in the console where a panic came from; the trap that follows it says nothing.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// An `Error` of JavaScript with the property `code`.
fn to_js(error: Error) -> JsValue {
    let js = JsError::new(&error.to_string());
    // Setting a property of a fresh object cannot fail.
    let _ = Reflect::set(&js, &"code".into(), &error.code().into());
    js.into()
}

fn from_json<'a, T: Deserialize<'a>>(name: &str, json: &'a str) -> Result<T, JsValue> {
    serde_json::from_str(json).map_err(|error| {
        to_js(Error::InvalidOption {
            name: name.into(),
            expected: "the documented fields".into(),
            got: error.to_string(),
        })
    })
}

fn to_json(value: &impl Serialize) -> Result<String, JsValue> {
    serde_json::to_string(value).map_err(|error| JsError::new(&error.to_string()).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadOptions {
    device: Device,
    context_length: Option<usize>,
    /// What [`Loader::tuning`] gave on an earlier visit with this GPU.
    tuning: Option<String>,
    /// Whether the worker asks for subgroups, and the GPU has them.
    #[serde(default)]
    subgroups: bool,
    #[serde(flatten)]
    source: SourceOptions,
}

/// What is to be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceOptions {
    /// Name of the folder, if it is one.
    folder: Option<String>,
    /// What becomes of the weights, if somebody says.
    quantize: Option<String>,
}

impl SourceOptions {
    /// `files`: names and texts of the folder's small files, in turn.
    fn reader(&self, files: &[String]) -> Result<ModelReader, Error> {
        let quantize = self.quantize.as_deref().map(Quantize::named).transpose()?;
        let text =
            |name: &str| files.as_chunks::<2>().0.iter().find(|[file, _]| file == name).map(|[_, text]| text.as_str());
        let folder = self.folder.as_deref().map(|name| Folder::new(name, text)).transpose()?;
        Ok(ModelReader::new(folder, quantize))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EstimateOptions {
    context_length: Option<usize>,
    #[serde(flatten)]
    source: SourceOptions,
}

/// The package's version: what was remembered of another may not fit.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// The calling thread computes for the engine of the thread that started the module, and never
/// comes back.
#[cfg(target_feature = "atomics")]
#[wasm_bindgen]
pub fn join_pool() {
    engine::cpu::pool::join()
}

/// The SHA-256 of a stream, which browsers compute only of what is in memory as a whole.
#[wasm_bindgen]
pub struct Sha256(sha2::Sha256);

#[wasm_bindgen]
impl Sha256 {
    /// Of nothing, yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// 64 lower-case hexadecimal digits.
    pub fn digest(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A model that is being loaded.
#[wasm_bindgen]
pub struct Loader {
    loading: Loading,
    reason: String,
}

#[wasm_bindgen]
impl Loader {
    /// Opens an engine. `options`: `{"device": "auto" | "gpu" | "cpu", "contextLength": number |
    /// null, "tuning": string | null, "subgroups": boolean, "folder": string | null, "quantize":
    /// string | null}`; `files`: names and texts of a folder's small files, in turn.
    pub async fn create(options: String, files: Vec<String>) -> Result<Loader, JsValue> {
        let options: LoadOptions = from_json("options", &options)?;
        let reader = options.source.reader(&files).map_err(to_js)?;
        drop(files);
        let hints = Hints { tuning: options.tuning.as_deref(), subgroups: options.subgroups };
        let opened = engine::open(options.device, hints).await.map_err(to_js)?;
        let loading = Loading::with(opened.engine, reader, options.context_length);
        Ok(Self { loading, reason: opened.reason })
    }

    /// `gpu` or `cpu`.
    pub fn engine_kind(&self) -> String {
        self.loading.engine().info().kind.into()
    }

    /// What is worth remembering of this GPU, for `tuning` of the next `create`.
    pub fn tuning(&self) -> Option<String> {
        self.loading.engine().tuning()
    }

    /// How many bytes will come, where that is known.
    pub fn set_stream_bytes(&mut self, bytes: f64) {
        self.loading.set_stream_bytes(bytes as u64);
    }

    /// The next bytes of the model file; waits where the engine cannot take more.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.loading.feed(bytes).await.map_err(to_js)
    }

    /// Between the bytes of two files.
    pub fn end_file(&self) -> Result<(), JsValue> {
        self.loading.end_file().map_err(to_js)
    }

    /// Bytes of the whole file, once its header was read.
    pub fn total_bytes(&self) -> Option<f64> {
        self.loading.total_bytes().map(|bytes| bytes as f64)
    }

    /// The model, after the last byte.
    pub async fn finish(self) -> Result<Llm, JsValue> {
        let mut model = self.loading.finish_any().await.map_err(to_js)?;
        model.warm_up().await.map_err(to_js)?;
        Ok(Llm { model, reason: self.reason })
    }
}

/// Says what a model needs, from the headers of its files.
#[wasm_bindgen]
pub struct Estimator(inference::Estimator);

#[wasm_bindgen]
impl Estimator {
    /// `options`: `{"contextLength": number | null, "folder": string | null, "quantize": string |
    /// null}`; `files` as for a [`Loader`].
    #[wasm_bindgen(constructor)]
    pub fn new(options: &str, files: Vec<String>) -> Result<Estimator, JsValue> {
        let options: EstimateOptions = from_json("options", options)?;
        let reader = options.source.reader(&files).map_err(to_js)?;
        Ok(Self(inference::Estimator::new(reader, options.context_length)))
    }

    /// The next bytes of a file; whether its header was among what came.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, JsValue> {
        self.0.feed(bytes).map_err(to_js)
    }

    /// Between the bytes of two files.
    pub fn end_file(&mut self) -> Result<(), JsValue> {
        self.0.end_file().map_err(to_js)
    }

    /// After the last header: an estimate as JSON.
    pub fn finish(self) -> Result<String, JsValue> {
        to_json(&self.0.finish().map_err(to_js)?)
    }
}

/// A loaded model. It is lent to one call at a time: while the promise of one is pending, no other
/// method may be called.
#[wasm_bindgen]
pub struct Llm {
    model: LoadedModel,
    reason: String,
}

#[derive(Serialize)]
struct FullInfo<'a> {
    #[serde(flatten)]
    info: Info,
    reason: &'a str,
}

#[wasm_bindgen]
impl Llm {
    /// What is loaded, as JSON.
    pub fn info(&self) -> Result<String, JsValue> {
        to_json(&FullInfo { info: self.model.info(), reason: &self.reason })
    }

    /// Text → ids.
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Uint32Array, JsValue> {
        let options = EncodeOptions { add_special, parse_special };
        let ids = self.model.tokenizer().encode(text, options).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// Ids → text, special tokens included.
    pub fn detokenize(&self, ids: &[u32]) -> Result<String, JsValue> {
        self.model.tokenizer().decode(ids, false).map_err(to_js)
    }

    /// A conversation as JSON, `{ messages, tools, variables, complete, prefix }` → the ids of the
    /// model's own prompt for it.
    pub fn chat_prompt(&mut self, conversation: &str) -> Result<Uint32Array, JsValue> {
        let conversation: Conversation = from_json("messages", conversation)?;
        let now = Date::new_0();
        let local_seconds = now.get_time() / 1000.0 - now.get_timezone_offset() * 60.0;
        let decoder = self.model.decoder("chat").map_err(to_js)?;
        let ids = decoder.chat_prompt(&conversation, local_seconds as i64).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// A prompt for what stands between the ids of a text and a text behind it.
    pub fn infill(&mut self, before: &[u32], behind: &str) -> Result<Uint32Array, JsValue> {
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        Ok(Uint32Array::from(decoder.infill(before, behind).map_err(to_js)?.as_slice()))
    }

    /// The text of the chat template that a conversation is rendered with, with tools or without;
    /// `name` is that of one of the model's templates. Undefined where there is none.
    pub fn chat_template(&self, name: Option<String>, tools: bool) -> Option<String> {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.chat_template(name.as_deref(), tools).map(str::to_owned),
            LoadedModel::Encoder(_) => None,
        }
    }

    /// Log-probabilities of `ids[from..]` after what stands before them; with `end` also of the
    /// answer's end.
    pub async fn score(&mut self, ids: Vec<u32>, from: usize, end: bool) -> Result<Float32Array, JsValue> {
        let decoder = self.model.decoder("score").map_err(to_js)?;
        let scores = decoder.score(&ids, from, end).await.map_err(to_js)?;
        Ok(Float32Array::from(scores.as_slice()))
    }

    /// Begins to continue `ids`, beside what is under way; returns the handle of the generation.
    /// `options` as JSON: those of the package, and `entropy`, the seed where they have none.
    pub fn start(&mut self, ids: Vec<u32>, options: &str) -> Result<u32, JsValue> {
        let options: StartOptions = from_json("options", options)?;
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        decoder.start(ids, options.generate, options.entropy).map(u32::from).map_err(to_js)
    }

    /// After `start`: goes on as if these ids had been generated and their events given, by a model
    /// that was lost meanwhile.
    pub fn resume(&mut self, generation: u32, generated: &[u32]) -> Result<(), JsValue> {
        self.model.decoder("generate").and_then(|decoder| decoder.resume(generation.into(), generated)).map_err(to_js)
    }

    /// One unit of work of a generation: an event as JSON. No other method may be called before it
    /// has settled.
    pub async fn next(&mut self, generation: u32) -> Result<String, JsValue> {
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        let event = decoder.next(generation.into()).await.map_err(to_js)?;
        to_json(&event)
    }

    /// Which tokens may come next, of a generation that is constrained: a bit each.
    pub fn allow(&mut self, generation: u32, mask: Vec<u32>) -> Result<(), JsValue> {
        self.model.decoder("generate").and_then(|decoder| decoder.allow(generation.into(), mask)).map_err(to_js)
    }

    /// What was generated is the whole answer.
    pub fn finish(&mut self, generation: u32) -> Result<(), JsValue> {
        self.model.decoder("generate").and_then(|decoder| decoder.finish(generation.into())).map_err(to_js)
    }

    /// The bytes of all tokens one after the other, of special ones after 0xFF.
    pub fn vocabulary_bytes(&self) -> Result<Vec<u8>, JsValue> {
        let tokenizer = self.model.tokenizer();
        tokenizer.check_text().map_err(to_js)?;
        Ok(tokenizer.vocabulary().0)
    }

    /// Where each token's bytes end.
    pub fn vocabulary_ends(&self) -> Vec<u32> {
        self.model.tokenizer().vocabulary().1
    }

    /// The special token with this name, which no text has.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.model.tokenizer().special_ids(&[name.into()]).first().copied()
    }

    /// A token that ends an answer.
    pub fn end_id(&self) -> Option<u32> {
        self.model.tokenizer().ends().first().copied()
    }

    /// `prompt` with the ids of `known` for as long as they spell the same.
    pub fn reuse(&mut self, known: &[u32], prompt: &[u32]) -> Result<Uint32Array, JsValue> {
        let ids = self.model.decoder("chat").and_then(|decoder| decoder.reuse(known, prompt)).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// Keys and values of `ids` in one layer, for whoever restored them under the number
    /// `restored`, or computed here.
    pub async fn read_kv(
        &mut self,
        ids: Vec<u32>,
        layer: usize,
        restored: Option<u32>,
    ) -> Result<Float32Array, JsValue> {
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        Ok(Float32Array::from(decoder.read_kv(layer, &ids, restored).await.map_err(to_js)?.as_slice()))
    }

    /// Begins to restore keys and values of `ids`, from which only `owner` may go on; returns a
    /// handle.
    pub fn restore(&mut self, ids: Vec<u32>, owner: u32) -> Result<u32, JsValue> {
        self.model.decoder("generate").and_then(|decoder| decoder.restore(ids, owner)).map(u32::from).map_err(to_js)
    }

    /// Writes what `read_kv` gave.
    pub async fn write_kv(&mut self, restoring: u32, layer: usize, values: Vec<f32>) -> Result<(), JsValue> {
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        decoder.write_kv(restoring.into(), layer, &values).await.map_err(to_js)
    }

    /// After every layer was written: its owner may go on from there, and the handle is over.
    pub async fn restored(&mut self, restoring: u32) -> Result<(), JsValue> {
        let decoder = self.model.decoder("generate").map_err(to_js)?;
        decoder.restored(restoring.into()).await.map_err(to_js)
    }

    /// Tokens that a generation dropped to make room.
    pub fn dropped_tokens(&self, generation: u32) -> usize {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.dropped_tokens(generation.into()),
            LoadedModel::Encoder(_) => 0,
        }
    }

    /// Ends a generation, or what is being restored, whether or not it has ended already, and
    /// forgets its handle.
    pub fn stop(&mut self, generation: u32) {
        if let LoadedModel::Decoder(decoder) = &mut self.model {
            decoder.stop(generation.into());
        }
    }

    /// Tokens of a generation's prompt that were in the KV cache already.
    pub fn cached_tokens(&self, generation: u32) -> usize {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.cached_tokens(generation.into()),
            LoadedModel::Encoder(_) => 0,
        }
    }

    /// The vector of a text. `options`: `{"pooling"?: "mean" | "cls" | "last", "normalize"?:
    /// boolean, "truncate"?: boolean}`.
    pub async fn embed(&mut self, text: String, options: String) -> Result<Float32Array, JsValue> {
        let options: EmbedOptions = from_json("options", &options)?;
        let vector = self.model.embed(&text, options).await.map_err(to_js)?;
        Ok(Float32Array::from(vector.as_slice()))
    }

    /// The labels of a text, or of two that are read together, as JSON; the likeliest first.
    pub async fn classify(&mut self, text: String, pair: Option<String>, truncate: bool) -> Result<String, JsValue> {
        let encoder = self.model.encoder("classify").map_err(to_js)?;
        to_json(&encoder.classify(&text, pair.as_deref(), truncate).await.map_err(to_js)?)
    }

    /// How well `document` answers `query`, as JSON.
    pub async fn rerank(&mut self, query: String, document: String, truncate: bool) -> Result<String, JsValue> {
        let encoder = self.model.encoder("rerank").map_err(to_js)?;
        to_json(&encoder.rerank(&query, &document, truncate).await.map_err(to_js)?)
    }

    /// The likeliest label of each token, as JSON.
    pub async fn classify_tokens(&mut self, text: String, truncate: bool) -> Result<String, JsValue> {
        let encoder = self.model.encoder("classifyTokens").map_err(to_js)?;
        to_json(&encoder.classify_tokens(&text, truncate).await.map_err(to_js)?)
    }

    /// For each mask of a text its likeliest tokens, as JSON.
    pub async fn fill_mask(&mut self, text: String, top_k: usize, truncate: bool) -> Result<String, JsValue> {
        let encoder = self.model.encoder("fillMask").map_err(to_js)?;
        to_json(&encoder.fill_mask(&text, top_k, truncate).await.map_err(to_js)?)
    }
}

#[derive(Deserialize)]
struct StartOptions {
    #[serde(default)]
    entropy: u64,
    #[serde(flatten)]
    generate: GenerateOptions,
}
