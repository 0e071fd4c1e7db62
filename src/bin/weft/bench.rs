//! Speed, of a model in files or of a published one with random weights.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use weft_llm::Result;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, Speculated};
use weft_llm::sampling::SamplingOptions;
use weft_llm::tokenizer::Message;

use super::adapters::AdapterArgs;
use super::draft::{Drafts, SpeculateArgs};
use super::files::Files;
use super::synthetic::SyntheticArgs;
use super::{RunArgs, print, print_json, seconds_since_1970};

/// Owner of the keys and values that stand for an earlier text.
const OWNER: u32 = 1;

/// Random keys and values, which are repeated.
const PATTERN: usize = 1 << 16;

#[derive(Args)]
pub struct BenchArgs {
    /// A GGUF file, the parts of a split one in order, or a folder of transformers.
    #[arg(short, long, required_unless_present = "synthetic", num_args = 1..)]
    model: Vec<PathBuf>,
    /// Type to quantise weights to while loading: q8_0 and so on, or none. By default q8_0 for a
    /// folder.
    #[arg(long, conflicts_with = "synthetic")]
    quantize: Option<String>,
    /// Random weights.
    #[command(flatten)]
    synthetic: SyntheticArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    adapters: AdapterArgs,
    /// Tokens of a synthetic prompt.
    #[arg(long, default_value_t = 256)]
    prompt_tokens: usize,
    /// Answers this prompt instead, formatted with the model's chat template.
    #[arg(short, long, conflicts_with_all = ["prompt_tokens", "synthetic"])]
    prompt: Option<String>,
    /// Tokens to generate.
    #[arg(long, default_value_t = 64)]
    gen_tokens: usize,
    #[command(flatten)]
    speculate: SpeculateArgs,
    /// Asks again with another end of 20 tokens, as one more question about a text that was read.
    #[arg(long)]
    again: bool,
    /// Measures behind so many earlier positions, whose keys and values are random; several are
    /// measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "0", conflicts_with = "prompt")]
    position: Vec<usize>,
    /// Prints a line of JSON for each position instead of a sentence.
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub async fn bench(&self) -> Result<()> {
        let last = self.position.iter().max().copied().unwrap_or(0);
        let needed = self.prompt.is_none().then_some(last + self.prompt_tokens + self.gen_tokens + 2);
        let start = Instant::now();
        let context = self.run.context.or(needed);
        let drafts = self.speculate.load(&RunArgs { context, ..self.run.clone() }).await?;
        let mut decoder = self.load(context).await?;
        let mut drafts = self.speculate.open(drafts, &decoder)?;
        decoder.warm_up().await?;
        self.adapters.load(&mut decoder).await?;
        let load_seconds = start.elapsed().as_secs_f64();
        for &position in &self.position {
            let vocabulary = decoder.info().vocabulary_size;
            let ids = match &self.prompt {
                Some(text) => {
                    decoder.chat_prompt(&vec![Message::new("user", text)].into(), seconds_since_1970() as i64)?
                }
                None => made_up_prompt(position + self.prompt_tokens, vocabulary),
            };
            // what was before must not be found again
            decoder.forget().await?;
            if position > 0 {
                fill(&mut decoder, &ids[..position]).await?;
            }
            self.measure(&mut decoder, &mut drafts, ids, position, load_seconds).await?;
        }
        Ok(())
    }

    async fn load(&self, context: Option<usize>) -> Result<LoadedDecoder> {
        let run = RunArgs { context, ..self.run.clone() };
        let model = match self.synthetic.shape()? {
            None => run.load(&Files::new(&self.model, self.quantize.as_deref())?).await?,
            Some((shape, mixture)) => run.load(&shape.random(mixture)).await?,
        };
        model.into_decoder("generate")
    }

    async fn measure(
        &self,
        decoder: &mut LoadedDecoder,
        drafts: &mut Drafts,
        prompt: Vec<u32>,
        position: usize,
        load_seconds: f64,
    ) -> Result<()> {
        let (prompt_tokens, gen_tokens) = (prompt.len() - position, self.gen_tokens);
        let options = GenerateOptions {
            max_tokens: Some(gen_tokens + 1),
            ignore_eos: true,
            speculate: drafts.source,
            restored: Some(OWNER),
            sampling: SamplingOptions::greedy(),
            ..Default::default()
        };
        let mut answer = String::new();
        let (prompt_again, options_again) = (prompt.clone(), options.clone());
        let start = Instant::now();
        let generation = decoder.start(prompt, options, 0)?;
        loop {
            if let Event::Token { text, .. } = decoder.next(generation).await? {
                answer += &text;
                break;
            }
        }
        let prompt_seconds = start.elapsed().as_secs_f64();
        let before = decoder.engine().counters();
        let start = Instant::now();
        loop {
            drafts.give(decoder, generation).await?;
            match decoder.next(generation).await? {
                Event::Token { text, .. } => answer += &text,
                Event::End { text, .. } => {
                    answer += &text;
                    break;
                }
                Event::Prompt { .. } => {}
            }
        }
        let gen_seconds = start.elapsed().as_secs_f64();
        drafts.end();
        let after = decoder.engine().counters();
        let Speculated { drafted, accepted } = decoder.speculated(generation);
        decoder.stop(generation);
        let per_token = |now: u64, then: u64| (now - then) as f64 / gen_tokens as f64;
        let again = match self.again {
            true => Some(ask_again(decoder, prompt_again, options_again).await?),
            false => None,
        };
        let info = decoder.info();
        let (prompt_speed, gen_speed) = (prompt_tokens as f64 / prompt_seconds, gen_tokens as f64 / gen_seconds);
        if !self.json {
            let (kind, adapter) = (info.engine.kind, info.engine.description);
            let behind = if position > 0 { format!("behind {position} positions, ") } else { String::new() };
            let again = again.map_or_else(String::new, |(cached, seconds)| {
                format!(", again with {cached} tokens remembered: first token after {seconds:.3} s")
            });
            return print(&format!(
                "{kind} ({adapter}): {behind}prompt {prompt_speed:.1} tokens/s, generation {gen_speed:.1} tokens/s{again}\n"
            ));
        }
        print_json(&json!({
            "engine": info.engine.kind,
            "adapter": info.engine.description,
            "synthetic": self.synthetic.synthetic,
            "layers": self.synthetic.layers,
            "loadSeconds": load_seconds,
            "position": position,
            "promptTokens": prompt_tokens,
            "genTokens": gen_tokens,
            "promptTokensPerSecond": prompt_speed,
            "genTokensPerSecond": gen_speed,
            "dispatchesPerToken": per_token(after.dispatches, before.dispatches),
            "submitsPerToken": per_token(after.submits, before.submits),
            "readbacksPerToken": per_token(after.readbacks, before.readbacks),
            "drafted": drafted,
            "accepted": accepted,
            "againCachedTokens": again.map(|(cached, _)| cached),
            "againSeconds": again.map(|(_, seconds)| seconds),
            "memoryBytes": info.memory_bytes,
            "text": answer,
        }))
    }
}

/// The prompt with another end: how many of its tokens were remembered, and the seconds to its
/// first token.
async fn ask_again(
    decoder: &mut LoadedDecoder,
    mut prompt: Vec<u32>,
    options: GenerateOptions,
) -> Result<(usize, f64)> {
    let vocabulary = decoder.info().vocabulary_size as u32;
    let end = prompt.len().saturating_sub(20);
    prompt[end..].iter_mut().for_each(|id| *id = (*id + 1) % vocabulary);
    let start = Instant::now();
    let generation = decoder.start(prompt, options, 0)?;
    while !matches!(decoder.next(generation).await?, Event::Token { .. } | Event::End { .. }) {}
    let told = (decoder.cached_tokens(generation), start.elapsed().as_secs_f64());
    decoder.stop(generation);
    Ok(told)
}

/// `tokens` ids, spread over the vocabulary.
fn made_up_prompt(tokens: usize, vocab: usize) -> Vec<u32> {
    (0..tokens).map(|i| ((i * 7919 + 13) % vocab) as u32).collect()
}

/// Writes random keys and values for these ids, as if the model had read them.
async fn fill(decoder: &mut LoadedDecoder, ids: &[u32]) -> Result<()> {
    let info = decoder.info();
    let value = |i: usize| (i * 7919 % PATTERN) as f32 / PATTERN as f32 - 0.5;
    let values: Vec<f32> = (0..info.kv_width * ids.len()).map(value).collect();
    let restoring = decoder.restore(ids.to_vec(), OWNER)?;
    for layer in 0..info.layers {
        decoder.write_kv(restoring, layer, &values).await?;
    }
    decoder.restored(restoring).await
}
