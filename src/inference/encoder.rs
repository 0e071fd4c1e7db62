//! An encoder on an engine: embedding, classification, masked tokens.

use std::rc::Rc;

use serde::Serialize;

use super::embedding::pool;
use super::encoder_programs::{EncoderPrograms, Head};
use super::generation::GenerationId;
use super::inspect::EncoderInspecting;
use super::tower::Seen;
use super::types::{About, Info};
use crate::engine::shared::Share;
use crate::engine::{Engine, ProgramId};
use crate::model::encoder_config::Pooling;
use crate::model::kv_cache::Blocks;
use crate::model::{Decoder, Encoder};
use crate::record::{BufferId, Memory, Step, rows};
use crate::sampling::check_logits;
use crate::tokenizer::{Detokenizer, EncodeOptions, Segments, Tokenizer};
use crate::{Error, Result};

/// A label and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct LabelScore {
    /// Its name in the file.
    pub label: String,
    /// Probability among all labels (softmax), or of the only label of a model (sigmoid).
    pub score: f32,
    /// The model's output before softmax or sigmoid.
    pub logit: f32,
}

/// The most likely label of a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TokenLabel {
    /// The token.
    pub id: u32,
    /// Its text. The texts of all tokens together are the text as the model reads it, which may be
    /// lower-cased.
    pub text: String,
    /// The label.
    #[serde(flatten)]
    pub label: LabelScore,
}

/// A token that could replace a mask.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Filling {
    /// The token.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Its probability.
    pub score: f32,
}

/// An encoder on an engine.
pub struct LoadedEncoder {
    pub(super) engine: Share,
    pub(super) encoder: Encoder,
    pub(super) tokenizer: Tokenizer,
    about: About,
    pub(super) programs: EncoderPrograms,
    /// Of each text of a step.
    pub(super) blocks: Vec<Blocks>,
    pub(super) inspecting: Vec<(GenerationId, EncoderInspecting)>,
    pub(super) next_id: u32,
    /// The last pictures of a tower, the last one first.
    pub(super) seen: Vec<Rc<Seen>>,
}

impl LoadedEncoder {
    pub(super) fn new(
        engine: Share,
        encoder: Encoder,
        tokenizer: Tokenizer,
        about: About,
        programs: EncoderPrograms,
    ) -> Self {
        let (blocks, inspecting, next_id, seen) = (Vec::new(), Vec::new(), 0, Vec::new());
        Self { engine, encoder, tokenizer, about, programs, blocks, inspecting, next_id, seen }
    }

    /// Runs every program once and discards the result, so that the first text does not wait for
    /// compilation, and errors show early.
    pub async fn warm_up(&mut self) -> Result<()> {
        let text = Segments { ids: vec![0; self.encoder.trunk.context.min(2)], ..Segments::default() };
        self.hidden(std::slice::from_ref(&text)).await?;
        if self.programs.classifier.is_some() {
            self.class_logits("classify", &text).await?;
        }
        if self.programs.token_classifier.is_some() {
            self.token_logits(&text).await?;
        }
        if self.programs.masked.is_some() {
            self.masked_logits(&text, &[0]).await?;
        }
        Ok(())
    }

    /// Describes the loaded model.
    pub fn info(&self) -> Info {
        let Encoder { trunk: Decoder { config, vocab, context, .. }, encoder_config, .. } = &self.encoder;
        let labelled = self.programs.classifier.is_some() || self.programs.token_classifier.is_some();
        Info {
            tasks: self.tasks(),
            labels: if labelled { encoder_config.labels.clone() } else { Vec::new() },
            mask_token: self.mask_token().map(str::to_string),
            ..Info::of("encoder", config, [*vocab, *context], &self.about, &self.engine)
        }
    }

    /// Its engine.
    pub fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tasks that it can do, by the names of the TypeScript package.
    fn tasks(&self) -> Vec<&'static str> {
        let classifies = self.programs.classifier.is_some();
        let tasks = [
            (self.encoder.tower.is_none(), "embed"),
            (classifies && self.encoder.encoder_config.labels.len() == 1, "rerank"),
            (classifies, "classify"),
            (self.programs.token_classifier.is_some(), "classifyTokens"),
            (self.programs.masked.is_some() && self.tokenizer.mask().is_some(), "fillMask"),
        ];
        tasks.into_iter().filter_map(|(can, task)| can.then_some(task)).collect()
    }

    /// The error for a task that the model has no head for.
    pub(super) fn cannot(&self, task: &'static str, needs: &str) -> Error {
        let found = format!("an encoder (`{}`)", self.encoder.trunk.config.architecture.name);
        Error::UnsupportedTask { task, needs: needs.into(), found, can: self.tasks().join(", ") }
    }

    fn mask_token(&self) -> Option<&str> {
        self.programs.masked.as_ref().and_then(|_| self.tokenizer.mask()).and_then(|mask| self.tokenizer.token(mask))
    }

    /// The labels of a text, or of two texts that are read together, most likely first. Errors:
    /// `UnsupportedTask`, and those of [`LoadedEncoder::embed`].
    pub async fn classify(&mut self, text: &str, pair: Option<&str>, truncate: bool) -> Result<Vec<LabelScore>> {
        let pair = pair.map(|pair| self.encode(pair)).transpose()?;
        let input = self.input(self.encode(text)?, pair, truncate)?;
        let logits = self.class_logits("classify", &input).await?;
        let mut scores = self.scores(&logits);
        scores.sort_by(|a, b| b.logit.total_cmp(&a.logit));
        Ok(scores)
    }

    /// Relevance of `document` for `query`: the only label of a reranking model. Errors: as
    /// [`LoadedEncoder::classify`].
    pub async fn rerank(&mut self, query: &str, document: &str, truncate: bool) -> Result<LabelScore> {
        let needs = "a model with a classifier of one label";
        if self.encoder.encoder_config.labels.len() != 1 {
            return Err(self.cannot("rerank", needs));
        }
        let input = self.input(self.encode(query)?, Some(self.encode(document)?), truncate)?;
        let logits = self.class_logits("rerank", &input).await?;
        self.scores(&logits).pop().ok_or_else(|| self.cannot("rerank", needs))
    }

    /// The most likely label of each token of a text, without special tokens. Errors: as
    /// [`LoadedEncoder::classify`].
    pub async fn classify_tokens(&mut self, text: &str, truncate: bool) -> Result<Vec<TokenLabel>> {
        let input = self.input(self.encode(text)?, None, truncate)?;
        let logits = self.token_logits(&input).await?;
        let mut stream = Detokenizer::new(false);
        let mut labels = Vec::new();
        let rows = logits.chunks_exact(self.encoder.encoder_config.labels.len());
        for (&id, logits) in input.ids.iter().zip(rows).take(input.first.end).skip(input.first.start) {
            let text = stream.push(&self.tokenizer, id)?;
            let best = self.scores(logits).into_iter().max_by(|a, b| a.logit.total_cmp(&b.logit));
            labels.extend(best.map(|label| TokenLabel { id, text, label }));
        }
        Ok(labels)
    }

    /// The `top_k` most likely tokens for each mask of a text. Errors: `InvalidOption` if the text
    /// has no mask, and as [`LoadedEncoder::classify`].
    pub async fn fill_mask(&mut self, text: &str, top_k: usize, truncate: bool) -> Result<Vec<Vec<Filling>>> {
        let Some((mask, name)) = self.tokenizer.mask().zip(self.mask_token().map(str::to_string)) else {
            return Err(self.cannot("fillMask", "a model with a head for masked tokens and a mask token"));
        };
        let input = self.input(self.tokenizer.encode_masked(text)?, None, truncate)?;
        let masks: Vec<usize> = (0..input.ids.len()).filter(|&at| input.ids[at] == mask).collect();
        if masks.is_empty() {
            let (expected, got) = (format!("a text with {name} where a token is to be filled in"), "none".into());
            return Err(Error::InvalidOption { name: "text".into(), expected, got });
        }
        let mut filled = Vec::with_capacity(masks.len());
        for logits in self.masked_logits(&input, &masks).await? {
            let probabilities = softmax(&logits);
            let mut ids: Vec<usize> = (0..logits.len()).collect();
            ids.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let filling = |&at: &usize| {
                let id = at as u32;
                Ok(Filling { id, text: self.tokenizer.decode(&[id], false)?, score: probabilities[at] })
            };
            filled.push(ids.iter().take(top_k).map(filling).collect::<Result<_>>()?);
        }
        Ok(filled)
    }

    /// The output of the last layer for the tokens of these texts, one text after the other:
    /// (tokens, hidden).
    pub async fn hidden(&mut self, inputs: &[Segments]) -> Result<Vec<f32>> {
        self.run_layers(inputs).await?;
        let (x, count) = (self.programs.activations.x, inputs.iter().map(|input| input.ids.len()).sum::<usize>());
        self.read(x.buffer, count * x.cols).await
    }

    /// Logits of the classes of a text: (labels).
    pub async fn class_logits(&mut self, task: &'static str, input: &Segments) -> Result<Vec<f32>> {
        let Some(Head { program, x, logits }) = self.programs.classifier else {
            return Err(self.cannot(task, "a model with a classifier (tensor `cls.output.weight`)"));
        };
        if self.encoder.encoder_config.classifies_mean {
            let mean = pool(&self.hidden(std::slice::from_ref(input)).await?, x.cols, Pooling::Mean);
            self.engine.write_values(x.buffer, 0, &mean)?;
        } else {
            self.run_layers(std::slice::from_ref(input)).await?;
        }
        self.run_head(program, &input.ids)?;
        self.read(logits.buffer, logits.cols).await
    }

    /// Logits of the classes of each token: (tokens, labels).
    pub async fn token_logits(&mut self, input: &Segments) -> Result<Vec<f32>> {
        let Some(Head { program, logits, .. }) = self.programs.token_classifier else {
            return Err(
                self.cannot("classifyTokens", "a model with a classifier of tokens (tensor `token_cls.weight`)")
            );
        };
        self.run_layers(std::slice::from_ref(input)).await?;
        self.run_head(program, &input.ids)?;
        self.read(logits.buffer, input.ids.len() * logits.cols).await
    }

    /// The projections of vectors of texts, (texts, hidden) → (texts, outputs); the vectors where
    /// the model has none.
    pub(super) async fn projected(&mut self, vectors: Vec<f32>) -> Result<Vec<f32>> {
        let Some(Head { program, x, logits }) = self.programs.dense else { return Ok(vectors) };
        let count = vectors.len() / x.cols;
        self.engine.write_values(x.buffer, 0, &vectors)?;
        self.run_head(program, &vec![0; count])?;
        self.read(logits.buffer, count * logits.cols).await
    }

    /// Logits at each of `positions`: (vocab) each.
    pub async fn masked_logits(&mut self, input: &Segments, positions: &[usize]) -> Result<Vec<Vec<f32>>> {
        let Some(Head { program, x, logits }) = self.programs.masked else {
            return Err(
                self.cannot("fillMask", "a model with a head for masked tokens (tensor `mlm_transform.weight`)")
            );
        };
        let hidden = self.hidden(std::slice::from_ref(input)).await?;
        let mut rows = Vec::with_capacity(positions.len());
        for &position in positions {
            self.engine.write_values(x.buffer, 0, &hidden[position * x.cols..][..x.cols])?;
            self.run_head(program, &input.ids[..1])?;
            rows.push(self.read(logits.buffer, logits.cols).await?);
        }
        Ok(rows)
    }

    /// Runs the layers over the tokens of these texts. Only a text that is alone may have a second
    /// segment.
    pub(super) async fn run_layers(&mut self, inputs: &[Segments]) -> Result<()> {
        let second = match inputs {
            // RoBERTa has one segment for both texts
            [input] if self.encoder.encoder_config.segments > 1 => {
                input.second.and_then(|second| u32::try_from(second).ok())
            }
            _ => None,
        };
        let lengths: Vec<_> = inputs.iter().map(|input| input.ids.len()).collect();
        self.make_room(&lengths).await?;
        let numbered = inputs.iter().enumerate();
        let rows: Vec<_> = numbered.flat_map(|(number, input)| rows(number, 0, &input.ids)).collect();
        self.programs.activations.write_angles(&mut self.engine, &self.encoder.trunk, &rows)?;
        let tables: Vec<_> = self.blocks.iter().map(Blocks::table).collect();
        let step = Step { second: second.unwrap_or(u32::MAX), ..Step::new(&rows, &tables) };
        self.engine.run(self.programs.layers, &step)
    }

    /// Makes room for the keys and values of texts of these lengths.
    pub(super) async fn make_room(&mut self, lengths: &[usize]) -> Result<()> {
        let Self { programs, engine, blocks, .. } = self;
        blocks.resize_with(lengths.len(), || programs.kv.sequence());
        for (blocks, &length) in blocks.iter_mut().zip(lengths) {
            blocks.truncate(length);
            programs.kv.grow(engine, blocks, 0..length).await?;
        }
        Ok(())
    }

    /// Runs a head over these tokens, or the first of them.
    pub(super) fn run_head(&mut self, program: ProgramId, ids: &[u32]) -> Result<()> {
        self.engine.run(program, &Step::new(&rows(0, 0, ids), &[]))
    }

    /// Reads values and checks that they are numbers. Errors: `InvalidLogits`.
    pub(super) async fn read(&mut self, buffer: BufferId, len: usize) -> Result<Vec<f32>> {
        let values = self.engine.read_values(buffer, len).await?;
        check_logits(&values)?;
        Ok(values)
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text, EncodeOptions::default())
    }

    /// Adds special tokens around the texts, and truncates them on request.
    pub(super) fn input(&self, mut first: Vec<u32>, mut second: Option<Vec<u32>>, truncate: bool) -> Result<Segments> {
        if first.is_empty() || second.as_ref().is_some_and(Vec::is_empty) {
            let (name, expected) = ("text".into(), "a text with at least one token".into());
            return Err(Error::InvalidOption { name, expected, got: "an empty one".into() });
        }
        let whole = self.tokenizer.segments(&first, second.as_deref());
        let (needed, most) = (whole.ids.len(), self.encoder.trunk.context);
        if needed <= most {
            return Ok(whole);
        }
        let special = needed - first.len() - second.as_ref().map_or(0, Vec::len);
        if !truncate || special + 2 > most {
            return Err(Error::TextTooLong { needed, most });
        }
        cut(&mut first, second.as_mut(), most - special);
        Ok(self.tokenizer.segments(&first, second.as_deref()))
    }

    /// Scores in the order of the labels.
    fn scores(&self, logits: &[f32]) -> Vec<LabelScore> {
        let labels = self.encoder.encoder_config.labels.iter().zip(logits).zip(probabilities(logits));
        labels.map(|((label, &logit), score)| LabelScore { label: label.clone(), score, logit }).collect()
    }
}

/// Of labels: among all (softmax), or of the only one (sigmoid).
pub(super) fn probabilities(logits: &[f32]) -> Vec<f32> {
    match logits {
        [logit] => vec![1.0 / (1.0 + (-logit).exp())],
        logits => softmax(logits),
    }
}

/// Truncates two texts to `room` tokens in total, the longer one first.
fn cut(first: &mut Vec<u32>, second: Option<&mut Vec<u32>>, room: usize) {
    let Some(second) = second else { return first.truncate(room) };
    first.truncate((room - room / 2).max(room.saturating_sub(second.len())));
    second.truncate(room - first.len());
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_two_texts_is_cut_first() {
        for (lengths, room, expected) in
            [((9, 3), 8, (5, 3)), ((3, 9), 8, (3, 5)), ((9, 9), 7, (4, 3)), ((4, 4), 8, (4, 4))]
        {
            let (mut first, mut second) = (vec![1; lengths.0], vec![2; lengths.1]);
            cut(&mut first, Some(&mut second), room);
            assert_eq!((first.len(), second.len()), expected, "{lengths:?} into {room}");
        }
    }
}
