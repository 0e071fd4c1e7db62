//! Embeddings: token vectors → one vector per text. Short texts share a step, each a sequence of
//! its own.

use serde::Deserialize;

use super::LoadedDecoder;
use super::encoder::LoadedEncoder;
use super::runner::Runner;
use super::sequences::Sequence;
use crate::engine::Engine;
use crate::model::encoder_config::Pooling;
use crate::record::{Step, rows};
use crate::sampling::check_logits;
use crate::tokenizer::{EncodeOptions, Segments};
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
fn normalized(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v /= length);
    }
    vector
}

/// Most tokens of several texts in one step. With more, nothing is faster, and a stop would take
/// effect later.
pub(super) const TOGETHER: usize = 128;

/// The first of these texts as `read` takes them, `len` tokens each: as many as fit in a step of
/// `most` tokens, and at least one. Errors: of the first text.
fn packed<T>(
    texts: &[impl AsRef<str>],
    most: usize,
    read: impl Fn(&str) -> Result<T>,
    len: impl Fn(&T) -> usize,
) -> Result<Vec<T>> {
    let (mut inputs, mut tokens) = (Vec::new(), 0);
    for text in texts {
        let input = match read(text.as_ref()) {
            // it is told when that text is the first
            Err(_) if !inputs.is_empty() => break,
            input => input?,
        };
        tokens += len(&input);
        if tokens > most && !inputs.is_empty() {
            break;
        }
        inputs.push(input);
    }
    Ok(inputs)
}

impl LoadedEncoder {
    /// The vectors, (hidden) each, of the first of these texts: of as many as go in one step, at
    /// least of one. Each is what it is alone. Errors, of the first text: `TextTooLong`,
    /// `InvalidOption` for a text without a token.
    pub async fn embed(&mut self, texts: &[impl AsRef<str>], options: EmbedOptions) -> Result<Vec<Vec<f32>>> {
        let read = |text: &str| self.input(self.encode(text)?, None, options.truncate);
        let most = TOGETHER.min(self.encoder.trunk.context);
        let mut inputs = packed(texts, most, read, |input| input.ids.len())?;
        loop {
            match self.embed_ids(&inputs, options).await {
                Err(Error::OutOfMemory { .. }) if inputs.len() > 1 => inputs.truncate(inputs.len() / 2),
                vectors => return vectors,
            }
        }
    }

    /// The same for encoded texts, which all go in one step.
    pub async fn embed_ids(&mut self, inputs: &[Segments], options: EmbedOptions) -> Result<Vec<Vec<f32>>> {
        let (mut rows, config) = (self.hidden(inputs).await?, &self.encoder.trunk.config);
        let (width, pooling) = (config.hidden, options.pooling.or(config.pooling).unwrap_or(Pooling::Mean));
        let pooled = |input: &Segments| {
            let others = rows.split_off(input.ids.len() * width);
            pool(&std::mem::replace(&mut rows, others), width, pooling)
        };
        let pooled = inputs.iter().flat_map(pooled).collect();
        let vectors = self.projected(pooled).await?;
        let vectors = vectors.chunks_exact(vectors.len() / inputs.len()).map(<[f32]>::to_vec);
        Ok(vectors.map(|vector| if options.normalize { normalized(vector) } else { vector }).collect())
    }
}

impl LoadedDecoder {
    /// The vectors of the first of these texts, as [`LoadedEncoder::embed`] says: (hidden) each,
    /// the last token's output of the model. Errors: `UnsupportedTask`; of the first text
    /// `TextTooLong`, `InvalidOption` for a text without tokens.
    pub async fn embed(&mut self, texts: &[impl AsRef<str>], options: EmbedOptions) -> Result<Vec<Vec<f32>>> {
        let pooling = options.pooling.or(self.runner.decoder.config.pooling);
        if pooling != Some(Pooling::Last) || self.runner.decoder.config.pooling.is_none() {
            let needs =
                "an encoder, or a decoder that was trained for embeddings of the last token (its `pooling_type` is 3)";
            return Err(self.cannot("embed", needs));
        }
        let most = TOGETHER.min(self.runner.chunk(1));
        let inputs = packed(texts, most, |text| self.text_ids(text, options.truncate), Vec::len)?;
        self.embed_ids(inputs, options.normalize).await
    }

    /// The same for encoded texts, of as many as memory is free for.
    pub async fn embed_ids(&mut self, mut inputs: Vec<Vec<u32>>, normalize: bool) -> Result<Vec<Vec<f32>>> {
        let origin = self.origin(None);
        self.runner.select(origin.adapter).await?;
        let vectors = loop {
            let mut sequences: Vec<_> = inputs.iter().map(|_| self.sequence(None)).collect();
            match self.last_hidden(&mut sequences, &inputs).await {
                Err(Error::OutOfMemory { .. }) if inputs.len() > 1 => inputs.truncate(inputs.len() / 2),
                vectors => break vectors,
            }
        };
        let vectors = self.trimmed(vectors).await?;
        check_logits(&vectors)?;
        let vectors = vectors.chunks_exact(self.runner.decoder.config.hidden).map(<[f32]>::to_vec);
        Ok(vectors.map(|vector| if normalize { normalized(vector) } else { vector }).collect())
    }

    /// The ids of a text that is to be embedded.
    fn text_ids(&self, text: &str, truncate: bool) -> Result<Vec<u32>> {
        let mut ids = self.tokenizer.encode(text, EncodeOptions { add_special: true, parse_special: false })?;
        self.check_ids(&ids)?;
        let (needed, most) = (ids.len(), self.context());
        if needed > most {
            if !truncate {
                return Err(Error::TextTooLong { needed, most });
            }
            // keeps the token that ends the text: the vector is read from it
            ids.drain(most - 1..needed - 1);
        }
        Ok(ids)
    }

    /// The row of each text's last token after the last norm, (texts, hidden), of texts in
    /// sequences without positions. Several go in one step, one in chunks.
    pub(super) async fn last_hidden(&mut self, sequences: &mut [Sequence], texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let runner = &mut self.runner;
        let hidden = |runner: &mut Runner| runner.programs.hidden(&mut runner.engine, &runner.decoder);
        let (program, hidden) = runner.with_room(hidden).await?;
        if let ([sequence], [ids]) = (&mut *sequences, texts) {
            for chunk in ids.chunks(runner.chunk(1)) {
                let position = sequence.len();
                runner.run(runner.programs.steps.prompt, sequence, chunk).await?;
                runner.run_again(program, sequence, position, chunk)?;
            }
        } else {
            let mut step = Vec::new();
            for (number, (sequence, ids)) in sequences.iter_mut().zip(texts).enumerate() {
                runner.grow(sequence, 0..ids.len()).await?;
                step.extend(rows(number, 0, ids));
            }
            let advance = |(sequence, ids): (&mut Sequence, &Vec<u32>)| sequence.blocks.advance(0..ids.len());
            let states: Vec<_> = sequences.iter_mut().zip(texts).map(advance).collect();
            let tables: Vec<_> = sequences.iter().map(|sequence| sequence.blocks.table()).collect();
            runner.write_angles(&step)?;
            for program in [runner.programs.steps.prompt, program] {
                runner.engine.run(program, &Step { states: &states, ..Step::new(&step, &tables) })?;
            }
        }
        runner.engine.read_values(hidden.buffer, texts.len() * hidden.cols).await
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
