//! Perplexity.

use serde_json::json;
use weft_llm::inference::{LoadedDecoder, negative_log_likelihood};
use weft_llm::{Error, Result};

use super::{encode, print_json};

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
