//! Any vocabulary and any text: ids exist, plain text gives no structure, and decoding gives the
//! text back.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weft_llm::tokenizer::{Detokenizer, EncodeOptions, Text, Tokenizer, Vocabulary};

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    pre: u8,
    /// Begins with a normal token per byte, so that every text can be spelled.
    bytes: bool,
    /// Text, score and type; type 0 means an invalid one.
    tokens: Vec<(String, f32, u8)>,
    merges: Vec<(u8, u8)>,
    raw_merges: Vec<String>,
    named: [Option<u8>; 5],
    flags: [Option<bool>; 3],
    no_scores: bool,
    no_types: bool,
    charsmap: Vec<u8>,
    text: String,
    ids: Vec<u16>,
}

const KINDS: &[&str] = &["llama", "gpt2", "t5", "bert", "gemma4"];

const PRE: &[&str] =
    &["default", "gpt-2", "llama-bpe", "qwen2", "smollm", "nobody's", "gpt-4o", "tekken", "deepseek-llm"];

impl Input {
    fn kind(&self) -> &'static str {
        KINDS[usize::from(self.kind) % KINDS.len()]
    }

    fn byte_level(&self) -> bool {
        self.kind() == "gpt2"
    }
}

/// GPT-2's alphabet: printable bytes spell themselves, others the characters from U+0100 on.
fn alphabet() -> impl Iterator<Item = String> {
    let mut next = 0xff;
    (0..=255u8).map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
        _ => {
            next += 1;
            char::from_u32(next).unwrap().to_string()
        }
    })
}

fn vocabulary(input: &Input) -> Vocabulary {
    let mut tokens = Vec::new();
    let mut types = Vec::new();
    if input.bytes && input.byte_level() {
        tokens.extend(alphabet());
        types.resize(256, 1);
    } else if input.bytes {
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        types.resize(256, 6);
    }
    let mut scores = vec![0.0; tokens.len()];
    for (text, score, kind) in &input.tokens {
        tokens.push(text.clone());
        scores.push(*score);
        types.push(i32::from(kind % 7));
    }
    let mut merges: Vec<String> = input.raw_merges.clone();
    for &(left, right) in &input.merges {
        let (left, right) = (left as usize, right as usize);
        let (Some(left), Some(right)) = (tokens.get(left), tokens.get(right)) else { continue };
        merges.push(format!("{left} {right}"));
        let whole = format!("{left}{right}");
        if !tokens.contains(&whole) {
            tokens.push(whole);
            types.push(1);
            scores.push(0.0);
        }
    }
    let [bos, eos, eot, unk, pad] = input.named.map(|id| id.map(u32::from));
    let [add_bos, add_eos, add_space_prefix] = input.flags;
    Vocabulary {
        model: input.kind().into(),
        pre: input.byte_level().then(|| PRE[usize::from(input.pre) % PRE.len()].into()),
        tokens,
        scores: if input.no_scores { Vec::new() } else { scores },
        token_types: if input.no_types { Vec::new() } else { types },
        merges,
        bos,
        eos,
        eot,
        unk,
        pad,
        add_bos,
        add_eos,
        add_space_prefix,
        precompiled_charsmap: input.charsmap.clone(),
        ..Default::default()
    }
}

fuzz_target!(|input: Input| {
    let vocabulary = vocabulary(&input);
    let unk = vocabulary.unk;
    let has_unk = |id: u32| Some(id) == unk || !input.byte_level();
    let Ok(tokenizer) = Tokenizer::new(vocabulary) else { return };
    let known = |ids: &[u32]| assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let plain = EncodeOptions { add_special: false, parse_special: false };

    let ids = tokenizer.encode(&input.text, plain);
    // Text of a user never becomes structure, encoded alone or from a template.
    for ids in [&ids, &tokenizer.encode_rendered(&Text::given(&input.text))].into_iter().flatten() {
        known(ids);
        assert!(!ids.iter().any(|&id| tokenizer.is_special(id) && !has_unk(id)), "{ids:?} of {:?}", input.text);
    }
    for parse_special in [false, true] {
        if let Ok(ids) = tokenizer.encode(&input.text, EncodeOptions { add_special: true, parse_special }) {
            known(&ids);
            tokenizer.decode(&ids, true).unwrap();
        }
    }

    // If every byte has a token, the text comes back, except where a kind normalises: one
    // pre-tokenizer composes Unicode. SentencePiece spells spaces `▁` (in bytes if that is no
    // token) and adds a space prefix.
    let composes = input.byte_level() && PRE[usize::from(input.pre) % PRE.len()] == "qwen2";
    let normalises = !matches!(input.kind(), "llama" | "gpt2") || !input.charsmap.is_empty();
    let own_tokens = !input.tokens.is_empty() || input.no_types;
    if input.bytes && !composes && !normalises && !own_tokens {
        let back = tokenizer.decode(&ids.unwrap(), false).unwrap();
        let same = if input.byte_level() {
            back == input.text
        } else {
            let [text, back] = [&input.text, &back].map(|text| text.replace('\u{2581}', " "));
            back == text || back.strip_prefix(' ') == Some(&text) || text.strip_prefix(' ') == Some(&back)
        };
        assert!(same, "{:?} came back as {back:?}", input.text);
    }

    // any ids; streaming gives the same as decoding at once
    let ids: Vec<u32> = input.ids.iter().map(|&id| id.into()).collect();
    let mut stream = Detokenizer::new(false);
    let streamed: weft_llm::Result<Vec<String>> = ids.iter().map(|&id| stream.push(&tokenizer, id)).collect();
    match (tokenizer.decode(&ids, false), streamed) {
        (Ok(whole), Ok(pieces)) => {
            let text = pieces.concat() + &stream.flush();
            assert!(text == whole || text.strip_prefix(' ') == Some(&whole));
        }
        (whole, pieces) => assert!(whole.is_err() && pieces.is_err()),
    }
});
