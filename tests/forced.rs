//! What a constraint forces is the answer that masks alone give, in fewer steps.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{speculate, support};

use speculate::{events_with, greedy, prompt};
use support::chats::{CONTEXT, engines, load, tiny};
use support::tiny::VOCAB;
use weft_llm::inference::{Event, FinishReason, GenerateOptions, LoadedDecoder};

/// The text of all answers, where two tokens may be any letter between the keys. A token is a byte;
/// a space would be three, none of which is a space.
const TEXT: &str = r#"{"name":"**","street":"**","years":**,"town":"**"}"#;

/// The forced text behind this many tokens.
fn rest(at: usize) -> &'static str {
    TEXT[at..].split('*').next().unwrap()
}

fn mask(at: usize) -> Vec<u32> {
    let mut mask = vec![0; VOCAB.div_ceil(32)];
    let mut allow = |id: u32| mask[id as usize / 32] |= 1 << (id % 32);
    match TEXT.as_bytes()[at] {
        b'*' => (b'a'..=b'z').for_each(|byte| allow(3 + u32::from(byte))),
        byte => allow(3 + u32::from(byte)),
    }
    mask
}

/// The events of an answer, its tokens that were not drawn, and its dispatches.
fn answer(decoder: &mut LoadedDecoder, options: &GenerateOptions, forces: bool) -> (Vec<Event>, usize, u64) {
    let options = GenerateOptions { constrained: true, ..options.clone() };
    let before = decoder.engine().counters().dispatches;
    let (mut masked, mut left, mut all) = (None, 0, 0);
    let (events, _) = events_with(decoder, &prompt(1), &options, |decoder, generation, ids| {
        let at = ids.len();
        if at == TEXT.len() || masked.replace(at) == Some(at) {
            return;
        }
        left -= usize::from(left > 0);
        if left > 0 {
            return;
        }
        decoder.allow(generation, mask(at)).unwrap();
        if forces && !rest(at).is_empty() {
            left = decoder.force(generation, rest(at)).unwrap();
            all += left;
        }
    });
    (events, all, decoder.engine().counters().dispatches - before)
}

#[test]
fn what_a_constraint_forces_is_computed_together() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(42));
        let options = greedy(TEXT.len());
        // the programs are made
        answer(&mut decoder, &options, true);
        let (expected, _, all) = answer(&mut decoder, &options, false);
        let (got, forced, few) = answer(&mut decoder, &options, true);
        assert_eq!(got, expected, "{name}");
        // of each of five runs, all but the last
        assert_eq!(forced, TEXT.bytes().filter(|byte| *byte != b'*').count() - 5, "{name}");
        assert!(2 * few < all, "{name}: {few} of {all}");
    }
}

#[test]
fn a_stop_string_and_the_last_token_end_a_run() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(43));
        let stopped = GenerateOptions { stop: vec!["tree".into()], ..greedy(TEXT.len()) };
        for (options, reason) in [(stopped, FinishReason::Stop), (greedy(20), FinishReason::Length)] {
            let (expected, ..) = answer(&mut decoder, &options, false);
            let (got, ..) = answer(&mut decoder, &options, true);
            assert_eq!(got, expected, "{name}");
            assert!(matches!(got.last(), Some(Event::End { reason: end, .. }) if *end == reason), "{name}");
        }
    }
}

#[test]
fn a_context_that_is_full_within_a_run_goes_on() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(44));
        let room = CONTEXT - prompt(1).len();
        // it is full within the third run
        let options = GenerateOptions { shift_behind: Some(4), ..greedy(TEXT.len()) };
        let pad = room.saturating_sub(30);
        let long = [vec![9; pad], prompt(1)].concat();
        let run = |decoder: &mut LoadedDecoder, forces: bool| {
            let options = GenerateOptions { constrained: true, ..options.clone() };
            let (mut masked, mut left) = (None, 0_usize);
            events_with(decoder, &long, &options, |decoder, generation, ids| {
                if ids.len() == TEXT.len() || masked.replace(ids.len()) == Some(ids.len()) {
                    return;
                }
                left = left.saturating_sub(1);
                if left == 0 {
                    decoder.allow(generation, mask(ids.len())).unwrap();
                    if forces && !rest(ids.len()).is_empty() {
                        left = decoder.force(generation, rest(ids.len())).unwrap();
                    }
                }
            })
            .0
        };
        let expected = run(&mut decoder, false);
        assert_eq!(run(&mut decoder, true), expected, "{name}");
        assert_eq!(expected.len(), TEXT.len() + 1, "{name}");
    }
}

#[test]
fn tokens_whose_probabilities_are_asked_for_are_drawn() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(45));
        let options = GenerateOptions { top_logprobs: Some(2), ..greedy(TEXT.len()) };
        let (events, forced, _) = answer(&mut decoder, &options, true);
        let told = |event: &Event| matches!(event, Event::Token { logprobs: Some(_), .. } | Event::End { .. });
        assert!(forced == 0 && events.iter().all(told), "{name}");
    }
}
