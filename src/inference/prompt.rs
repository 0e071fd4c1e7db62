//! Prompts: a conversation in the model's template, and ids reused from earlier turns.

use super::LoadedDecoder;
use crate::Result;
use crate::tokenizer::{Conversation, RenderOptions, Text};

/// Whether a conversation has tools; an empty list counts as none.
fn has_tools(tools: Option<&serde_json::Value>) -> bool {
    tools.is_some_and(|tools| tools.as_array().is_none_or(|tools| !tools.is_empty()) && !tools.is_null())
}

impl LoadedDecoder {
    /// The prompt of a conversation in the model's template, ready for the answer unless the
    /// conversation is complete. `now`: seconds since 1970 on the user's clock, for templates that
    /// print the date. Special tokens in the conversation's text are plain text. Errors:
    /// `ChatTemplate`.
    pub fn chat_prompt(&self, conversation: &Conversation, now: i64) -> Result<Vec<u32>> {
        self.tokenizer.check_text()?;
        let named = conversation.template.as_deref();
        let template = self.chat_templates.choose(named, has_tools(conversation.tools.as_ref()))?;
        let token = |id: Option<u32>| id.and_then(|id| self.tokenizer.token(id)).unwrap_or_default();
        let Conversation { messages, tools, variables, complete, prefix, .. } = conversation;
        let options = RenderOptions {
            add_generation_prompt: !complete,
            bos_token: token(self.tokenizer.bos()),
            eos_token: token(self.tokenizer.eos()),
            tools: tools.as_ref(),
            now: Some(now),
            extra: variables.clone(),
        };
        let text = [template.render(messages, &options)?, Text::given(prefix)];
        self.tokenizer.encode_rendered(&text.into_iter().collect())
    }

    /// The prompt for a gap between `before`, the ids of a text, and `behind`, plain text. A model
    /// that was not trained to fill gaps can continue `before` if `behind` is empty. Errors:
    /// `UnsupportedTask`, `Tokenize`.
    pub fn infill(&self, before: &[u32], behind: &str) -> Result<Vec<u32>> {
        if behind.is_empty() && !self.tokenizer.fills_gaps() {
            let bos = self.tokenizer.bos().filter(|bos| self.tokenizer.adds_bos() && before.first() != Some(bos));
            return Ok(bos.into_iter().chain(before.iter().copied()).collect());
        }
        let needs = "a model that was trained to fill in the middle, such as a coder, with its tokens";
        self.tokenizer.infill(before, behind)?.ok_or_else(|| self.cannot("suffix", needs))
    }

    /// `prompt` with the ids of `known` as far as they spell the same text. A model often writes
    /// its text in other tokens than the tokenizer's, and only the ids that it wrote are in the KV
    /// cache. Errors: `Tokenize` for unknown ids.
    pub fn reuse(&self, known: &[u32], prompt: &[u32]) -> Result<Vec<u32>> {
        let ((old, old_ends), (new, new_ends)) = (self.spell(known)?, self.spell(prompt)?);
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let within = &old_ends[..old_ends.partition_point(|&end| end <= same)];
        let common = within.iter().enumerate().rev().find_map(|(i, end)| {
            let j = new_ends.binary_search(end).ok()?;
            Some((i + 1, j + 1))
        });
        let (taken, replaced) = common.unwrap_or_default();
        Ok([&known[..taken], &prompt[replaced..]].concat())
    }

    /// The bytes of all tokens, and where each ends. Structure, and tokens without text, become
    /// 0xFF, which no text contains, and their id.
    fn spell(&self, ids: &[u32]) -> Result<(Vec<u8>, Vec<usize>)> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(ids.len()));
        for &id in ids {
            let spelled = self.tokenizer.token_bytes(id)?;
            if spelled.is_empty() || self.tokenizer.is_structure(id) {
                bytes.push(0xff);
                bytes.extend(id.to_le_bytes());
            } else {
                bytes.extend(spelled);
            }
            ends.push(bytes.len());
        }
        Ok((bytes, ends))
    }
}
