//! Shared by the targets.

use pollster::block_on;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::inference::{Event, GenerationId, LoadedDecoder, Loading};
use weft_llm::{Error, Result};

#[path = "../../tests/support/mod.rs"]
pub mod support;

use support::Rng;

/// Positions of the KV cache: enough for a prompt of two chunks, and quick.
pub const CONTEXT: usize = 40;

/// Cuts `bytes` at places that depend only on the bytes: an input is a plain file, and a crash is
/// reproducible.
pub fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let seed = bytes.iter().fold(0u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let mut rng = Rng::new(seed);
    let longest = [1, 9, 100, 5000][rng.below(4)];
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.below(longest + 1).min(rest.len()));
        pieces.push(piece);
        rest = later;
    }
    pieces
}

/// Loads a file onto the reference engine, in chunks like the worker.
pub fn load(file: &[u8], context: Option<usize>) -> Result<LoadedDecoder> {
    let mut loading = Loading::new(Box::new(HostEngine::new(Reference)), context);
    loading.set_stream_bytes(file.len() as u64);
    for piece in pieces(file) {
        block_on(loading.feed(piece))?;
    }
    let mut decoder = block_on(loading.finish())?;
    block_on(decoder.warm_up())?;
    Ok(decoder)
}

/// The text of a started generation, to its end or for `steps` steps.
pub fn run(decoder: &mut LoadedDecoder, generation: GenerationId, steps: usize) -> Result<String> {
    let mut answer = String::new();
    for _ in 0..steps {
        match block_on(decoder.next(generation))? {
            Event::Prompt { done, total } => assert!(done < total),
            Event::Token { text, .. } => answer += &text,
            Event::End { text, .. } => {
                answer += &text;
                break;
            }
        }
    }
    Ok(answer)
}

/// Panics on an internal error: bad input must never cause one.
pub fn no_bug<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error @ Error::Internal { .. }) => panic!("{error}"),
        Err(_) => None,
    }
}
