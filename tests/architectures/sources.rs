//! Models with an encoder and a decoder: a source text at once, and the target at once, in chunks
//! and token by token.

use pollster::block_on;
use weft_llm::Error;
use weft_llm::inference::{EmbedOptions, GenerateOptions, GenerationId, LoadedDecoder, Speculate};
use weft_llm::sampling::SamplingOptions;

use super::{ENGINES, Prompt, TOLERANCE, difference, open};
use crate::support::chats::{in_turns, options};
use crate::support::tiny::greedy;

/// The logits of a target behind a source text: (target, vocabulary).
pub fn logits_behind(decoder: &mut LoadedDecoder, source: &[u32], target: &[u32]) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    block_on(decoder.logits_behind(source, target, |_, logits| rows.push(logits.to_vec()))).unwrap();
    rows
}

/// What differs from the golden logits.
pub fn check(case: &str, prompts: &[Prompt], open: &dyn Fn(Option<usize>) -> LoadedDecoder) -> Vec<String> {
    let mut wrong = Vec::new();
    for Prompt { ids, decoder_input_ids, logits: expected, .. } in prompts {
        let target = decoder_input_ids.as_ref().unwrap();
        let mut decoder = open(Some(ids.len() + target.len()));
        let delta = difference(&logits_behind(&mut decoder, ids, target), expected);
        println!("{case}, {} and {} ids: {delta:.1e}", ids.len(), target.len());
        if delta > TOLERANCE {
            wrong.push(format!("{case}, {} and {} ids: {delta:.1e}", ids.len(), target.len()));
        }
    }
    wrong.extend(steps(case, &prompts[1], &mut open(None)));
    wrong
}

/// Token by token against chunks: each token of a greedy answer has the best logit among those of
/// all at once.
fn steps(case: &str, Prompt { ids, decoder_input_ids, .. }: &Prompt, decoder: &mut LoadedDecoder) -> Option<String> {
    let generated = greedy(decoder, ids, 40);
    assert_eq!(generated.len(), 40);
    let start = decoder_input_ids.as_ref().unwrap()[0];
    let all = [&[start], &generated[..39]].concat();
    let rows = logits_behind(decoder, ids, &all);
    let best = |row: &[f32]| row.iter().fold(f32::NEG_INFINITY, |best, &logit| best.max(logit));
    let is_wrong = |(row, &id): (&Vec<f32>, &u32)| best(row) - row[id as usize] > TOLERANCE * best(row).abs();
    let place = rows.iter().zip(&generated).position(is_wrong)?;
    Some(format!("{case}: {} at {place}", generated[place]))
}

fn loaded(engine: usize) -> (&'static str, LoadedDecoder) {
    let path = format!("{}/tests/fixtures/architectures/t5/model.gguf", env!("CARGO_MANIFEST_DIR"));
    let (name, make) = ENGINES[engine];
    let model = open(make(), &std::fs::read(path).unwrap(), None).unwrap();
    (name, model.into_decoder("generate").unwrap())
}

fn started(decoder: &mut LoadedDecoder, source: &[u32], speculate: Option<Speculate>) -> GenerationId {
    decoder.start(source.to_vec(), GenerateOptions { speculate, ..options(None, 9) }, 0).unwrap()
}

/// Texts that begin alike: one is the beginning of another, and one ends otherwise.
fn sources() -> [Vec<u32>; 3] {
    let long: Vec<u32> = (0..70).map(|i| 3 + i * 17 % 59).collect();
    let mut other = long.clone();
    other[69] += 1;
    [long[..64].to_vec(), other, long]
}

#[test]
fn each_answer_is_that_of_its_own_source() {
    for engine in 0..ENGINES.len() {
        let alone = sources().map(|source| {
            let (_, mut decoder) = loaded(engine);
            let id = started(&mut decoder, &source, None);
            in_turns(&mut decoder, &[id]).remove(0)
        });
        assert!(alone[0] != alone[1] && alone[1] != alone[2] && alone[0] != alone[2], "{alone:?}");
        let (name, mut decoder) = loaded(engine);
        // one after the other, where the prefix cache has the ones before, and all at once
        for (source, alone) in sources().iter().zip(&alone) {
            for cached in [0, source.len()] {
                let id = started(&mut decoder, source, None);
                assert_eq!(decoder.cached_tokens(id), cached, "{name}");
                assert_eq!(&in_turns(&mut decoder, &[id])[0], alone, "{name}");
            }
        }
        block_on(decoder.forget()).unwrap();
        for _ in 0..2 {
            let ids = sources().map(|source| started(&mut decoder, &source, None));
            assert_eq!(in_turns(&mut decoder, &ids), alone, "{name}");
        }
    }
}

#[test]
fn an_answer_goes_on_where_it_was_lost_and_may_be_drafted() {
    for engine in 0..ENGINES.len() {
        let source = &sources()[2];
        let (name, mut decoder) = loaded(engine);
        let id = started(&mut decoder, source, None);
        let whole = in_turns(&mut decoder, &[id]).remove(0);
        for generated in [1, 5, 8] {
            for forgets in [false, true] {
                if forgets {
                    block_on(decoder.forget()).unwrap();
                }
                let id = started(&mut decoder, source, None);
                decoder.resume(id, &whole[..generated]).unwrap();
                assert_eq!(in_turns(&mut decoder, &[id])[0], whole[generated..], "{name}, {generated}");
            }
        }
        let id = started(&mut decoder, source, Some(Speculate::Lookup));
        assert_eq!(in_turns(&mut decoder, &[id])[0], whole, "{name}, with drafts");
    }
}

/// A penalty that rules out what came before: ids of the source may still come, and none twice.
#[test]
fn penalties_count_the_answer_alone() {
    let source = sources()[2].clone();
    let (_, mut decoder) = loaded(0);
    let id = started(&mut decoder, &source, None);
    let first = in_turns(&mut decoder, &[id])[0][0];
    assert!(source.contains(&first), "{first}");
    let mut answers = Vec::new();
    for engine in 0..ENGINES.len() {
        let (_, mut decoder) = loaded(engine);
        let sampling = SamplingOptions { presence_penalty: 1e4, ..SamplingOptions::greedy() };
        let id = decoder.start(source.clone(), GenerateOptions { sampling, ..options(None, 9) }, 0).unwrap();
        answers.push(in_turns(&mut decoder, &[id]).remove(0));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let mut once = answers[0].clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((answers[0][0], once.len()), (first, 9), "{answers:?}");
}

#[test]
fn what_needs_one_text_is_refused() {
    let (_, mut decoder) = loaded(0);
    let refused = |result: Result<(), Error>| match result {
        Err(Error::UnsupportedTask { can, .. }) => assert_eq!(can, "generate"),
        other => panic!("{other:?}"),
    };
    refused(block_on(decoder.score(&[5, 6, 7], 1, false)).map(drop));
    refused(block_on(decoder.embed(&["a"], EmbedOptions::default())).map(drop));
    refused(block_on(decoder.logits(&[5, 6], |_, _| {})));
    refused(decoder.inspect(vec![5, 6], Default::default()).map(drop));
    refused(decoder.start_draft(vec![5, 6], 3).map(drop));
    let speculate = Some(Speculate::Given { cost: 0.1 });
    refused(decoder.start(vec![5, 6], GenerateOptions { speculate, ..Default::default() }, 0).map(drop));
    let saved = block_on(decoder.read_kv(0, &[5, 6], None)).unwrap_err().to_string();
    assert!(saved.contains("its text is read again"), "{saved}");
    assert_eq!(decoder.info().kv_width, 0);
    let too_long = decoder.start(vec![5; 96], GenerateOptions::default(), 0).unwrap_err();
    assert!(matches!(too_long, Error::ContextOverflow { needed: 98, context: 96 }), "{too_long}");
}
