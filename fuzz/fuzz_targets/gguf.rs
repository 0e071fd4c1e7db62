//! A file of any bytes: the reader gives the same result for any chunks, and loading gives at most
//! an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_fuzz::{CONTEXT, load, no_bug, pieces};
use weft_llm::Result;
use weft_llm::format::{GgufReader, Header, Sink, TensorInfo};

#[derive(Default, Debug)]
struct Keep {
    headers: Vec<Header>,
    /// Rows of all tensors, concatenated.
    rows: Vec<u8>,
}

impl Sink for Keep {
    fn header(&mut self, header: Header) -> Result<()> {
        self.headers.push(header);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        assert!(!rows.is_empty() && rows.len().is_multiple_of(tensor.row_bytes()));
        assert!(first_row + rows.len() / tensor.row_bytes() <= tensor.rows());
        self.rows.extend_from_slice(rows);
        Ok(())
    }
}

/// The calls of the reader, and the code of its error. Messages may depend on the chunks.
fn read(pieces: &[&[u8]]) -> (Keep, Result<(), &'static str>) {
    let (mut keep, mut reader) = (Keep::default(), GgufReader::new());
    let fed = pieces.iter().try_for_each(|piece| reader.feed(piece, &mut keep));
    let result = fed.and_then(|()| reader.finish());
    if let (Ok(()), [header]) = (&result, &keep.headers[..]) {
        assert_eq!(reader.total_bytes(), Some(header.file_bytes));
        assert_eq!(keep.rows.len() as u64, header.tensors.iter().map(TensorInfo::bytes).sum::<u64>());
    }
    (keep, result.map_err(|error| error.code()))
}

fuzz_target!(|file: &[u8]| {
    // compared as text, in which NaN equals NaN
    let text = |pieces: &[&[u8]]| format!("{:?}", read(pieces));
    assert!(text(&[file]) == text(&pieces(file)));
    no_bug(load(file, Some(CONTEXT)));
});
