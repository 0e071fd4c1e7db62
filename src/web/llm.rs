//! A loaded model.

use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Date, Float32Array, Uint32Array};
use tsify::Ts;
use wasm_bindgen::prelude::*;

use super::values::{
    Fillings, LabelScores, TokenLabels, from_json, from_object, to_js, to_object, to_object_with_bytes,
};
use crate::inference::encoder::LabelScore;
use crate::inference::inspect::{InspectEvent, InspectOptions, Nearest};
use crate::inference::tower::{Looking, Seen};
use crate::inference::{
    AdapterUse, EmbedOptions, Event, GenerateOptions, Info, LoadedDecoder, LoadedEncoder, LoadedModel, Speculated,
};
use crate::tokenizer::{Conversation, EncodeOptions};

/// A loaded model. While the promise of one method is pending, no other method may be called.
///
/// Any number of generations may be under way. Each has a handle, a number that is never given
/// twice, its own `next`, and ends with its own `stop`.
#[wasm_bindgen]
pub struct Llm {
    pub(super) model: LoadedModel,
    /// Reads pictures.
    pub(super) tower: Option<LoadedEncoder>,
    /// What it looks at, and what it saw, by their handles.
    pub(super) pictures: BTreeMap<u32, (Option<Looking>, Option<Rc<Seen>>)>,
    pub(super) next_picture: u32,
    reason: String,
}

impl Llm {
    pub(super) fn new(model: LoadedModel, reason: String) -> Self {
        Self { model, tower: None, pictures: BTreeMap::new(), next_picture: 0, reason }
    }

    /// The model as a decoder. Errors: `UNSUPPORTED_TASK`.
    pub(super) fn decoder(&mut self, task: &'static str) -> Result<&mut LoadedDecoder, JsValue> {
        self.model.decoder(task).map_err(to_js)
    }
}

#[wasm_bindgen]
impl Llm {
    /// Describes the model and its engine.
    pub fn info(&self) -> Result<Ts<Info>, JsValue> {
        to_object(&self.model.info())
    }

    /// Why this engine was chosen, as a sentence.
    pub fn engine_reason(&self) -> String {
        self.reason.clone()
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

    /// A conversation, as the JSON text of `{ messages, tools, variables, template, complete,
    /// prefix }` → the ids that the model's template makes of it.
    pub fn chat_prompt(&mut self, conversation: &str) -> Result<Uint32Array, JsValue> {
        let conversation: Conversation = from_json("messages", conversation)?;
        let now = Date::new_0();
        let local_seconds = now.get_time() / 1000.0 - now.get_timezone_offset() * 60.0;
        let ids = self.decoder("chat")?.chat_prompt(&conversation, local_seconds as i64).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// The prompt for a gap between the ids of a text and the text after it.
    pub fn infill(&mut self, before: &[u32], behind: &str) -> Result<Uint32Array, JsValue> {
        let ids = self.decoder("generate")?.infill(before, behind).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// Source of the chat template called `name`, or else of the one for conversations with or
    /// without tools; undefined if there is none.
    pub fn chat_template(&self, name: Option<String>, tools: bool) -> Option<String> {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.chat_template(name.as_deref(), tools).map(str::to_owned),
            LoadedModel::Encoder(_) => None,
        }
    }

    /// Log-probabilities of `ids[from..]` given what comes before each; with `end` also that of the
    /// end of the answer.
    pub async fn score(&mut self, ids: Vec<u32>, from: usize, end: bool) -> Result<Float32Array, JsValue> {
        let scores = self.decoder("score")?.score(&ids, from, end).await.map_err(to_js)?;
        Ok(Float32Array::from(scores.as_slice()))
    }

    /// Starts to look inside the model while it reads `ids`, and returns a handle, which ends with
    /// `stop`.
    pub fn inspect(&mut self, ids: Vec<u32>, options: Ts<InspectOptions>) -> Result<u32, JsValue> {
        let options = from_object(options)?;
        self.model.inspect(ids, options).map(u32::from).map_err(to_js)
    }

    /// Runs one step of an inspection. An error ends it.
    pub async fn inspect_next(&mut self, inspection: u32) -> Result<Ts<InspectEvent>, JsValue> {
        to_object_with_bytes(&self.model.inspect_next(inspection.into()).await.map_err(to_js)?)
    }

    /// The `top` nearest to `id` of the next tokens from `from` on.
    pub async fn nearest(&mut self, id: u32, from: u32, top: usize) -> Result<Ts<Nearest>, JsValue> {
        to_object(&self.decoder("nearestTokens")?.nearest(id, from, top).await.map_err(to_js)?)
    }

    /// Starts a generation that continues `ids`, and returns its handle. `entropy`: the seed if the
    /// options have none; `inspect`: what to look at in each step.
    pub fn start(
        &mut self,
        ids: Vec<u32>,
        options: Ts<GenerateOptions>,
        entropy: f64,
        inspect: Option<Ts<InspectOptions>>,
    ) -> Result<u32, JsValue> {
        let inspect = inspect.map(from_object).transpose()?;
        let options = GenerateOptions { inspect, ..from_object(options)? };
        self.decoder("generate")?.start(ids, options, entropy as u64).map(u32::from).map_err(to_js)
    }

    /// To be called after `start`: the generation continues as if it had generated these ids
    /// already. A model that was lost since has generated them.
    pub fn resume(&mut self, generation: u32, generated: &[u32]) -> Result<(), JsValue> {
        self.decoder("generate")?.resume(generation.into(), generated).map_err(to_js)
    }

    /// Runs one step of a generation: a chunk of the prompt or a token. An error ends this
    /// generation only.
    pub async fn next(&mut self, generation: u32) -> Result<Ts<Event>, JsValue> {
        to_object_with_bytes(&self.decoder("generate")?.next(generation.into()).await.map_err(to_js)?)
    }

    /// Sets the mask of tokens that may come next, one bit each, for a generation whose options say
    /// `constrained`.
    pub fn allow(&mut self, generation: u32, mask: Vec<u32>) -> Result<(), JsValue> {
        self.decoder("generate")?.allow(generation.into(), mask).map_err(to_js)
    }

    /// To be called after `allow`: this text must come next. Returns how many tokens now come that
    /// are not drawn, before which no mask is needed.
    pub fn force(&mut self, generation: u32, text: &str) -> Result<usize, JsValue> {
        self.decoder("generate")?.force(generation.into(), text).map_err(to_js)
    }

    /// To be asked before each `next` of a generation that takes drafts of another model: how many
    /// tokens it should draft now, then the tokens behind which. Empty if none are wanted.
    pub fn wanted_draft(&mut self, generation: u32) -> Result<Vec<u32>, JsValue> {
        let wanted = self.decoder("generate")?.wants_draft(generation.into());
        Ok(wanted.map(|(tokens, most)| [&[most as u32], tokens].concat()).unwrap_or_default())
    }

    /// Gives a generation the draft that it wants; an empty one if no more will come.
    pub fn give_draft(&mut self, generation: u32, ids: Vec<u32>) -> Result<(), JsValue> {
        self.decoder("generate")?.give_draft(generation.into(), ids).map_err(to_js)
    }

    /// The generation, which drafts for an answer of another model, continues `ids` from now on, by
    /// at most `most` tokens. What is computed of those that it began with before stays.
    pub fn restart(&mut self, generation: u32, ids: Vec<u32>, most: usize) -> Result<(), JsValue> {
        self.decoder("generate")?.restart_draft(generation.into(), ids, most).map_err(to_js)
    }

    /// Ends the answer: what was generated is all of it.
    pub fn finish(&mut self, generation: u32) -> Result<(), JsValue> {
        self.decoder("generate")?.finish(generation.into()).map_err(to_js)
    }

    /// The bytes of all tokens, one after the other. The bytes of a special token follow 0xFF.
    pub fn vocabulary_bytes(&self) -> Result<Vec<u8>, JsValue> {
        let tokenizer = self.model.tokenizer();
        tokenizer.check_text().map_err(to_js)?;
        Ok(tokenizer.vocabulary().0)
    }

    /// The end of each token in `vocabulary_bytes`.
    pub fn vocabulary_ends(&self) -> Vec<u32> {
        self.model.tokenizer().vocabulary().1
    }

    /// The special token with this name. No text contains it.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.model.tokenizer().special_ids(&[name.into()]).first().copied()
    }

    /// A token that ends an answer.
    pub fn end_id(&self) -> Option<u32> {
        self.model.tokenizer().ends().first().copied()
    }

    /// `prompt`, with the ids of `known` as far as they spell the same text.
    pub fn reuse(&mut self, known: &[u32], prompt: &[u32]) -> Result<Uint32Array, JsValue> {
        let ids = self.decoder("chat")?.reuse(known, prompt).map_err(to_js)?;
        Ok(Uint32Array::from(ids.as_slice()))
    }

    /// Begins to load an adapter; `config`: the text of PEFT's `adapter_config.json`, none for a
    /// GGUF file. Ends one that was begun before and is not complete.
    pub fn begin_adapter(&mut self, name: &str, config: Option<String>) -> Result<(), JsValue> {
        self.decoder("adapters")?.begin_adapter(name, config.as_deref()).map_err(to_js)
    }

    /// Takes the next bytes of the adapter. An error ends the load.
    pub async fn feed_adapter(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.decoder("adapters")?.feed_adapter(bytes).await.map_err(to_js)
    }

    /// To be called after the last byte.
    pub async fn finish_adapter(&mut self) -> Result<(), JsValue> {
        self.decoder("adapters")?.finish_adapter().await.map_err(to_js)
    }

    /// Frees an adapter that nothing uses.
    pub fn unload_adapter(&mut self, name: &str) -> Result<(), JsValue> {
        self.decoder("adapters")?.unload_adapter(name).map_err(to_js)
    }

    /// Makes an adapter part of whatever begins; with a scale of 0 no longer.
    pub fn merge_adapter(&mut self, name: &str, scale: f32) -> Result<(), JsValue> {
        self.decoder("adapters")?.merge_adapter(name, scale).map_err(to_js)
    }

    /// Sets the adapters of whatever begins from now on, and how much of each.
    pub fn use_adapters(&mut self, names: Vec<String>, scales: Vec<f32>) -> Result<(), JsValue> {
        // an encoder has none
        if names.is_empty() && matches!(self.model, LoadedModel::Encoder(_)) {
            return Ok(());
        }
        let uses: Vec<_> = names.into_iter().zip(scales).map(|(name, scale)| AdapterUse { name, scale }).collect();
        self.decoder("adapters")?.use_adapters(&uses).map_err(to_js)
    }

    /// Identifies an adapter by what it adds.
    pub fn adapter_fingerprint(&mut self, name: &str) -> Result<String, JsValue> {
        self.decoder("adapters")?.adapter_fingerprint(name).map_err(to_js)
    }

    /// The same of all that `use_adapters` set, with their scales, and those that are merged.
    pub fn adapters_fingerprint(&mut self) -> Result<String, JsValue> {
        Ok(self.decoder("generate")?.adapters_fingerprint())
    }

    /// Keys and values of `ids` in one layer: those computed here, or those that were restored for
    /// the owner `restored`.
    pub async fn read_kv(
        &mut self,
        ids: Vec<u32>,
        layer: usize,
        restored: Option<u32>,
    ) -> Result<Float32Array, JsValue> {
        let values = self.decoder("generate")?.read_kv(layer, &ids, restored).await.map_err(to_js)?;
        Ok(Float32Array::from(values.as_slice()))
    }

    /// Begins to restore keys and values of `ids`, which only `owner` may continue from. Returns a
    /// handle, which ends with `stop`.
    pub fn restore(&mut self, ids: Vec<u32>, owner: u32) -> Result<u32, JsValue> {
        self.decoder("generate")?.restore(ids, owner).map(u32::from).map_err(to_js)
    }

    /// Writes the result of `read_kv` for one layer.
    pub async fn write_kv(&mut self, restoring: u32, layer: usize, values: Vec<f32>) -> Result<(), JsValue> {
        self.decoder("generate")?.write_kv(restoring.into(), layer, &values).await.map_err(to_js)
    }

    /// To be called after every layer was written: the owner may continue from there.
    pub async fn restored(&mut self, restoring: u32) -> Result<(), JsValue> {
        self.decoder("generate")?.restored(restoring.into()).await.map_err(to_js)
    }

    /// What keys and values depend on beside tokens, as text, under the adapters of what begins
    /// now.
    pub fn kv_key(&mut self) -> Result<String, JsValue> {
        Ok(self.decoder("generate")?.kv_key())
    }

    /// How many of these tokens are in the KV cache, and of how many, in whole blocks, more than
    /// one text goes on.
    pub fn remembered(&mut self, ids: &[u32]) -> Result<Vec<u32>, JsValue> {
        Ok(self.decoder("generate")?.remembered(ids).map(|count| count as u32).to_vec())
    }

    /// The block of the KV cache with the last of these tokens, in its own format.
    pub async fn read_block(&mut self, ids: Vec<u32>) -> Result<Vec<u8>, JsValue> {
        self.decoder("generate")?.read_block(&ids).await.map_err(to_js)
    }

    /// Writes the result of `read_block` on a model with the same `kv_key`. Any prompt may use it.
    pub async fn write_block(&mut self, ids: Vec<u32>, bytes: Vec<u8>) -> Result<(), JsValue> {
        self.decoder("generate")?.write_block(&ids, &bytes).await.map_err(to_js)
    }

    /// Number of tokens that a generation dropped after `shiftBehind`.
    pub fn dropped_tokens(&self, generation: u32) -> usize {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.dropped_tokens(generation.into()),
            LoadedModel::Encoder(_) => 0,
        }
    }

    /// How many tokens a generation drafted, and how many of these it took.
    pub fn speculated(&self, generation: u32) -> Vec<u32> {
        let Speculated { drafted, accepted } = match &self.model {
            LoadedModel::Decoder(decoder) => decoder.speculated(generation.into()),
            LoadedModel::Encoder(_) => Speculated::default(),
        };
        vec![drafted as u32, accepted as u32]
    }

    /// Ends a generation, a restore or an inspection and forgets its handle. To be called once for
    /// each, also after its end or an error.
    pub fn stop(&mut self, handle: u32) {
        self.model.stop(handle.into());
    }

    /// Number of a generation's prompt tokens that were in the KV cache.
    pub fn cached_tokens(&self, generation: u32) -> usize {
        match &self.model {
            LoadedModel::Decoder(decoder) => decoder.cached_tokens(generation.into()),
            LoadedModel::Encoder(_) => 0,
        }
    }

    /// The vectors of the first of these texts, at least of one. An error is about the first.
    pub async fn embed(&mut self, texts: Vec<String>, options: Ts<EmbedOptions>) -> Result<Vec<Float32Array>, JsValue> {
        let options = from_object(options)?;
        let vectors = self.model.embed(&texts, options).await.map_err(to_js)?;
        Ok(vectors.iter().map(|vector| Float32Array::from(vector.as_slice())).collect())
    }

    /// The labels of a text, or of two texts that are read together; most likely first.
    pub async fn classify(
        &mut self,
        text: String,
        pair: Option<String>,
        truncate: bool,
    ) -> Result<Ts<LabelScores>, JsValue> {
        let encoder = self.model.encoder("classify").map_err(to_js)?;
        to_object(&LabelScores(encoder.classify(&text, pair.as_deref(), truncate).await.map_err(to_js)?))
    }

    /// How well `document` answers `query`.
    pub async fn rerank(&mut self, query: String, document: String, truncate: bool) -> Result<Ts<LabelScore>, JsValue> {
        to_object(&self.model.rerank(&query, &document, truncate).await.map_err(to_js)?)
    }

    /// The most likely label of each token.
    pub async fn classify_tokens(&mut self, text: String, truncate: bool) -> Result<Ts<TokenLabels>, JsValue> {
        let encoder = self.model.encoder("classifyTokens").map_err(to_js)?;
        to_object(&TokenLabels(encoder.classify_tokens(&text, truncate).await.map_err(to_js)?))
    }

    /// The most likely tokens for each mask of a text, best first.
    pub async fn fill_mask(&mut self, text: String, top_k: usize, truncate: bool) -> Result<Ts<Fillings>, JsValue> {
        let encoder = self.model.encoder("fillMask").map_err(to_js)?;
        to_object(&Fillings(encoder.fill_mask(&text, top_k, truncate).await.map_err(to_js)?))
    }
}
