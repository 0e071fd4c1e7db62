//! Answers with drafts of another model are those without.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::speculate::{assert_near, events, events_with, greedy, ids, narrow, prompt, text, variations};
use crate::support;

use std::collections::BTreeMap;

use pollster::block_on;
use support::Rng;
use support::chats::{CONTEXT, engines, in_turns, load, tiny, tiny_for};
use support::tiny::{Tiny, VOCAB, decoder_on};
use weft_llm::Result;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::{Array, Value};
use weft_llm::inference::{Event, GenerateOptions, GenerationId, LoadedDecoder, Speculate, Speculated};

/// A model with one of the two layers of `tiny(seed)`: it often says the same.
fn pruned(seed: u64) -> Vec<u8> {
    let mut model = tiny_for(CONTEXT, seed).meta("llama.block_count", 1u32);
    model.tensors.retain(|name, _| !name.starts_with("blk.1."));
    model.bytes()
}

fn drafted(options: &GenerateOptions, cost: f32) -> GenerateOptions {
    GenerateOptions { speculate: Some(Speculate::Given { cost }), ..options.clone() }
}

/// A model that drafts for the answers of another one.
struct Drafter {
    model: LoadedDecoder,
    handles: BTreeMap<GenerationId, GenerationId>,
    /// How many it made.
    drafts: usize,
}

impl Drafter {
    fn new(engine: &SharedEngine, bytes: &[u8]) -> Self {
        Self::of(load(engine, bytes))
    }

    fn of(model: LoadedDecoder) -> Self {
        Self { model, handles: BTreeMap::new(), drafts: 0 }
    }

    fn propose(&mut self, answer: GenerationId, tokens: &[u32], most: usize) -> Result<Vec<u32>> {
        let Self { model, handles, drafts } = self;
        let handle = match handles.get(&answer) {
            Some(&begun) => {
                model.restart_draft(begun, tokens.to_vec(), most)?;
                begun
            }
            None => model.start_draft(tokens.to_vec(), most)?,
        };
        handles.insert(answer, handle);
        loop {
            if let Some(draft) = block_on(model.propose(handle))? {
                assert!((1..=most).contains(&draft.len()), "{} of {most}", draft.len());
                *drafts += 1;
                return Ok(draft);
            }
        }
    }

    /// Gives an answer the draft that it wants; no more where this model cannot go on.
    fn give(&mut self, decoder: &mut LoadedDecoder, answer: GenerationId) {
        let Some((tokens, most)) = decoder.wants_draft(answer) else { return };
        let draft = self.propose(answer, tokens, most).unwrap_or_default();
        decoder.give_draft(answer, draft).unwrap();
    }

    fn events(
        &mut self,
        decoder: &mut LoadedDecoder,
        prompt: &[u32],
        options: &GenerateOptions,
        mut before: impl FnMut(&mut LoadedDecoder, GenerationId, &[u32]),
    ) -> (Vec<Event>, Speculated) {
        let got = events_with(decoder, prompt, options, |decoder, answer, ids| {
            before(decoder, answer, ids);
            self.give(decoder, answer);
        });
        std::mem::take(&mut self.handles).into_values().for_each(|handle| self.model.stop(handle));
        got
    }
}

#[test]
fn greedy_answers_have_the_same_ids() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(31));
        for (bytes, near) in [(pruned(31), true), (tiny(99), false)] {
            let mut drafter = Drafter::new(&engine, &bytes);
            let (mut all, mut first) = (Speculated::default(), 0);
            for seed in 0..if name == "cpu" { 200 } else { 10 } {
                let (expected, _) = events(&mut decoder, &prompt(seed), &greedy(48));
                let options = drafted(&greedy(48), 0.1);
                let (got, counts) = drafter.events(&mut decoder, &prompt(seed), &options, |_, _, _| {});
                assert_eq!(got, expected, "{name} {seed}");
                all.drafted += counts.drafted;
                all.accepted += counts.accepted;
                first += usize::from(counts.drafted > 0);
            }
            assert!(first > 0 && all.accepted < all.drafted, "{name}: {all:?}");
            assert!(!near || 8 * all.accepted > all.drafted, "{name}: {all:?}");
        }
    }
}

#[test]
fn sampled_answers_are_the_same_for_a_seed() {
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(32)), Drafter::new(&engine, &pruned(32)));
        let mut accepted = 0;
        for options in &variations() {
            for seed in [1, 2] {
                let (expected, _) = events(&mut decoder, &prompt(seed), options);
                let held = decoder.held_blocks();
                let options = drafted(options, 0.1);
                let (got, counts) = drafter.events(&mut decoder, &prompt(seed), &options, |_, _, _| {});
                assert_near(name, &got, &expected);
                assert_eq!(decoder.held_blocks(), held, "{name}: the blocks of drafts are given back");
                accepted += counts.accepted;
            }
        }
        assert!(accepted > 0, "{name}");
    }
}

#[test]
fn stop_strings_end_an_answer_at_the_same_place() {
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(33)), Drafter::new(&engine, &pruned(33)));
        let all: String = events(&mut decoder, &prompt(1), &greedy(60)).0.iter().map(text).collect();
        let chars: Vec<char> = all.chars().collect();
        for at in [1, chars.len() / 2, chars.len() - 3] {
            let options = GenerateOptions { stop: vec![chars[at..at + 2].iter().collect()], ..greedy(60) };
            let expected = events(&mut decoder, &prompt(1), &options).0;
            let got = drafter.events(&mut decoder, &prompt(1), &drafted(&options, 0.1), |_, _, _| {});
            assert_eq!(got.0, expected, "{name}");
        }
    }
}

#[test]
fn masks_hold_in_drafts_and_what_they_force_comes_first() {
    let mask = |decoder: &mut LoadedDecoder, answer: GenerationId, ids: &[u32]| {
        let mut mask = vec![0; VOCAB.div_ceil(32)];
        let mut allow = |id: u32| mask[id as usize / 32] |= 1 << (id % 32);
        // every tenth begins a word, of which nothing is left to choose
        match ids.len() % 10 {
            at @ 5.. => allow(3 + u32::from(b"abcde"[at - 5])),
            _ => (0..VOCAB as u32).for_each(allow),
        }
        decoder.allow(answer, mask).unwrap();
        if let at @ 5.. = ids.len() % 10 {
            decoder.force(answer, &"abcde"[at - 5..]).unwrap();
        }
    };
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(34)), Drafter::new(&engine, &pruned(34)));
        for seed in [1, 2, 3] {
            let options = GenerateOptions { constrained: true, ..narrow(seed, 80) };
            let expected = events_with(&mut decoder, &prompt(seed), &options, mask).0;
            let got = drafter.events(&mut decoder, &prompt(seed), &drafted(&options, 0.0), mask).0;
            assert_near(name, &got, &expected);
            assert!(ids(&got)[5..10].iter().map(|&id| (id - 3) as u8).eq(*b"abcde"), "{name}");
        }
        assert!(drafter.drafts > 9, "{name}: {}", drafter.drafts);
    }
}

/// The model is its own draft: all is right, and the steps are few.
#[test]
fn a_draft_that_is_right_saves_steps() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(35));
        let mut drafter = Drafter::new(&engine, &tiny(35));
        let (expected, _) = events(&mut decoder, &prompt(1), &greedy(41));
        let mut steps = 0;
        let count = |decoder: &mut LoadedDecoder, answer: GenerationId, _: &[u32]| {
            steps += usize::from(decoder.wants_draft(answer).is_some());
        };
        let (got, Speculated { drafted, accepted }) =
            drafter.events(&mut decoder, &prompt(1), &drafted(&greedy(41), 0.0), count);
        assert_eq!(got, expected, "{name}");
        assert_eq!(drafted, accepted, "{name}");
        // a token from the prompt's step, then nine steps of four and one of three
        let fewest = if name == "gpu" { 4..8 } else { 10..11 };
        assert!(accepted >= 28 && fewest.contains(&steps), "{name}: {accepted} in {steps} steps");
    }
}

#[test]
fn drafts_that_do_not_pay_end() {
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(36)), Drafter::new(&engine, &tiny(98)));
        let (expected, _) = events(&mut decoder, &prompt(1), &greedy(300));
        let mut last = 0;
        let asked = |decoder: &mut LoadedDecoder, answer: GenerationId, ids: &[u32]| {
            if decoder.wants_draft(answer).is_some() {
                last = ids.len();
            }
        };
        let (got, counts) = drafter.events(&mut decoder, &prompt(1), &drafted(&greedy(300), 0.3), asked);
        assert_eq!(got, expected, "{name}");
        assert!(counts.drafted > 0 && counts.drafted < 20 && last < 100, "{name}: {counts:?}, until {last}");
    }
}

#[test]
fn a_draft_model_that_ends_loses_nothing() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(37));
        let (expected, _) = events(&mut decoder, &prompt(1), &greedy(80));
        // its context is full after a while; its vocabulary is smaller than the ids
        let mut short = load_short(&engine, 60);
        for cut in [0, 10] {
            let mut drafter = Drafter::of(short);
            let (mut given, mut last) = (0, usize::MAX);
            let (got, counts) =
                events_with(&mut decoder, &prompt(1), &drafted(&greedy(80), 0.0), |decoder, answer, ids| {
                    let Some((tokens, most)) = decoder.wants_draft(answer) else { return };
                    assert_eq!(last, usize::MAX, "{name}: no more are wanted");
                    let draft = if cut > 0 && ids.len() >= cut {
                        Vec::new()
                    } else {
                        drafter.propose(answer, tokens, most).unwrap_or_default()
                    };
                    if draft.is_empty() {
                        last = ids.len();
                    }
                    given += draft.len();
                    decoder.give_draft(answer, draft).unwrap();
                });
            assert_eq!(got, expected, "{name}");
            assert!(counts.drafted == given && given > 0 && last < 40, "{name}: {counts:?}, until {last}");
            std::mem::take(&mut drafter.handles).into_values().for_each(|handle| drafter.model.stop(handle));
            short = drafter.model;
        }
    }
}

fn load_short(engine: &SharedEngine, context: usize) -> LoadedDecoder {
    support::chats::load_for(context, engine, &tiny(37))
}

#[test]
fn several_answers_have_drafts_of_one_model() {
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(38)), Drafter::new(&engine, &pruned(38)));
        let options = [narrow(1, 60), greedy(90), narrow(2, 30)];
        let alone = |(options, i): (&GenerateOptions, u64)| ids(&events(&mut decoder, &prompt(i), options).0);
        let expected: Vec<_> = options.iter().zip(1..).map(alone).collect();
        block_on(decoder.forget()).unwrap();
        let start = |(options, i): (&GenerateOptions, u64)| {
            decoder.start(prompt(i), if i == 3 { options.clone() } else { drafted(options, 0.05) }, 0).unwrap()
        };
        let generations: Vec<_> = options.iter().zip(1..).map(start).collect();
        let mut answers = vec![Vec::new(); 3];
        let mut under_way = [true; 3];
        while under_way.contains(&true) {
            for (i, &generation) in generations.iter().enumerate().filter(|(i, _)| under_way[*i]).collect::<Vec<_>>() {
                drafter.give(&mut decoder, generation);
                match block_on(decoder.next(generation)).unwrap() {
                    Event::Token { id, .. } => answers[i].push(id),
                    Event::Prompt { .. } => {}
                    Event::End { .. } => under_way[i] = false,
                }
            }
        }
        assert_eq!(answers, expected, "{name}");
        let all: usize = generations.iter().map(|&generation| decoder.speculated(generation).drafted).sum();
        // the CPU engine computes them together, and drafts for the last one
        assert!(all > 0, "{name}");
        generations.iter().for_each(|&generation| decoder.stop(generation));
    }
}

#[test]
fn a_generation_with_drafts_resumes() {
    for (name, engine) in engines() {
        let (mut decoder, mut drafter) = (load(&engine, &tiny(39)), Drafter::new(&engine, &pruned(39)));
        let options = drafted(&narrow(3, 60), 0.1);
        let expected = ids(&events(&mut decoder, &prompt(2), &options).0);
        for cut in [1, 40] {
            block_on(decoder.forget()).unwrap();
            let generation = decoder.start(prompt(2), options.clone(), 0).unwrap();
            decoder.resume(generation, &expected[..cut]).unwrap();
            let mut answer = expected[..cut].to_vec();
            while answer.len() < 60 {
                drafter.give(&mut decoder, generation);
                if let Event::Token { id, .. } = block_on(decoder.next(generation)).unwrap() {
                    answer.push(id);
                }
            }
            assert_eq!(answer, expected, "{name} {cut}");
            assert!(decoder.speculated(generation).drafted > 0, "{name} {cut}");
            decoder.stop(generation);
        }
    }
}

/// Whatever was drafted before: behind a text come the tokens that come in an answer to it.
#[test]
fn a_draft_is_what_the_model_says_itself() {
    for (name, engine) in engines() {
        let bytes = tiny(40);
        let (mut decoder, mut drafter) = (load(&engine, &bytes), Drafter::new(&engine, &bytes));
        let answer = GenerationId::from(0);
        let (mut rng, mut tokens) = (Rng::new(5), prompt(4));
        for _ in 0..40 {
            // a part of it stays, and something follows
            tokens.truncate(1 + rng.below(tokens.len()));
            let (more, most) = (1 + rng.below(9), 1 + rng.below(5));
            tokens.extend(rng.ids(more, VOCAB));
            let got = drafter.propose(answer, &tokens, most).unwrap();
            assert_eq!(got, ids(&events(&mut decoder, &tokens, &greedy(most)).0), "{name} behind {}", tokens.len());
            if rng.below(2) == 0 {
                tokens.extend(got);
            }
        }
        let held = drafter.model.held_blocks();
        drafter.model.stop(drafter.handles[&answer]);
        assert!(drafter.model.held_blocks() <= held, "{name}");
        let wrong = drafter.propose(answer, &[1], 1).unwrap_err().to_string();
        assert!(wrong.contains("restart_draft"), "{name}: {wrong}");
        let begun = drafter.model.start_draft(vec![1], 1).unwrap();
        for (ids, told) in
            [(vec![], "at least one token"), (vec![VOCAB as u32], "vocabulary"), (vec![1; CONTEXT], "context")]
        {
            let wrong = drafter.model.restart_draft(begun, ids, 1).unwrap_err().to_string();
            assert!(wrong.contains(told), "{name}: {wrong}");
        }
        assert_eq!(in_turns(&mut drafter.model, &[begun])[0].len(), 1, "{name}: the draft is as it was");
    }
}

#[test]
fn a_vocabulary_is_known_by_its_tokens() {
    let of = |change: &dyn Fn(&mut Vec<String>, &mut Vec<i32>)| {
        let mut model = Tiny::new(41, |_| weft_llm::format::BlockType::Q8_0);
        let find = |key: &str| model.metadata.iter().find(|(name, _)| name == key).unwrap().1.clone();
        let Value::Array(Array::Strings(mut tokens)) = find("tokenizer.ggml.tokens") else { panic!() };
        let Value::Array(Array::I32(mut types)) = find("tokenizer.ggml.token_type") else { panic!() };
        change(&mut tokens, &mut types);
        let (count, hidden) = (tokens.len(), support::tiny::HIDDEN);
        model = model.meta("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0; count])));
        model = model.meta("tokenizer.ggml.tokens", Value::Array(Array::Strings(tokens)));
        model = model.meta("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
        let data = Rng::new(1).rows(weft_llm::format::BlockType::F32, count, hidden);
        let table = model.tensors.get_mut("token_embd.weight").unwrap();
        (table.dims[1], table.block, table.data) = (count as u64, weft_llm::format::BlockType::F32, data);
        let decoder = decoder_on(HostEngine::new(Reference), &model.bytes()).unwrap();
        (decoder.vocabulary_fingerprint(), decoder.info().vocabulary_fingerprint.unwrap())
    };
    let (own, told) = of(&|_, _| {});
    assert_eq!(told, format!("{own:016x}"));
    let padded = of(&|tokens, types| {
        (0..5).for_each(|i| tokens.push(format!("[PAD{i}]")));
        types.extend([5; 5]);
    });
    assert_eq!(padded.0, own);
    let mut seen = std::collections::BTreeSet::new();
    for (what, other) in [
        ("more", of(&|tokens, types| (tokens.push("abc".into()), types.push(1)).1)),
        ("other bytes", of(&|tokens, types| (tokens[20] = "z".into(), types[20] = 1).1)),
        ("another order", of(&|tokens, _| tokens.swap(30, 31))),
        ("a special token more", of(&|tokens, types| (tokens.push("abc".into()), types.push(3)).1)),
    ] {
        assert_ne!(other.0, own, "{what}");
        assert!(seen.insert(other.0), "{what}");
    }
}
