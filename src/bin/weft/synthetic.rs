//! Published models by their shapes.

use clap::Args;
use weft_llm::Result;
use weft_llm::cost::synthetic::{self, Mixture, Shape};

#[derive(Args)]
pub struct SyntheticArgs {
    /// A published model by its shapes: llama-8b, llama-3b, mistral-7b, phi3-mini, qwen3-0.6b,
    /// qwen2.5-0.5b, qwen2.5-1.5b, gemma3-4b, lfm2-1.2b, qwen3-8b or qwen3-30b-a3b.
    #[arg(long, conflicts_with = "model")]
    pub synthetic: Option<String>,
    /// How its weights are quantised: q4_k_m, q4_0 or q8_0.
    #[arg(long = "type", default_value = "q4_k_m", requires = "synthetic")]
    pub kind: String,
    /// Its first layers only.
    #[arg(long, conflicts_with = "model", requires = "synthetic")]
    pub layers: Option<usize>,
}

impl SyntheticArgs {
    /// The shapes, and the types of the weights; `None` if a file was given.
    pub fn shape(&self) -> Result<Option<(Shape, Mixture)>> {
        let Some(name) = &self.synthetic else { return Ok(None) };
        let shape = *synthetic::named(name)?;
        Ok(Some((self.layers.map_or(shape, |layers| shape.with_layers(layers)), Mixture::named(&self.kind)?)))
    }
}
