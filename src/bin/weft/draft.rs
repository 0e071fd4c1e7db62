//! `--speculate`: where drafts of the next tokens come from.

use std::path::{Path, PathBuf};

use clap::Args;
use weft_llm::Result;
use weft_llm::inference::{GenerationId, LoadedDecoder, Speculate};

use super::RunArgs;
use super::files::Files;
use super::options::invalid;

#[derive(Args)]
pub struct SpeculateArgs {
    /// Drafts tokens and computes several in one step; the answer stays what it is. Drafts come
    /// from repetitions in the prompt and the answer, or from a smaller model with the same
    /// vocabulary: a GGUF file or a folder of transformers. The counts go to standard error.
    #[arg(long, value_name = "lookup|MODEL")]
    speculate: Option<PathBuf>,
}

/// The source of drafts for the answers of a model.
pub struct Drafts {
    pub source: Option<Speculate>,
    model: Option<LoadedDecoder>,
    /// Of the drafts of the answer under way.
    handle: Option<GenerationId>,
}

impl SpeculateArgs {
    /// Loads the model that drafts, if there is one. It is small, so that it comes first.
    pub async fn load(&self, run: &RunArgs) -> Result<Option<LoadedDecoder>> {
        match self.model() {
            None => Ok(None),
            Some(path) => Ok(Some(run.load(&Files::new(&[path.into()], None)?).await?.into_decoder("generate")?)),
        }
    }

    /// `model`: what [`Self::load`] gave. Errors: `InvalidOption` if its vocabulary is not that of
    /// `decoder`.
    pub fn open(&self, model: Option<LoadedDecoder>, decoder: &LoadedDecoder) -> Result<Drafts> {
        let source = match &model {
            None => self.speculate.as_ref().map(|_| Speculate::Lookup),
            Some(model) if model.vocabulary_fingerprint() == decoder.vocabulary_fingerprint() => {
                let [bytes, of] = [model, decoder].map(|model| model.info().memory_bytes as f32);
                Some(Speculate::Given { cost: bytes / of })
            }
            Some(model) => {
                let [drafts, answers] = [model, decoder].map(LoadedDecoder::info);
                let expected =
                    format!("a model with the vocabulary of `{}`, such as a smaller one of its family", answers.name);
                let got = format!("`{}`, with other tokens ({})", drafts.name, drafts.vocabulary_size);
                return Err(invalid("--speculate", expected, got));
            }
        };
        Ok(Drafts { source, model, handle: None })
    }

    fn model(&self) -> Option<&Path> {
        self.speculate.as_deref().filter(|path| *path != Path::new("lookup"))
    }
}

impl Drafts {
    /// To be called before each step of an answer: gives it the draft that it wants. Where the
    /// other model fails, drafts end.
    pub async fn give(&mut self, decoder: &mut LoadedDecoder, generation: GenerationId) -> Result<()> {
        let Some(model) = &mut self.model else { return Ok(()) };
        let Some((tokens, most)) = decoder.wants_draft(generation) else { return Ok(()) };
        let draft = propose(model, &mut self.handle, tokens.to_vec(), most).await.unwrap_or_else(|error| {
            eprintln!("weft: there are no more drafts: {error}");
            Vec::new()
        });
        decoder.give_draft(generation, draft)
    }

    /// To be called at the end of an answer.
    pub fn end(&mut self) {
        if let (Some(model), Some(handle)) = (&mut self.model, self.handle.take()) {
            model.stop(handle);
        }
    }
}

async fn propose(
    model: &mut LoadedDecoder,
    handle: &mut Option<GenerationId>,
    tokens: Vec<u32>,
    most: usize,
) -> Result<Vec<u32>> {
    let handle = match *handle {
        Some(begun) => {
            model.restart_draft(begun, tokens, most)?;
            begun
        }
        None => *handle.insert(model.start_draft(tokens, most)?),
    };
    loop {
        if let Some(draft) = model.propose(handle).await? {
            return Ok(draft);
        }
    }
}
