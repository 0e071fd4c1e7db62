//! Reads a model in any supported form, and quantises its weights on request.

use super::hugging_face::{Folder, FolderReader};
use super::quantize::{Quantize, Quantizing};
use super::{GgufReader, Sink};
use crate::Result;

/// Reads a model from the bytes of its files, one after the other.
#[derive(Debug)]
pub struct ModelReader {
    form: Form,
    quantize: Quantize,
}

#[derive(Debug)]
enum Form {
    Gguf(GgufReader),
    Folder(Box<FolderReader>),
}

impl Default for ModelReader {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl ModelReader {
    /// Creates a reader of a folder of transformers, or of GGUF files if there is none. `quantize`:
    /// [`Quantize::usual`] by default.
    pub fn new(folder: Option<Folder>, quantize: Option<Quantize>) -> Self {
        let quantize = quantize.unwrap_or(Quantize::usual(folder.is_some()));
        let form = match folder {
            None => Form::Gguf(GgufReader::new()),
            Some(folder) => Form::Folder(Box::new(FolderReader::new(folder))),
        };
        Self { form, quantize }
    }

    /// Creates a reader of the GGUF file of a projector.
    pub fn of_projector() -> Self {
        Self { form: Form::Gguf(GgufReader::of_projector()), quantize: Quantize::usual(false) }
    }

    /// Takes the next bytes and calls `sink` with what they complete. Errors: those of
    /// [`GgufReader::feed`] and [`FolderReader::feed`].
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let mut quantizing = Quantizing { quantize: self.quantize, sink };
        match &mut self.form {
            Form::Gguf(reader) => reader.feed(bytes, &mut quantizing),
            Form::Folder(reader) => reader.feed(bytes, &mut quantizing),
        }
    }

    /// Skips the weights of the current file after its header, for callers that need only the
    /// headers.
    pub fn skip_rows(&mut self) {
        match &mut self.form {
            Form::Gguf(reader) => reader.skip_rows(),
            Form::Folder(reader) => reader.skip_rows(),
        }
    }

    /// Call at the end of each file but the last. Errors: `TruncatedFile` for a folder; the parts
    /// of a split GGUF file are one stream and are not checked here.
    pub fn end_file(&self) -> Result<()> {
        match &self.form {
            Form::Gguf(_) => Ok(()),
            Form::Folder(reader) => reader.end_file(),
        }
    }

    /// Call at the end of the last file. Errors: `TruncatedFile`.
    pub fn finish(&self) -> Result<()> {
        match &self.form {
            Form::Gguf(reader) => reader.finish(),
            Form::Folder(reader) => reader.finish(),
        }
    }

    /// Bytes of all files, after the last header.
    pub fn total_bytes(&self) -> Option<u64> {
        match &self.form {
            Form::Gguf(reader) => reader.total_bytes(),
            Form::Folder(reader) => reader.total_bytes(),
        }
    }
}
