//! Loads a model, or estimates its memory.

use serde::Deserialize;
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;

use super::llm::Llm;
use super::values::{from_object, to_js, to_object};
use crate::Error;
use crate::engine::{self, Device, Hints};
use crate::format::{Folder, ModelReader, Quantize};
use crate::inference::{self, Estimate, Loading};
use crate::model::{Context, RopeScaling};
use crate::record::KvFormat;

/// Options of a [`Loader`].
#[derive(Deserialize, Tsify)]
#[serde(rename_all = "camelCase")]
#[tsify(missing_as_null)]
pub struct LoaderOptions {
    /// Which engine to open.
    device: Device,
    /// Result of [`Loader::tuning`] on an earlier visit with the same GPU.
    tuning: Option<String>,
    /// `vendor` and `architecture` of the GPU; null if they are not known.
    #[tsify(type = "readonly [string, string] | null")]
    gpu: Option<[String; 2]>,
    /// Whether the GPU has subgroups and the worker requests them.
    #[serde(default)]
    subgroups: bool,
    /// Most bytes of keys and values that are kept for later prompts. Null: those of two full
    /// contexts.
    prefix_bytes: Option<f64>,
    #[serde(flatten)]
    source: SourceOptions,
}

/// Options of an [`Estimator`].
#[derive(Deserialize, Tsify)]
#[serde(rename_all = "camelCase")]
#[tsify(missing_as_null)]
pub struct EstimatorOptions {
    /// `vendor` and `architecture` of the adapter whose time is estimated; null: no time.
    #[tsify(type = "readonly [string, string] | null")]
    gpu: Option<[String; 2]>,
    #[serde(flatten)]
    source: SourceOptions,
}

/// What to read, and how.
#[derive(Deserialize, Tsify)]
#[serde(rename_all = "camelCase")]
#[tsify(missing_as_null)]
pub struct SourceOptions {
    /// Maximum number of tokens in the context. Null: what the model was trained for, at most 2048.
    context_length: Option<usize>,
    /// How RoPE is scaled for a longer context. Null: as the file says.
    #[tsify(type = "RopeScaling | null")]
    rope_scaling: Option<RopeScaling>,
    /// Name of the folder in the format of transformers; null for GGUF.
    folder: Option<String>,
    /// The type that weights are converted to. Null: `q8_0` for a folder, `none` for GGUF.
    #[tsify(type = "Quantize | null")]
    quantize: Option<String>,
    /// The format of keys and values. Null: what suits the engine, and `f32` in an estimate.
    #[tsify(type = "KvFormat | null")]
    kv_cache: Option<String>,
}

impl SourceOptions {
    /// `files`: name and text of each small file of the folder, one after the other.
    fn reader(&self, files: &[String]) -> Result<ModelReader, Error> {
        let quantize = self.quantize.as_deref().map(Quantize::named).transpose()?;
        let text =
            |name: &str| files.as_chunks::<2>().0.iter().find(|[file, _]| file == name).map(|[_, text]| text.as_str());
        let folder = self.folder.as_deref().map(|name| Folder::new(name, text)).transpose()?;
        Ok(ModelReader::new(folder, quantize))
    }

    fn context(&self) -> Context {
        Context { length: self.context_length, scaling: self.rope_scaling }
    }

    fn kv_format(&self) -> Result<Option<KvFormat>, Error> {
        self.kv_cache.as_deref().map(|name| KvFormat::named("kvCache", name)).transpose()
    }
}

/// A model that is being loaded.
#[wasm_bindgen]
pub struct Loader(Loading);

impl Loader {
    pub(super) fn of(loading: Loading) -> Self {
        Self(loading)
    }

    pub(super) fn into_inner(self) -> Loading {
        self.0
    }
}

#[wasm_bindgen]
impl Loader {
    /// Opens an engine. `files`: name and text of each small file of a folder, one after the other;
    /// none for GGUF.
    pub async fn create(options: Ts<LoaderOptions>, files: Vec<String>) -> Result<Loader, JsValue> {
        let options = from_object(options)?;
        let reader = options.source.reader(&files).map_err(to_js)?;
        let kv_format = options.source.kv_format().map_err(to_js)?;
        drop(files);
        let family = options.gpu.as_ref().map_or([""; 2], |names| names.each_ref().map(String::as_str));
        let hints =
            Hints { tuning: options.tuning.as_deref(), subgroups: options.subgroups, family, ..Hints::default() };
        let opened = engine::open(options.device, hints).await.map_err(to_js)?;
        let mut loading = Loading::opened(opened, reader, options.source.context());
        loading.set_kv_format(kv_format);
        loading.set_prefix_bytes(options.prefix_bytes.map(|bytes| bytes as u64));
        Ok(Self(loading))
    }

    /// `gpu` or `cpu`; undefined while the CPU may take the place of a GPU that fails its test,
    /// which it takes when the first header was fed.
    pub fn engine_kind(&self) -> Option<String> {
        let kind = self.0.engine().info().kind;
        (kind == "cpu" || self.0.is_placed()).then(|| kind.into())
    }

    /// What was found to be fastest on this GPU, to be remembered as the `tuning` of the next
    /// visit; undefined without a GPU, and until its `engine_kind` is known.
    pub fn tuning(&self) -> Option<String> {
        self.0.engine().tuning()
    }

    /// Bytes of all files together, if they are known. To be called before the first `feed`.
    pub fn set_stream_bytes(&mut self, bytes: f64) {
        self.0.set_stream_bytes(bytes as u64);
    }

    /// Takes the next bytes of a file. Waits while the engine cannot take more, and while a GPU
    /// finds out what is fastest for the model.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.0.feed(bytes).await.map_err(to_js)
    }

    /// To be called before the bytes of the next file.
    pub fn end_file(&self) -> Result<(), JsValue> {
        self.0.end_file().map_err(to_js)
    }

    /// Bytes of the whole file according to its header; undefined until the header was read.
    pub fn total_bytes(&self) -> Option<f64> {
        self.0.total_bytes().map(|bytes| bytes as f64)
    }

    /// To be called after the last byte.
    pub async fn finish(self) -> Result<Llm, JsValue> {
        let reason = self.0.reason().to_string();
        let mut model = self.0.finish_any().await.map_err(to_js)?;
        model.warm_up().await.map_err(to_js)?;
        Ok(Llm::new(model, reason))
    }
}

/// Reads the headers of a model's files and estimates the memory that it needs.
#[wasm_bindgen]
pub struct Estimator(inference::Estimator);

#[wasm_bindgen]
impl Estimator {
    /// `files` as for a [`Loader`].
    #[wasm_bindgen(constructor)]
    pub fn new(options: Ts<EstimatorOptions>, files: Vec<String>) -> Result<Estimator, JsValue> {
        let EstimatorOptions { gpu, source } = from_object(options)?;
        let reader = source.reader(&files).map_err(to_js)?;
        let mut estimator = inference::Estimator::new(reader, source.context());
        if let Some(format) = source.kv_format().map_err(to_js)? {
            estimator.set_kv_format(format);
        }
        if let Some([vendor, architecture]) = &gpu {
            estimator.set_gpu(vendor, architecture);
        }
        Ok(Self(estimator))
    }

    /// Takes the next bytes of a file. Returns whether its header is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, JsValue> {
        self.0.feed(bytes).map_err(to_js)
    }

    /// To be called before the bytes of the next file.
    pub fn end_file(&mut self) -> Result<(), JsValue> {
        self.0.end_file().map_err(to_js)
    }

    /// To be called after the last header.
    pub fn finish(self) -> Result<Ts<Estimate>, JsValue> {
        to_object(&self.0.finish().map_err(to_js)?)
    }
}
