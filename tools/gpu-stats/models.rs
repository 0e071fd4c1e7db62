//! The programs of models of four sizes and of a mixture of experts, as their files in Q4_K_M hold
//! them.

use weft_llm::Result;
use weft_llm::cost::profiles::PROFILES;
use weft_llm::cost::synthetic::{self, Mixture};
use weft_llm::format::ModelReader;
use weft_llm::inference::{CostModel, CostOptions};
use weft_llm::ops::Recording;
use weft_llm::record::KvFormat;

const MODELS: [&str; 6] = ["qwen3-0.6b", "qwen2.5-1.5b", "llama-3b", "llama-8b", "gemma3-4b", "qwen3-30b-a3b"];

/// Tokens of the context: more than a chunk of a prompt.
const CONTEXT: usize = 4096;

/// Every program of a generation, of each model.
pub fn recordings() -> Result<Vec<Recording>> {
    let kv_format = KvFormat::F16;
    let options =
        CostOptions { prompt: CONTEXT, position: 0, kv_format, profile: &PROFILES[0], max_buffer_bytes: 2 << 30 };
    let mut recordings = Vec::new();
    for name in MODELS {
        let mut model = CostModel::new(ModelReader::default(), options)?;
        model.feed(&synthetic::named(name)?.header(Mixture::Q4KM))?;
        recordings.extend(model.recordings()?.into_iter().flatten());
    }
    Ok(recordings)
}
