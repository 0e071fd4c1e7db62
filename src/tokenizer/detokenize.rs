//! Ids → text, one at a time.
//!
//! A token can end in the middle of a UTF-8 character (an emoji is often two or three tokens), so bytes that
//! may still become a character wait for the next token. Bytes that can become none turn into U+FFFD at once, by the
//! same rule as [`String::from_utf8_lossy`]: the pieces joined are what decoding everything at once gives.
//!
//! A stream continues a prompt, so a space at its start is text and stays; only [`Tokenizer::decode`], which is given a
//! text from its beginning, takes the space prefix off.

use super::Tokenizer;
use crate::Result;

/// The state of one stream of ids; owns what it needs, so that it can outlive a borrow of the tokenizer.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    skip_special: bool,
    /// Special tokens that are not skipped.
    keep: Vec<u32>,
    /// Begin of a character, at most 3 bytes between calls.
    pending: Vec<u8>,
}

impl Detokenizer {
    /// A stream that has seen nothing. With `skip_special`, control and unknown tokens give no text.
    pub fn new(skip_special: bool) -> Self {
        Self { skip_special, ..Self::default() }
    }

    /// A stream in which of all special tokens only those of `ids` give their names.
    pub fn keeping(ids: Vec<u32>) -> Self {
        Self { skip_special: true, keep: ids, pending: Vec::new() }
    }

    /// The text that `id` completes, possibly empty. `tokenizer` must be the same at each call.
    ///
    /// # Errors
    /// [`crate::Error::Tokenize`] for an id outside the vocabulary; the stream is as before.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        if !(self.skip_special && tokenizer.is_special(id) && !self.keep.contains(&id)) {
            tokenizer.push_bytes(id, &mut self.pending)?;
        }
        Ok(self.take_characters())
    }

    /// Ends the stream: U+FFFD for a character that was cut, else nothing.
    pub fn flush(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }

    fn take_characters(&mut self) -> String {
        let mut text = String::new();
        loop {
            let (valid, invalid) = match std::str::from_utf8(&self.pending) {
                Ok(valid) => (valid, Some(0)),
                Err(error) => {
                    let (valid, _) = self.pending.split_at(error.valid_up_to());
                    (std::str::from_utf8(valid).unwrap_or_default(), error.error_len())
                }
            };
            text.push_str(valid);
            let mut done = valid.len();
            if let Some(invalid @ 1..) = invalid {
                text.push(char::REPLACEMENT_CHARACTER);
                done += invalid;
            }
            self.pending.drain(..done);
            // `None`: the end of the bytes may still become a character.
            if self.pending.is_empty() || invalid.is_none() {
                return text;
            }
        }
    }
}
