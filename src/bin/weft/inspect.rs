//! `weft inspect`: what a decoder computes while it reads a text.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};
use weft_llm::Result;
use weft_llm::inference::inspect::{
    InspectEvent, InspectOptions, LayerSeen, LensOptions, Seen, TokenProbability, TokenSeen,
};
use weft_llm::tokenizer::Message;

use super::adapters::AdapterArgs;
use super::{ModelArgs, encode, print, print_json, seconds_since_1970};

#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    adapters: AdapterArgs,
    /// The text.
    #[arg(short, long)]
    prompt: String,
    /// Formats the text with the model's chat template.
    #[arg(long)]
    chat: bool,
    /// Shows where each head of each layer looks most from the last token.
    #[arg(long)]
    attention: bool,
    /// Shows the next tokens that the output head would give after each layer (the logit lens).
    #[arg(long)]
    lens: bool,
    /// Number of most likely tokens to show.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Prints JSON, with the norms of all tokens, instead of tables.
    #[arg(long)]
    json: bool,
}

/// A layer, reduced to what is shown.
struct Layer {
    /// Counted from 0; `None` for the embedding.
    layer: Option<usize>,
    /// L2 norm of the residual stream after it, of each token.
    norms: Vec<f32>,
    /// The most likely tokens after the last one.
    lens: Vec<TokenProbability>,
    /// Of each head: the position that the last token attends to most, and the weight.
    attention: Vec<(usize, f32)>,
}

impl Inspect {
    pub async fn run(self) -> Result<()> {
        let mut decoder = self.model.load_any().await?.into_decoder("inspect")?;
        self.adapters.load(&mut decoder).await?;
        let ids = match self.chat {
            true => {
                decoder.chat_prompt(&vec![Message::new("user", self.prompt)].into(), seconds_since_1970() as i64)?
            }
            false => encode(decoder.tokenizer(), &self.prompt)?,
        };
        let top = self.top.into();
        let options = InspectOptions {
            attention: self.attention.then(Vec::new),
            hidden_states: true,
            lens: self.lens.then(|| LensOptions { top, ..LensOptions::default() }),
            next: Some(top),
            logprobs: true,
            ..InspectOptions::default()
        };
        let inspection = decoder.inspect(ids, options)?;
        let mut layers = Vec::new();
        let seen = loop {
            match decoder.inspect_next(inspection).await? {
                InspectEvent::Working => {}
                InspectEvent::Layer(seen) => layers.push(Layer::of(seen)),
                InspectEvent::End(seen) => break seen,
            }
        };
        if self.json { print_json(&as_json(&seen, &layers)) } else { print(&tables(&seen, &layers)) }
    }
}

impl Layer {
    fn of(seen: LayerSeen) -> Self {
        let norms = seen.norms.unwrap_or_default().0;
        let (tokens, weights) = (norms.len(), seen.attention.unwrap_or_default().0);
        // (heads, tokens, tokens): the last token's row of each head
        let rows = weights.chunks_exact((tokens * tokens).max(1)).map(|head| &head[head.len() - tokens..]);
        let strongest = |row: &[f32]| row.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        Self {
            layer: seen.layer,
            attention: rows.filter_map(strongest).collect(),
            norms,
            lens: seen.lens.into_iter().flatten().flat_map(|position| position.top).collect(),
        }
    }
}

/// The next tokens before the sampler changes anything.
fn next(seen: &Seen) -> &[TokenProbability] {
    seen.next.as_deref().and_then(|stages| stages.first()).map_or(&[], |stage| &stage.top)
}

fn as_json(seen: &Seen, layers: &[Layer]) -> Value {
    let token = |of: &TokenSeen| json!({ "id": of.id, "text": of.text, "special": of.special, "logprob": of.logprob });
    let layer = |of: &Layer| {
        let head =
            |(head, (at, weight)): (usize, &(usize, f32))| json!({ "head": head, "position": at, "weight": weight });
        let mut json = json!({ "layer": of.layer, "norms": of.norms });
        if !of.lens.is_empty() {
            json["lens"] = json!(of.lens);
        }
        if !of.attention.is_empty() {
            json["attention"] = of.attention.iter().enumerate().map(head).collect();
        }
        json
    };
    json!({
        "tokens": seen.tokens.iter().map(token).collect::<Vec<_>>(),
        "next": next(seen),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// Tables for people. Texts stand in quotes, since many begin with a space.
fn tables(seen: &Seen, layers: &[Layer]) -> String {
    let mut out = String::from("Tokens, with log-probabilities in nats\n  position       id    logprob  text\n");
    // writing to a string cannot fail
    for (position, TokenSeen { id, text, logprob, .. }) in seen.tokens.iter().enumerate() {
        let logprob = logprob.map_or_else(String::new, |logprob| format!("{logprob:.4}"));
        let _ = writeln!(out, "  {position:>8} {id:>8} {logprob:>10}  {text:?}");
    }
    out += "\nThe next token\n  probability       id  text\n";
    for TokenProbability { id, text, probability } in next(seen) {
        let _ = writeln!(out, "  {probability:>11.4} {id:>8}  {text:?}");
    }
    out += "\nL2 norm of the residual stream\n      layer  last token   smallest    largest\n";
    for Layer { layer, norms, .. } in layers {
        let (last, smallest) =
            (norms.last().copied().unwrap_or(0.0), norms.iter().copied().fold(f32::INFINITY, f32::min));
        let largest = norms.iter().copied().fold(0.0, f32::max);
        let _ = writeln!(out, "  {:>9}  {last:>10.3} {smallest:>10.3} {largest:>10.3}", name(*layer));
    }
    if layers.iter().any(|layer| !layer.lens.is_empty()) {
        out += "\nThe next token after each layer\n      layer  tokens and probabilities\n";
        for Layer { layer, lens, .. } in layers.iter().filter(|layer| !layer.lens.is_empty()) {
            let tops: Vec<_> = lens.iter().map(|of| format!("{:?} {:.3}", of.text, of.probability)).collect();
            let _ = writeln!(out, "  {:>9}  {}", name(*layer), tops.join("  "));
        }
    }
    if layers.iter().any(|layer| !layer.attention.is_empty()) {
        out += "\nStrongest attention of the last token\n      layer  head  position  weight  text\n";
        for Layer { layer, attention, .. } in layers {
            for (head, (position, weight)) in attention.iter().enumerate() {
                let text = seen.tokens.get(*position).map_or("", |token| &token.text);
                let _ = writeln!(out, "  {:>9}  {head:>4}  {position:>8}  {weight:>6.3}  {text:?}", name(*layer));
            }
        }
    }
    out
}

fn name(layer: Option<usize>) -> String {
    layer.map_or_else(|| "embedding".into(), |layer| layer.to_string())
}
