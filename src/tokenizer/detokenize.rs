//! Ids → text, token by token.
//!
//! A token can end inside a UTF-8 character (an emoji is often two or three tokens), so bytes that
//! may still become a character wait for the next token. Bytes that cannot become one turn into
//! U+FFFD at once, by the rule of [`String::from_utf8_lossy`]: the joined pieces equal the text
//! decoded at once.
//!
//! A stream continues a prompt, so a space at its start is text and stays. Only
//! [`Tokenizer::decode`], which sees a text from its beginning, removes the space prefix.

use super::Tokenizer;
use crate::Result;

/// State of one stream of ids. Owns its data, so that it can outlive a borrow of the tokenizer.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    skip_special: bool,
    /// Special tokens that are shown despite `skip_special`.
    keep: Vec<u32>,
    /// Beginning of a character; at most 3 bytes between calls.
    pending: Vec<u8>,
}

impl Detokenizer {
    /// Starts a stream. With `skip_special`, control and unknown tokens give no text.
    pub fn new(skip_special: bool) -> Self {
        Self { skip_special, ..Self::default() }
    }

    /// Starts a stream that shows the special tokens `ids` and skips all others.
    pub fn keeping(ids: Vec<u32>) -> Self {
        Self { skip_special: true, keep: ids, pending: Vec::new() }
    }

    /// Returns the text that `id` completes, possibly none. Pass the same `tokenizer` in every
    /// call.
    ///
    /// # Errors
    /// [`crate::Error::Tokenize`] for an id outside the vocabulary; the stream does not change.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        if !(self.skip_special && tokenizer.is_special(id) && !self.keep.contains(&id)) {
            tokenizer.push_bytes(id, &mut self.pending)?;
        }
        Ok(self.take_characters())
    }

    /// Ends the stream. Returns U+FFFD if a character is incomplete, otherwise nothing.
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
            // `None`: the last bytes may still become a character.
            if self.pending.is_empty() || invalid.is_none() {
                return text;
            }
        }
    }
}
