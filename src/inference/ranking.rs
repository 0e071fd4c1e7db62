//! Rankings by a decoder: how likely it finds it that a document answers a query.

use super::LoadedDecoder;
use super::encoder::{LabelScore, probabilities};
use super::runner::Runner;
use crate::engine::Engine;
use crate::record::{Step, rows};
use crate::sampling::check_logits;
use crate::tokenizer::Text;
use crate::{Error, Result};

impl LoadedDecoder {
    /// What a model that ranks reads, with `{query}` and `{document}` where these belong; `None`
    /// for other models.
    pub(super) fn rerank_template(&self) -> Option<&str> {
        let decoder = &self.runner.decoder;
        decoder.ranking.as_ref()?;
        self.chat_template(Some("rerank"), false).or(decoder.config.architecture.rerank)
    }

    /// Relevance of `document` for `query`: the probability of the only label, or of the first of
    /// several. Errors: `UnsupportedTask`, `TextTooLong`, `ChatTemplate`.
    pub async fn rerank(&mut self, query: &str, document: &str, truncate: bool) -> Result<LabelScore> {
        let Some(template) = self.rerank_template() else {
            let needs = "an encoder with a classifier of one label, or a decoder that was trained to rank (its \
                `pooling_type` is 4) with a template called `rerank`";
            return Err(self.cannot("rerank", needs));
        };
        let parts =
            template.split_once("{query}").and_then(|(before, rest)| Some((before, rest.split_once("{document}")?)));
        let Some((before, (between, after))) = parts else {
            return Err(Error::ChatTemplate("`rerank` has no {query} that {document} follows".into()));
        };
        let last = Text::template(after);
        let kept = self.tokenizer.encode_rendered(&last)?.len();
        let text = [Text::template(before), Text::given(query), Text::template(between), Text::given(document), last];
        let mut ids = self.tokenizer.encode_rendered(&text.into_iter().collect())?;
        let (needed, most) = (ids.len(), self.context());
        if needed > most {
            if !truncate || kept >= most {
                return Err(Error::TextTooLong { needed, most });
            }
            // of the document, before what follows it
            ids.drain(most - kept..needed - kept);
        }
        let logits = self.class_logits(ids).await?;
        let labels = self.runner.decoder.config.ranking.iter().flatten();
        let of_others = logits.iter().skip(1).map(|logit| logit.exp()).sum::<f32>().ln();
        let logit = if logits.len() > 1 { logits[0] - of_others } else { logits[0] };
        Ok(LabelScore { label: labels.take(1).cloned().collect(), score: probabilities(&logits)[0], logit })
    }

    /// Logits of the labels behind these tokens: (labels). Errors: `UnsupportedTask`.
    pub async fn class_logits(&mut self, ids: Vec<u32>) -> Result<Vec<f32>> {
        let ranking = |runner: &mut Runner| runner.programs.ranking(&mut runner.engine, &runner.decoder);
        let Some((program, y)) = self.runner.with_room(ranking).await? else {
            return Err(self.cannot("rerank", "a decoder that was trained to rank (its `pooling_type` is 4)"));
        };
        self.check_ids(&ids)?;
        let origin = self.origin(None);
        self.runner.select(origin.adapter).await?;
        let mut sequences = [self.sequence(None)];
        let hidden = self.last_hidden(&mut sequences, &[ids]).await;
        drop(sequences);
        self.trimmed(hidden).await?;
        let engine = &mut self.runner.engine;
        engine.run(program, &Step::new(&rows(0, 0, &[0]), &[]))?;
        let logits = engine.read_values(y.buffer, y.cols).await?;
        check_logits(&logits)?;
        Ok(logits)
    }
}
