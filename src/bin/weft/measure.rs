//! Perplexity and speed.

use std::time::Instant;

use serde_json::json;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, negative_log_likelihood};
use weft_llm::sampling::SamplingOptions;
use weft_llm::{Error, Result};

use super::{encode, print, print_json};

pub async fn perplexity(decoder: &mut LoadedDecoder, text: &str, ctx: usize, chunks: Option<usize>) -> Result<()> {
    if ctx < 3 {
        let expected = "at least 3, so that the second half has something to predict".into();
        return Err(Error::InvalidOption { name: "ctx".into(), expected, got: ctx.to_string() });
    }
    let ids = encode(decoder.tokenizer(), text)?;
    let windows = (ids.len() / ctx).min(chunks.unwrap_or(usize::MAX));
    if windows == 0 {
        let (expected, got) = (format!("at least {ctx} tokens"), ids.len().to_string());
        return Err(Error::InvalidOption { name: "file".into(), expected, got });
    }
    let bos = decoder.tokenizer().adds_bos().then(|| decoder.tokenizer().bos()).flatten();
    let (mut nll, mut count) = (0.0, 0usize);
    for window in ids.chunks_exact(ctx).take(windows) {
        let mut window = window.to_vec();
        if let Some(bos) = bos {
            window[0] = bos;
        }
        decoder
            .logits(&window, |position, logits| {
                if position >= ctx / 2 && position + 1 < ctx {
                    nll += negative_log_likelihood(logits, window[position + 1]);
                    count += 1;
                }
            })
            .await?;
    }
    let mean = nll / count as f64;
    print_json(&json!({ "perplexity": mean.exp(), "meanNll": mean, "tokens": count, "chunks": windows, "ctx": ctx }))
}

/// `tokens` ids, spread over the vocabulary.
pub fn made_up_prompt(tokens: usize, vocab: usize) -> Vec<u32> {
    (0..tokens).map(|i| ((i * 7919 + 13) % vocab) as u32).collect()
}

pub async fn bench(
    decoder: &mut LoadedDecoder,
    prompt: Vec<u32>,
    gen_tokens: usize,
    load_seconds: f64,
    as_json: bool,
) -> Result<()> {
    let prompt_tokens = prompt.len();
    let sampling = SamplingOptions::greedy();
    let options =
        GenerateOptions { max_tokens: Some(gen_tokens + 1), ignore_eos: true, sampling, ..Default::default() };
    let mut answer = String::new();
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
    let after = decoder.engine().counters();
    let per_token = |now: u64, then: u64| (now - then) as f64 / gen_tokens as f64;
    let info = decoder.info();
    let (prompt_speed, gen_speed) = (prompt_tokens as f64 / prompt_seconds, gen_tokens as f64 / gen_seconds);
    if !as_json {
        let (kind, adapter) = (info.engine.kind, info.engine.description);
        return print(&format!(
            "{kind} ({adapter}): prompt {prompt_speed:.1} tokens/s, generation {gen_speed:.1} tokens/s\n"
        ));
    }
    print_json(&json!({
        "engine": info.engine.kind,
        "adapter": info.engine.description,
        "loadSeconds": load_seconds,
        "promptTokens": prompt_tokens,
        "genTokens": gen_tokens,
        "promptTokensPerSecond": prompt_speed,
        "genTokensPerSecond": gen_speed,
        "dispatchesPerToken": per_token(after.dispatches, before.dispatches),
        "submitsPerToken": per_token(after.submits, before.submits),
        "readbacksPerToken": per_token(after.readbacks, before.readbacks),
        "memoryBytes": info.memory_bytes,
        "text": answer,
    }))
}
