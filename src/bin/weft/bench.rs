//! Speed, of a model in files or of a published one with random weights.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use weft_llm::Result;
use weft_llm::engine;
use weft_llm::inference::{Event, GenerateOptions, GenerationId, LoadedDecoder, LoadedModel, Speculated};
use weft_llm::sampling::SamplingOptions;
use weft_llm::tokenizer::Message;

use super::adapters::AdapterArgs;
use super::draft::{Drafts, SpeculateArgs};
use super::files::Files;
use super::synthetic::SyntheticArgs;
use super::{RunArgs, print, print_json, reading, seconds_since_1970, texts};

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
    #[arg(long, visible_alias = "position", value_delimiter = ',', default_value = "0", conflicts_with = "prompt")]
    positions: Vec<usize>,
    /// Measures so many sequences at once, each with a prompt of its own; several numbers are
    /// measured one after the other.
    #[arg(
        long, value_delimiter = ',', default_value = "1", conflicts_with = "prompt",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64)
    )]
    sequences: Vec<usize>,
    /// Embeds so many short texts instead.
    #[arg(long, conflicts_with_all = ["prompt", "positions", "sequences", "synthetic"])]
    texts: Option<usize>,
    /// Measures too how fast as many threads read memory, and which part of that decoding reaches
    /// on the CPU: each token reads all bytes of the files, unless these have experts.
    #[arg(long, conflicts_with = "texts")]
    reading: bool,
    /// Prints a line of JSON for each measurement instead of a sentence.
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub async fn bench(&self) -> Result<()> {
        if let Some(count) = self.texts {
            let (mut model, _) = self.load(self.run.context).await?;
            model.warm_up().await?;
            return texts::bench(&mut model, count, self.json).await;
        }
        let last = self.positions.iter().max().copied().unwrap_or(0);
        let needed = self.prompt.is_none().then_some(last + self.prompt_tokens + self.gen_tokens + 2);
        let start = Instant::now();
        let context = self.run.context.or(needed);
        let drafts = self.speculate.load(&RunArgs { context, ..self.run.clone() }).await?;
        let (model, file_bytes) = self.load(context).await?;
        let mut decoder = model.into_decoder("generate")?;
        let mut drafts = self.speculate.open(drafts, &decoder)?;
        decoder.warm_up().await?;
        self.adapters.load(&mut decoder).await?;
        let load_seconds = start.elapsed().as_secs_f64();
        for &position in &self.positions {
            let mut one = None;
            for &sequences in &self.sequences {
                let mut measured = self.measure(&mut decoder, &mut drafts, position, sequences).await?;
                if self.reading && decoder.info().engine.kind == "cpu" {
                    let bytes_s = reading::speed(engine::cpu::pool::threads());
                    let steps = measured.gen_speed / sequences as f64;
                    measured.reading = Some((bytes_s, steps * file_bytes as f64 / bytes_s));
                }
                if sequences == 1 {
                    one = Some(measured.gen_speed);
                }
                self.tell(&decoder, &measured, one, load_seconds)?;
            }
        }
        Ok(())
    }

    /// A prompt for each of so many sequences.
    fn prompts(&self, decoder: &LoadedDecoder, position: usize, sequences: usize) -> Result<Vec<Vec<u32>>> {
        if let Some(text) = &self.prompt {
            let chat = vec![Message::new("user", text)].into();
            return Ok(vec![decoder.chat_prompt(&chat, seconds_since_1970() as i64)?]);
        }
        let vocabulary = decoder.info().vocabulary_size;
        Ok((0..sequences).map(|number| made_up_prompt(number, position + self.prompt_tokens, vocabulary)).collect())
    }

    /// The model, and the bytes of its files.
    async fn load(&self, context: Option<usize>) -> Result<(LoadedModel, u64)> {
        let run = RunArgs { context, ..self.run.clone() };
        match self.synthetic.shape()? {
            None => {
                let files = Files::new(&self.model, self.quantize.as_deref())?;
                Ok((run.load(&files).await?, files.bytes()))
            }
            Some((shape, mixture)) => {
                let file = shape.random(mixture);
                Ok((run.load(&file).await?, file.bytes()))
            }
        }
    }

    /// Answers the prompts of so many sequences, a step of each in turn.
    async fn measure(
        &self,
        decoder: &mut LoadedDecoder,
        drafts: &mut Drafts,
        position: usize,
        sequences: usize,
    ) -> Result<Measured> {
        let prompts = self.prompts(decoder, position, sequences)?;
        // what was before must not be found again
        decoder.forget().await?;
        if position > 0 {
            for prompt in &prompts {
                fill(decoder, &prompt[..position]).await?;
            }
        }
        let prompt_tokens = prompts.iter().map(|prompt| prompt.len() - position).sum::<usize>();
        let options = GenerateOptions {
            max_tokens: Some(self.gen_tokens + 1),
            ignore_eos: true,
            speculate: drafts.source,
            restored: Some(OWNER),
            sampling: SamplingOptions::greedy(),
            ..Default::default()
        };
        let first = prompts[0].clone();
        let start = Instant::now();
        let mut running = Vec::with_capacity(sequences);
        for prompt in prompts {
            let id = decoder.start(prompt, options.clone(), 0)?;
            running.push(Answer { id, text: String::new(), begun: false, ended: false });
        }
        in_turns(decoder, drafts, &mut running, |answer| answer.begun).await?;
        let prompt_seconds = start.elapsed().as_secs_f64();
        let before = decoder.engine().counters();
        let start = Instant::now();
        in_turns(decoder, drafts, &mut running, |answer| answer.ended).await?;
        let gen_seconds = start.elapsed().as_secs_f64();
        drafts.end();
        let after = decoder.engine().counters();
        let gen_tokens = self.gen_tokens * sequences;
        let per_token = |now: u64, then: u64| (now - then) as f64 / gen_tokens as f64;
        let mut speculated = Speculated::default();
        for answer in &running {
            let Speculated { drafted, accepted } = decoder.speculated(answer.id);
            speculated.drafted += drafted;
            speculated.accepted += accepted;
            decoder.stop(answer.id);
        }
        let again = match self.again {
            true => Some(ask_again(decoder, first, options).await?),
            false => None,
        };
        Ok(Measured {
            position,
            sequences,
            prompt_tokens,
            prompt_speed: prompt_tokens as f64 / prompt_seconds,
            gen_speed: gen_tokens as f64 / gen_seconds,
            dispatches: per_token(after.dispatches, before.dispatches),
            submits: per_token(after.submits, before.submits),
            readbacks: per_token(after.readbacks, before.readbacks),
            read_bytes: per_token(after.read_bytes, before.read_bytes),
            speculated,
            again,
            reading: None,
            text: running.swap_remove(0).text,
        })
    }

    /// Prints a measurement; `one`: tokens a second of one sequence, if that was measured.
    fn tell(&self, decoder: &LoadedDecoder, m: &Measured, one: Option<f64>, load_seconds: f64) -> Result<()> {
        let info = decoder.info();
        let ratio = one.map(|one| m.gen_speed / one);
        if !self.json {
            let (kind, adapter) = (info.engine.kind, info.engine.description);
            let behind = if m.position > 0 { format!("behind {} positions, ", m.position) } else { String::new() };
            let together = if m.sequences > 1 { format!("{} sequences, ", m.sequences) } else { String::new() };
            let times = ratio.filter(|_| m.sequences > 1).map(|ratio| format!(" ({ratio:.2} times those of one)"));
            let again = m.again.map_or_else(String::new, |(cached, seconds)| {
                format!(", again with {cached} tokens remembered: first token after {seconds:.3} s")
            });
            let reading = m.reading.map_or_else(String::new, |(bytes_s, part)| {
                format!(", {part:.2} of the {:.1} GB/s that its threads read", bytes_s / 1e9)
            });
            return print(&format!(
                "{kind} ({adapter}): {behind}{together}prompt {:.1} tokens/s, generation {:.1} tokens/s{}{reading}{again}\n",
                m.prompt_speed,
                m.gen_speed,
                times.unwrap_or_default()
            ));
        }
        print_json(&json!({
            "engine": info.engine.kind,
            "adapter": info.engine.description,
            "synthetic": self.synthetic.synthetic,
            "layers": self.synthetic.layers,
            "loadSeconds": load_seconds,
            "position": m.position,
            "kv": info.kv_cache,
            "sequences": m.sequences,
            "promptTokens": m.prompt_tokens,
            "genTokens": self.gen_tokens * m.sequences,
            "promptTokensPerSecond": m.prompt_speed,
            "genTokensPerSecond": m.gen_speed,
            "timesOne": ratio,
            "dispatchesPerToken": m.dispatches,
            "submitsPerToken": m.submits,
            "readbacksPerToken": m.readbacks,
            "readBytesPerToken": m.read_bytes,
            "drafted": m.speculated.drafted,
            "accepted": m.speculated.accepted,
            "readBytesPerSecond": m.reading.map(|(bytes_s, _)| bytes_s),
            "partOfReading": m.reading.map(|(_, part)| part),
            "againCachedTokens": m.again.map(|(cached, _)| cached),
            "againSeconds": m.again.map(|(_, seconds)| seconds),
            "memoryBytes": info.memory_bytes,
            "text": m.text,
        }))
    }
}

/// A generation that is measured.
struct Answer {
    id: GenerationId,
    text: String,
    /// Whether its first token has come.
    begun: bool,
    ended: bool,
}

/// What was measured of all sequences together; rates of work are for each token.
struct Measured {
    position: usize,
    sequences: usize,
    prompt_tokens: usize,
    prompt_speed: f64,
    gen_speed: f64,
    dispatches: f64,
    submits: f64,
    readbacks: f64,
    read_bytes: f64,
    speculated: Speculated,
    /// See [`ask_again`].
    again: Option<(usize, f64)>,
    /// Bytes of memory that the threads read in a second, and the part of it that decoding reads.
    reading: Option<(f64, f64)>,
    text: String,
}

/// Does a step of each answer in turn until all are `done`.
async fn in_turns(
    decoder: &mut LoadedDecoder,
    drafts: &mut Drafts,
    answers: &mut [Answer],
    done: impl Fn(&Answer) -> bool,
) -> Result<()> {
    while !answers.iter().all(&done) {
        for answer in answers.iter_mut().filter(|answer| !done(answer)) {
            drafts.give(decoder, answer.id).await?;
            match decoder.next(answer.id).await? {
                Event::Prompt { .. } => continue,
                Event::Token { text, .. } => answer.text += &text,
                Event::End { text, .. } => {
                    answer.text += &text;
                    answer.ended = true;
                }
            }
            answer.begun = true;
        }
    }
    Ok(())
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

/// `tokens` ids, spread over the vocabulary, with another beginning for each `number`.
fn made_up_prompt(number: usize, tokens: usize, vocab: usize) -> Vec<u32> {
    (0..tokens).map(|i| ((i * 7919 + 13 + 101 * number) % vocab) as u32).collect()
}

/// Writes random keys and values for these ids, as if the model had read them; a model with layers
/// that keep a state does read them.
async fn fill(decoder: &mut LoadedDecoder, ids: &[u32]) -> Result<()> {
    let info = decoder.info();
    if info.kv_width == 0 {
        let options = GenerateOptions { prefill: true, ..Default::default() };
        let reading = decoder.start(ids.to_vec(), options, 0)?;
        while !matches!(decoder.next(reading).await?, Event::End { .. }) {}
        decoder.stop(reading);
        return Ok(());
    }
    let value = |i: usize| (i * 7919 % PATTERN) as f32 / PATTERN as f32 - 0.5;
    let values: Vec<f32> = (0..info.kv_width * ids.len()).map(value).collect();
    let restoring = decoder.restore(ids.to_vec(), OWNER)?;
    for layer in 0..info.layers {
        decoder.write_kv(restoring, layer, &values).await?;
    }
    decoder.restored(restoring).await
}
