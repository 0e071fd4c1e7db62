//! Tokens whose embeddings point in nearly the same direction.

use serde::Serialize;

use super::types::{NearToken, text_of};
use crate::Result;
use crate::engine::Engine;
use crate::inference::LoadedDecoder;
use crate::ops::dot;
use crate::record::{Step, rows};
use crate::sampling::most_likely;

/// The nearest of some tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Nearest {
    /// The token to go on with; past the last token, those were all.
    pub next: u32,
    /// Number of tokens that the model has embeddings of.
    pub count: u32,
    /// Best first.
    pub tokens: Vec<NearToken>,
}

impl LoadedDecoder {
    /// Compares the embedding of `id` with those of the next tokens from `from` on, and gives the
    /// `top` nearest of these. A token is not its own neighbour. Errors: `Tokenize` for an id that
    /// is not in the vocabulary, and those of the engine.
    pub async fn nearest(&mut self, id: u32, from: u32, top: usize) -> Result<Nearest> {
        self.check_ids(&[id])?;
        let runner = &mut self.runner;
        let (program, table) =
            runner.with_room(|runner| runner.programs.table(&mut runner.engine, &runner.decoder)).await?;
        let count = runner.decoder.vocab as u32;
        let next = (from + table.rows as u32 - 1).min(count).max(from);
        let ids: Vec<u32> = std::iter::once(id).chain(from..next).collect();
        runner.engine.run(program, &Step::new(&rows(0, 0, &ids), &[]))?;
        let values = runner.engine.read_values(table.buffer, ids.len() * table.cols).await?;
        let (own, others) = values.split_at(table.cols);
        let length = dot(own, own).sqrt();
        let near = |(other, row): (u32, &[f32])| {
            let lengths = length * dot(row, row).sqrt();
            match other == id {
                true => f32::MIN,
                // a token that was never trained may have no direction
                false => {
                    if lengths > 0.0 {
                        dot(own, row) / lengths
                    } else {
                        0.0
                    }
                }
            }
        };
        let similar: Vec<f32> = (from..next).zip(others.chunks_exact(table.cols)).map(near).collect();
        let best = if similar.is_empty() { Vec::new() } else { most_likely(&similar, top)? };
        let best = best.into_iter().map(|at| (from + at, similar[at as usize])).filter(|&(other, _)| other != id);
        let token = |(id, similarity)| NearToken { id, text: text_of(&self.tokenizer, id), similarity };
        Ok(Nearest { next, count, tokens: best.map(token).collect() })
    }
}
