//! Speed of embedding many short texts.

use std::time::Instant;

use serde_json::json;
use weft_llm::Result;
use weft_llm::inference::{EmbedOptions, LoadedModel};

use super::{print, print_json};

/// Sentences that the texts are made of.
const SENTENCES: [&str; 8] = [
    "Where can I leave my bicycle while it rains?",
    "The invoice of last month has not been paid yet.",
    "Please send the parcel to our new address in town.",
    "A short walk after lunch keeps you awake in the afternoon.",
    "How do I change the language of the page?",
    "The train to the coast leaves from platform four.",
    "Our library is closed on the first Monday of the month.",
    "Does this soup contain nuts or milk?",
];

/// Embeds `count` texts of a sentence each, one call for each text and then in calls with all that
/// are left.
pub async fn bench(model: &mut LoadedModel, count: usize, in_json: bool) -> Result<()> {
    let sentence = |number: usize| format!("{number}. {}", SENTENCES[number % SENTENCES.len()]);
    let texts: Vec<String> = (0..count).map(sentence).collect();
    let mut speeds = [0.0; 2];
    let mut steps = 0;
    for (most, speed) in [1, count].into_iter().zip(&mut speeds) {
        let (start, mut done) = (Instant::now(), 0);
        steps = 0;
        while done < count {
            steps += 1;
            done += model.embed(&texts[done..(done + most).min(count)], EmbedOptions::default()).await?.len();
        }
        *speed = count as f64 / start.elapsed().as_secs_f64();
    }
    let [alone, together] = speeds;
    let engine = model.info().engine;
    if !in_json {
        let (kind, adapter) = (engine.kind, engine.description);
        let times = together / alone;
        return print(&format!(
            "{kind} ({adapter}): {together:.1} texts/s in {steps} steps, {times:.2} times those of one at a time\n"
        ));
    }
    print_json(&json!({
        "engine": engine.kind,
        "adapter": engine.description,
        "texts": count,
        "steps": steps,
        "textsPerSecond": together,
        "textsPerSecondAlone": alone,
        "timesAlone": together / alone,
    }))
}
