//! A model in any form that is read, its weights quantised on the way where that is wanted.

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
    /// Of a folder of transformers, or of GGUF files without one. `quantize`: [`Quantize::usual`] where nobody says.
    pub fn new(folder: Option<Folder>, quantize: Option<Quantize>) -> Self {
        let quantize = quantize.unwrap_or(Quantize::usual(folder.is_some()));
        let form = match folder {
            None => Form::Gguf(GgufReader::new()),
            Some(folder) => Form::Folder(Box::new(FolderReader::new(folder))),
        };
        Self { form, quantize }
    }

    /// Takes the next bytes, and calls `sink` with what they complete. Errors: those of [`GgufReader::feed`] and [`FolderReader::feed`].
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let mut quantizing = Quantizing { quantize: self.quantize, sink };
        match &mut self.form {
            Form::Gguf(reader) => reader.feed(bytes, &mut quantizing),
            Form::Folder(reader) => reader.feed(bytes, &mut quantizing),
        }
    }

    /// Goes on as if the weights of the file at hand had been read, once its header was: for who wants the headers only.
    pub fn skip_rows(&mut self) {
        match &mut self.form {
            Form::Gguf(reader) => reader.skip_rows(),
            Form::Folder(reader) => reader.skip_rows(),
        }
    }

    /// To be called when a file has ended that is not the last. Errors: `TruncatedFile`, of a folder; the parts of a split GGUF
    /// file are one stream.
    pub fn end_file(&self) -> Result<()> {
        match &self.form {
            Form::Gguf(_) => Ok(()),
            Form::Folder(reader) => reader.end_file(),
        }
    }

    /// To be called when the last file has ended. Errors: `TruncatedFile`.
    pub fn finish(&self) -> Result<()> {
        match &self.form {
            Form::Gguf(reader) => reader.finish(),
            Form::Folder(reader) => reader.finish(),
        }
    }

    /// Bytes of all files, once the header of the last was read.
    pub fn total_bytes(&self) -> Option<u64> {
        match &self.form {
            Form::Gguf(reader) => reader.total_bytes(),
            Form::Folder(reader) => reader.total_bytes(),
        }
    }
}
