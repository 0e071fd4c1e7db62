//! A model on disk: a GGUF file, the parts of a split one, or a folder of transformers.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use weft_llm::format::{Folder, ModelReader, Quantize, Sink};
use weft_llm::inference::{Estimate, Estimator};
use weft_llm::model::Context;
use weft_llm::record::KvFormat;
use weft_llm::{Error, Result};

/// Bytes per read.
pub const CHUNK: usize = 1 << 20;

/// The files of a model, and the type to quantise weights to.
pub struct Files {
    folder: Option<PathBuf>,
    paths: Vec<PathBuf>,
    quantize: Option<Quantize>,
}

impl Files {
    /// `paths`: GGUF files in order, a folder, or a safetensors file in one. Errors: `Io`;
    /// `InvalidModel` for a folder without a model.
    pub fn new(paths: &[PathBuf], quantize: Option<&str>) -> Result<Self> {
        let quantize = quantize.map(Quantize::named).transpose()?;
        let folder = match paths {
            [path] if path.is_dir() => Some(path.clone()),
            [path] if path.extension().is_some_and(|end| end == "safetensors") => {
                Some(path.parent().unwrap_or(Path::new("")).to_path_buf())
            }
            _ => None,
        };
        let mut files = Self { folder, paths: paths.to_vec(), quantize };
        if let Some((folder, path)) = files.read_folder()?.zip(files.folder.clone()) {
            files.paths = folder.shards().iter().map(|name| path.join(name)).collect();
        }
        Ok(files)
    }

    /// Creates a reader at the beginning.
    pub fn reader(&self) -> Result<ModelReader> {
        Ok(ModelReader::new(self.read_folder()?, self.quantize))
    }

    /// The type that weights are quantised to.
    pub fn quantize(&self) -> Quantize {
        self.quantize.unwrap_or(Quantize::usual(self.folder.is_some()))
    }

    fn read_folder(&self) -> Result<Option<Folder>> {
        let Some(path) = &self.folder else { return Ok(None) };
        let text = |name: &&'static str| Some((*name, std::fs::read_to_string(path.join(name)).ok()?));
        let texts: Vec<_> = Folder::FILES.iter().filter_map(text).collect();
        let name = path.canonicalize().unwrap_or_default();
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        Folder::new(&name, |file| texts.iter().find(|(name, _)| *name == file).map(|(_, text)| text.as_str())).map(Some)
    }

    /// Bytes of all files; u64::MAX if a size is unknown, so that the read itself gives the error.
    pub fn bytes(&self) -> u64 {
        let sizes = self.paths.iter().map(|path| std::fs::metadata(path).map(|metadata| metadata.len()));
        sizes.sum::<std::io::Result<u64>>().unwrap_or(u64::MAX)
    }

    /// Reads one file after the other. Calls `each` with the bytes, and with none at the end of
    /// each file; `each` returns whether it wants more of the file.
    pub fn read(&self, mut each: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        for path in &self.paths {
            let failed = |error| io_error(&path.display().to_string(), &error);
            let mut file = File::open(path).map_err(failed)?;
            loop {
                let count = file.read(&mut chunk).map_err(failed)?;
                if count == 0 || !each(&chunk[..count])? {
                    break;
                }
            }
            each(&[])?;
        }
        Ok(())
    }

    /// Passes all headers and rows to `sink`.
    pub fn feed(&self, sink: &mut dyn Sink) -> Result<()> {
        let mut reader = self.reader()?;
        self.read(|bytes| match bytes {
            [] => reader.end_file().map(|()| true),
            bytes => reader.feed(bytes, sink).map(|()| true),
        })?;
        reader.finish()
    }
}

/// Estimates the memory that the model needs, from its headers; keys and values are in f16 by
/// default, as both engines keep them.
pub fn estimate(files: &Files, context: Context, kv_format: Option<KvFormat>) -> Result<Estimate> {
    let mut estimator = Estimator::new(files.reader()?, context);
    estimator.set_kv_format(kv_format.unwrap_or(KvFormat::F16));
    files.read(|bytes| match bytes {
        [] => estimator.end_file().map(|()| true),
        bytes => estimator.feed(bytes).map(|over| !over),
    })?;
    estimator.finish()
}

/// An error of the operating system for a file.
pub fn io_error(what: &str, error: &std::io::Error) -> Error {
    Error::Io { what: what.into(), message: error.to_string() }
}
