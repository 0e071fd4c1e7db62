//! Embeddings: token vectors → one vector per text.

use serde::Deserialize;

use super::LoadedDecoder;
use super::runner::Runner;
use super::sequences::Sequence;
use crate::engine::Engine;
use crate::model::encoder_config::Pooling;
use crate::sampling::check_logits;
use crate::tokenizer::EncodeOptions;
use crate::{Error, Result};

/// How to embed. Names and defaults are those of the TypeScript package.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EmbedOptions {
    /// Default: as the model's file says, else `mean`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub pooling: Option<Pooling>,
    /// Scales vectors to length 1, so that their dot product is the cosine similarity. Default
    /// true.
    pub normalize: bool,
    /// Cuts off the end of a text that is too long, instead of failing with `CONTEXT_OVERFLOW`.
    /// Default false.
    pub truncate: bool,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self { pooling: None, normalize: true, truncate: false }
    }
}

/// (tokens, width) → (width)
pub(super) fn pool(hidden: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    let tokens = hidden.len() / width;
    let row = |t: usize| hidden[t * width..][..width].to_vec();
    match pooling {
        Pooling::Cls => row(0),
        Pooling::Last => row(tokens - 1),
        Pooling::Mean => {
            let column = |i| hidden.iter().skip(i).step_by(width).sum::<f32>();
            (0..width).map(|i| column(i) / tokens as f32).collect()
        }
    }
}

/// Scales to length 1; zero stays zero.
pub(super) fn normalized(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v /= length);
    }
    vector
}

impl LoadedDecoder {
    /// The embedding of a text, (hidden): pooled, or the last token's output of the model. Errors:
    /// `UnsupportedTask`, `TextTooLong`, `InvalidOption` for a text without tokens.
    pub async fn embed(&mut self, text: &str, options: EmbedOptions) -> Result<Vec<f32>> {
        let pooling = options.pooling.or(self.runner.decoder.config.pooling);
        if pooling != Some(Pooling::Last) || self.runner.decoder.config.pooling.is_none() {
            let needs =
                "an encoder, or a decoder that was trained for embeddings of the last token (its `pooling_type` is 3)";
            return Err(self.cannot("embed", needs));
        }
        let mut ids = self.tokenizer.encode(text, EncodeOptions { add_special: true, parse_special: false })?;
        self.check_ids(&ids)?;
        let (needed, most) = (ids.len(), self.context());
        if needed > most {
            if !options.truncate {
                return Err(Error::TextTooLong { needed, most });
            }
            // keeps the token that ends the text: the vector is read from it
            ids.drain(most - 1..needed - 1);
        }
        let mut sequence = self.sequence(None);
        self.runner.select(sequence.origin.adapter).await?;
        let vector = self.last_hidden(&mut sequence, &ids).await;
        drop(sequence);
        let vector = self.trimmed(vector).await?;
        check_logits(&vector)?;
        Ok(if options.normalize { normalized(vector) } else { vector })
    }

    /// The row of the last token after the last norm: (hidden).
    async fn last_hidden(&mut self, sequence: &mut Sequence, ids: &[u32]) -> Result<Vec<f32>> {
        let runner = &mut self.runner;
        let hidden = |runner: &mut Runner| runner.programs.hidden(&mut runner.engine, &runner.decoder);
        let (program, hidden) = runner.with_room(hidden).await?;
        for chunk in ids.chunks(runner.chunk(1)) {
            let position = sequence.len();
            runner.run(runner.programs.steps.prompt, sequence, chunk).await?;
            runner.run_again(program, sequence, position, chunk)?;
        }
        runner.engine.read_values(hidden.buffer, hidden.cols).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_pooled_and_have_length_one() {
        let hidden = [1.0, 2.0, 3.0, 0.0, 2.0, 4.0];
        assert_eq!(pool(&hidden, 2, Pooling::Mean), [2.0, 2.0]);
        assert_eq!(pool(&hidden, 2, Pooling::Cls), [1.0, 2.0]);
        assert_eq!(pool(&hidden, 2, Pooling::Last), [2.0, 4.0]);
        assert_eq!(normalized(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(normalized(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
