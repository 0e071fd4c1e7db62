//! The push reader of GGUF: bytes in, headers and rows out.
//!
//! Chunks may have any size. Whole rows go from the chunk directly to the [`Sink`]; only a row that
//! is split between chunks is assembled in a buffer. So the reader holds one header item or one row
//! at a time.
//!
//! A split model (`split.count` in its metadata) is the concatenation of its shards, in order, as
//! if it were one file: callers need no other interface for it.
//!
//! Only padding may follow the last tensor. Other trailing bytes are an error: the header does not
//! describe the file, or files that are not the shards of one model were concatenated. Ignoring
//! them would silently leave out weights.

use std::collections::HashSet;

use super::header::{Header, HeaderParser, TensorInfo, invalid};
use crate::{Error, Result};

/// Receives what a [`GgufReader`] finds. An error stops the reader, whose caller gets it.
pub trait Sink {
    /// A header is complete. Called once per shard, before its rows.
    fn header(&mut self, header: Header) -> Result<()>;

    /// The next whole rows of a tensor; `first_row` is the index of the first.
    ///
    /// - rows: n × `tensor.row_bytes()`, in the file's block type
    ///
    /// Tensors come in the order of [`Header::tensors`], each with all its rows in order.
    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()>;
}

/// Reads a model from bytes that come in chunks: [`GgufReader::feed`] takes each, and
/// [`GgufReader::finish`] says whether all were there.
#[derive(Debug)]
pub struct GgufReader {
    state: State,
    /// What is done with a header first.
    translate: fn(&mut Header) -> Result<()>,
    shards: Shards,
    /// Bytes passed to earlier calls of `feed`.
    received: u64,
    total_bytes: Option<u64>,
}

#[derive(Debug)]
enum State {
    Header(Box<HeaderParser>),
    Rows(Rows),
    /// Up to `padding` zero bytes, then the next shard or the end.
    Tail {
        padding: u64,
    },
    Failed(Error),
}

impl Default for GgufReader {
    fn default() -> Self {
        Self::new()
    }
}

impl GgufReader {
    /// Creates a reader at the beginning of a file.
    pub fn new() -> Self {
        Self {
            state: State::Header(Box::new(HeaderParser::new())),
            translate: |_| Ok(()),
            shards: Shards::default(),
            received: 0,
            total_bytes: None,
        }
    }

    /// The same of a projector's file: see [`projector`](super::projector).
    pub fn of_projector() -> Self {
        Self { translate: super::projector::translate, ..Self::new() }
    }

    /// Takes the next bytes of the stream and calls `sink` with what they complete.
    ///
    /// After an error, every further call returns the same error.
    ///
    /// # Errors
    /// [`InvalidFile`](Error::InvalidFile), [`UnsupportedModel`](Error::UnsupportedModel) (for the
    /// GGUF version), [`UnsupportedTensorType`](Error::UnsupportedTensorType),
    /// [`InvalidModel`](Error::InvalidModel) (a key that the reader itself needs has the wrong
    /// type), and the errors of `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let result = self.advance(bytes, sink);
        self.received += bytes.len() as u64;
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn advance(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let mut input = bytes;
        loop {
            match &mut self.state {
                State::Header(parser) => {
                    let Some(mut header) = parser.feed(&mut input)? else { return Ok(()) };
                    self.shards.add(&header)?;
                    if self.shards.complete()? {
                        let header_end = self.received + (bytes.len() - input.len()) as u64;
                        self.total_bytes = Some(header_end - header.header_bytes + header.file_bytes);
                    }
                    (self.translate)(&mut header)?;
                    self.state = State::Rows(Rows::new(&header));
                    sink.header(header)?;
                }
                State::Rows(rows) => {
                    if !rows.feed(&mut input, sink)? {
                        return Ok(());
                    }
                    self.state = State::Tail { padding: rows.padding };
                }
                State::Tail { padding } => {
                    while let [0, rest @ ..] = input
                        && *padding > 0
                    {
                        input = rest;
                        *padding -= 1;
                    }
                    if input.is_empty() {
                        return Ok(());
                    }
                    if self.shards.complete()? {
                        let got = format!("{} bytes or more", input.len());
                        return Err(invalid("end of the file", "nothing after the last tensor", got));
                    }
                    self.state = State::Header(Box::new(HeaderParser::new()));
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Checks, at the end of the stream, that nothing is missing.
    ///
    /// # Errors
    /// [`TruncatedFile`](Error::TruncatedFile) naming the incomplete field or tensor;
    /// [`InvalidFile`](Error::InvalidFile) if the stream is shorter than any GGUF file, or shards
    /// are missing.
    pub fn finish(&self) -> Result<()> {
        match &self.state {
            State::Header(parser) => Err(parser.truncated()),
            State::Rows(rows) => rows.truncated(),
            State::Tail { .. } if self.shards.complete()? => Ok(()),
            State::Tail { .. } => {
                let (count, read) = (self.shards.count, self.shards.read);
                Err(invalid("split.count", format!("all {count} files of the model, in order"), format!("{read}")))
            }
            State::Failed(error) => Err(error.clone()),
        }
    }

    /// Skips the weights of the current file, for callers that need only the headers.
    pub fn skip_rows(&mut self) {
        if matches!(self.state, State::Rows(_) | State::Tail { .. }) {
            let over = self.shards.read >= self.shards.count;
            self.state = if over { State::Tail { padding: 0 } } else { State::Header(Box::new(HeaderParser::new())) };
        }
    }

    /// Length of the whole stream, including the padding at its end (which some writers leave out).
    /// Known after the header, or after the last shard's header of a split model.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }
}

/// The weights of one shard, in file order.
#[derive(Debug)]
struct Rows {
    tensors: Vec<TensorInfo>,
    alignment: u64,
    /// Index of the current tensor.
    tensor: usize,
    /// Index of its next row.
    row: usize,
    /// Bytes of that row from earlier chunks.
    carry: Vec<u8>,
    /// Bytes to skip before that row. After the last tensor: bytes that may follow.
    padding: u64,
}

impl Rows {
    fn new(header: &Header) -> Self {
        let padding = header.data_offset - header.header_bytes;
        let (tensors, alignment) = (header.tensors.clone(), header.alignment);
        Self { tensors, alignment, tensor: 0, row: 0, carry: Vec::new(), padding }
    }

    /// Passes the rows in `input` to `sink`. Returns whether the last one was among them.
    fn feed(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<bool> {
        while let Some(tensor) = self.tensors.get(self.tensor) {
            let skipped = input.len().min(usize::try_from(self.padding).unwrap_or(usize::MAX));
            *input = &input[skipped..];
            self.padding -= skipped as u64;
            if input.is_empty() {
                return Ok(false);
            }
            let row_bytes = tensor.row_bytes();
            if self.carry.is_empty() && input.len() >= row_bytes {
                let count = (input.len() / row_bytes).min(tensor.rows() - self.row);
                let (rows, rest) = input.split_at(count * row_bytes);
                *input = rest;
                sink.rows(tensor, self.row, rows)?;
                self.row += count;
            } else {
                let (taken, rest) = input.split_at(input.len().min(row_bytes - self.carry.len()));
                *input = rest;
                self.carry.extend_from_slice(taken);
                if self.carry.len() == row_bytes {
                    sink.rows(tensor, self.row, &self.carry)?;
                    self.row += 1;
                    self.carry.clear();
                }
            }
            if self.row == tensor.rows() {
                self.padding = tensor.bytes().next_multiple_of(self.alignment) - tensor.bytes();
                self.row = 0;
                self.tensor += 1;
            }
        }
        Ok(true)
    }

    /// The result for a stream that ends here.
    fn truncated(&self) -> Result<()> {
        let Some(tensor) = self.tensors.get(self.tensor) else { return Ok(()) };
        let got = self.row as u64 * tensor.row_bytes() as u64 + self.carry.len() as u64;
        Err(Error::TruncatedFile { field: format!("tensor `{}`", tensor.name), needed: tensor.bytes(), got })
    }
}

/// Totals over the files of a split model. Other models have one shard.
#[derive(Debug, Default)]
struct Shards {
    /// `split.count`, 1 if the model is not split.
    count: u32,
    /// Number of headers read.
    read: u32,
    /// `split.tensors.count`, if present.
    tensor_count: Option<u32>,
    /// Names of the tensors so far.
    names: HashSet<String>,
}

impl Shards {
    /// Checks the header of the next shard against those before it.
    fn add(&mut self, header: &Header) -> Result<()> {
        let metadata = &header.metadata;
        // llama.cpp writes 0 into files that are not split
        let count = metadata.opt_u32("split.count")?.unwrap_or(1).max(1);
        let number = metadata.opt_u32("split.no")?.unwrap_or(0);
        if self.read == 0 {
            self.count = count;
            self.tensor_count = metadata.opt_u32("split.tensors.count")?.filter(|_| count > 1);
        }
        if count != self.count {
            return Err(invalid("split.count", format!("{}, as in the first file", self.count), count.to_string()));
        }
        if number != self.read {
            let expected = format!("{}: give all {count} files of the model, in order", self.read);
            return Err(invalid("split.no", expected, number.to_string()));
        }
        self.read += 1;
        for tensor in &header.tensors {
            if !self.names.insert(tensor.name.clone()) {
                return Err(invalid(format!("tensor `{}`", tensor.name), "each tensor once", "a duplicate"));
            }
        }
        Ok(())
    }

    /// Whether the last shard's header was read. Errors: `InvalidFile` if the number of tensors is
    /// then wrong.
    fn complete(&self) -> Result<bool> {
        if self.read < self.count {
            return Ok(false);
        }
        match self.tensor_count {
            Some(count) if count as usize != self.names.len() => {
                Err(invalid("split.tensors.count", format!("{} tensors", self.names.len()), count.to_string()))
            }
            _ => Ok(true),
        }
    }
}
