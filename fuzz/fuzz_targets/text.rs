//! Tokens of any bytes → characters → text before a stop string: the same for any split of the
//! bytes into tokens.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weft_llm::tokenizer::{Detokenizer, StopMatcher, Tokenizer, Vocabulary};

#[derive(Arbitrary, Debug)]
struct Input {
    stops: Vec<String>,
    bytes: Vec<u8>,
}

/// One token per byte.
fn tokenizer() -> Tokenizer {
    let vocabulary = Vocabulary {
        model: "llama".into(),
        tokens: (0..256).map(|byte| format!("<0x{byte:02X}>")).collect(),
        scores: vec![0.0; 256],
        token_types: vec![6; 256],
        ..Vocabulary::default()
    };
    Tokenizer::new(vocabulary).unwrap()
}

/// A naive search: the text ends before the stop string that is complete first, the longest of
/// several.
fn stopped(text: &str, stops: &[String]) -> String {
    let ends = (1..=text.len()).filter(|&end| text.is_char_boundary(end));
    let complete = ends.map(|end| &text[..end]).find_map(|begin| {
        let longest = stops.iter().filter(|stop| begin.ends_with(*stop)).map(String::len).max()?;
        Some(begin[..begin.len() - longest].to_owned())
    });
    complete.unwrap_or_else(|| text.to_owned())
}

fuzz_target!(|input: Input| {
    let Input { stops, mut bytes } = input;
    let Ok(mut matcher) = StopMatcher::new(stops.clone()) else {
        assert!(stops.iter().any(String::is_empty));
        return;
    };
    bytes.truncate(2000); // the naive search takes quadratic time
    thread_local!(static TOKENIZER: Tokenizer = tokenizer());
    TOKENIZER.with(|tokenizer| {
        let mut stream = Detokenizer::new(true);
        let (mut whole, mut shown) = (String::new(), String::new());
        let mut take = |piece: String| {
            whole += &piece;
            shown += &matcher.push(&piece).emit;
        };
        for &byte in &bytes {
            take(stream.push(tokenizer, byte.into()).unwrap());
        }
        take(stream.flush());
        shown += &matcher.flush();
        assert_eq!(whole, String::from_utf8_lossy(&bytes));
        assert_eq!(shown, stopped(&whole, &stops));
    });
});
