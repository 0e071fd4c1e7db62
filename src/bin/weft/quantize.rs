//! `weft quantize`: writes a model as a quantised GGUF file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use weft_llm::Result;
use weft_llm::format::{GgufFile, Header, Metadata, Sink, TensorInfo, Value};
use weft_llm::model::write_vocabulary;

use super::files::{Files, io_error};

/// The combined headers of all files.
#[derive(Default)]
struct Headers {
    count: usize,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
}

impl Sink for Headers {
    fn header(&mut self, header: Header) -> Result<()> {
        if self.count == 0 {
            self.metadata = header.metadata;
        }
        self.count += 1;
        self.tensors.extend(header.tensors);
        Ok(())
    }

    fn rows(&mut self, _: &TensorInfo, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Writes the model to `out`, row by row. Removes an incomplete file after an error.
pub fn quantize(files: &Files, out: &Path) -> Result<()> {
    let Headers { mut metadata, tensors, .. } = headers(files)?;
    metadata.remove(|key| key.starts_with("split.") || key == "general.alignment");
    if let Some(file_type) = files.quantize().file_type() {
        metadata.insert("general.file_type", file_type);
    }
    metadata.insert("general.quantization_version", Value::U32(2));
    write_vocabulary(&mut metadata)?;
    let name = out.display().to_string();
    let file = File::create_new(out).map_err(|error| io_error(&name, &error))?;
    let written = GgufFile::create(BufWriter::new(file), &name, &metadata, &tensors).and_then(|mut file| {
        files.feed(&mut file)?;
        file.finish()
    });
    if written.is_err() {
        // the first error matters more than one of this call
        let _ = std::fs::remove_file(out);
    }
    written
}

fn headers(files: &Files) -> Result<Headers> {
    let (mut reader, mut headers) = (files.reader()?, Headers::default());
    let mut read = 0;
    files.read(|bytes| {
        if bytes.is_empty() {
            reader.end_file()?;
            reader.skip_rows();
            return Ok(true);
        }
        reader.feed(bytes, &mut headers)?;
        let more = headers.count == read;
        read = headers.count;
        if !more {
            reader.skip_rows();
        }
        Ok(more)
    })?;
    reader.finish()?;
    Ok(headers)
}
