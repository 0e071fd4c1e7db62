//! Small crafted vocabularies; `tests/tokenizer.rs` compares with other implementations.

use proptest::prelude::*;

use super::*;

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// Byte-level: 0–2 control, 3 user-defined, then letters and their merges.
fn byte_level() -> Vocabulary {
    Vocabulary {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        tokens: strings(&["<s>", "<|im_end|>", "<pad>", "@@", "<", ">", "s", "Ġ", "l", "o", "lo", "Ġlo", "Ã", "©"]),
        token_types: vec![3, 3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        merges: strings(&["l o", "Ġ lo"]),
        bos: Some(0),
        eos: Some(2),
        add_bos: Some(true),
        add_eos: Some(true),
        ..Default::default()
    }
}

/// SentencePiece with or without byte tokens. 0 unknown, 1 bos; scores rank "lo" before "ol", "▁lo"
/// last.
fn sentencepiece(bytes: bool) -> Vocabulary {
    let mut vocabulary = Vocabulary {
        model: "llama".into(),
        tokens: strings(&["<unk>", "<s>", "▁", "l", "o", "lo", "ol", "▁lo", "@@"]),
        scores: vec![0.0, 0.0, -9.0, -9.0, -9.0, -1.0, -2.0, -3.0, 0.0],
        token_types: vec![2, 3, 1, 1, 1, 1, 1, 1, 4],
        bos: Some(1),
        ..Default::default()
    };
    if bytes {
        vocabulary.tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
        vocabulary.scores.extend([0.0; 256]);
        vocabulary.token_types.extend([6; 256]);
    }
    vocabulary
}

/// Id of a byte token in `sentencepiece(true)`.
fn byte(byte: u8) -> u32 {
    9 + u32::from(byte)
}

#[test]
fn a_stream_shows_the_special_tokens_it_is_told_to_keep() {
    let tokenizer = Tokenizer::new(byte_level()).unwrap();
    let names = strings(&["<|im_end|>", "lo", "<unheard-of>"]);
    assert_eq!(tokenizer.special_ids(&names), [1], "only special tokens, and only existing ones");
    assert_eq!(tokenizer.special_ids(&[]), [0u32; 0]);
    let mut stream = Detokenizer::keeping(vec![1]);
    let text: String = [0, 10, 1, 2].iter().map(|&id| stream.push(&tokenizer, id).unwrap()).collect();
    assert_eq!(text, "lo<|im_end|>");
}

#[test]
fn the_vocabulary_as_bytes_marks_special_tokens() {
    let cut = |tokenizer: &Tokenizer| {
        let (bytes, ends) = tokenizer.vocabulary();
        let starts = std::iter::once(&0).chain(&ends);
        starts.zip(&ends).map(|(&start, &end)| bytes[start as usize..end as usize].to_vec()).collect::<Vec<_>>()
    };
    let tokens = cut(&Tokenizer::new(byte_level()).unwrap());
    assert_eq!(tokens[1], [&[0xff], &b"<|im_end|>"[..]].concat());
    assert_eq!((&tokens[3][..], &tokens[11][..], &tokens[12][..]), (&b"@@"[..], &b" lo"[..], &[0xc3][..]));
    let tokens = cut(&Tokenizer::new(sentencepiece(true)).unwrap());
    assert_eq!((&tokens[7][..], &tokens[byte(0x41) as usize][..]), (&b" lo"[..], &b"A"[..]));
    assert!(tokens[byte(0xff) as usize].is_empty(), "no text has this byte");
}

#[test]
fn special_tokens_parse_only_on_request() {
    let tokenizer = Tokenizer::new(byte_level()).unwrap();
    assert_eq!(tokenizer.encode("lo<s>@@", EncodeOptions { parse_special: true, ..PLAIN }).unwrap(), [10, 0, 3]);
    assert_eq!(tokenizer.encode("lo<s>@@", PLAIN).unwrap(), [10, 4, 6, 5, 3]);
}

#[test]
fn bos_and_eos_are_added_on_request_and_never_doubled() {
    let tokenizer = Tokenizer::new(byte_level()).unwrap();
    assert_eq!(tokenizer.encode("lo lo", WHOLE).unwrap(), [0, 10, 11, 2]);
    assert_eq!(tokenizer.encode("<s>lo<pad>", WHOLE).unwrap(), [0, 10, 2]);
    assert_eq!(tokenizer.encode("", WHOLE).unwrap(), [0, 2]);
    let neither = Vocabulary { add_bos: None, add_eos: None, ..byte_level() };
    assert_eq!(Tokenizer::new(neither).unwrap().encode("lo", WHOLE).unwrap(), [10]);
}

#[test]
fn a_byte_without_a_token_is_left_out() {
    let tokenizer = Tokenizer::new(byte_level()).unwrap();
    assert_eq!(tokenizer.encode("l\u{4}o", PLAIN).unwrap(), [8, 9]);
}

#[test]
fn ignore_merges_takes_a_whole_piece_that_no_merges_build() {
    let with = |pre: &str| Vocabulary { pre: Some(pre.into()), merges: strings(&["l o"]), ..byte_level() };
    assert_eq!(Tokenizer::new(with("gpt-2")).unwrap().encode(" lo", PLAIN).unwrap(), [7, 10]);
    assert_eq!(Tokenizer::new(with("llama-bpe")).unwrap().encode(" lo", PLAIN).unwrap(), [11]);
}

#[test]
fn text_never_merges_into_a_control_token() {
    let mut vocabulary = byte_level();
    vocabulary.token_types[10] = 3;
    let tokenizer = Tokenizer::new(vocabulary).unwrap();
    assert_eq!(tokenizer.encode("lo", PLAIN).unwrap(), [8, 9]);
}

#[test]
fn sentencepiece_merges_by_score_then_leftmost() {
    let tokenizer = Tokenizer::new(sentencepiece(false)).unwrap();
    assert_eq!(tokenizer.encode("lo", PLAIN).unwrap(), [7]);
    assert_eq!(tokenizer.encode("olo", PLAIN).unwrap(), [2, 4, 5]);
    let mut equal = sentencepiece(false);
    equal.scores[5] = equal.scores[6];
    equal.add_space_prefix = Some(false);
    assert_eq!(Tokenizer::new(equal).unwrap().encode("olo", PLAIN).unwrap(), [6, 4]);
}

#[test]
fn sentencepiece_adds_a_space_prefix_and_removes_it() {
    let tokenizer = Tokenizer::new(sentencepiece(false)).unwrap();
    assert_eq!(tokenizer.encode("lo lo", WHOLE).unwrap(), [1, 7, 7]);
    assert_eq!(tokenizer.encode("lo<s>lo@@lo", WHOLE).unwrap(), [1, 7, 1, 7, 8, 5]);
    assert_eq!(tokenizer.decode(&[1, 7, 7], true).unwrap(), "lo lo");
    assert_eq!(tokenizer.decode(&[1, 7, 7], false).unwrap(), "<s> lo lo");
    let bare = Vocabulary { add_space_prefix: Some(false), ..sentencepiece(false) };
    let bare = Tokenizer::new(bare).unwrap();
    assert_eq!(bare.encode("lo", PLAIN).unwrap(), [5]);
    assert_eq!(bare.decode(&[7], true).unwrap(), " lo");
}

/// llama.cpp#7049: transformers and llama.cpp give `▁lo` after a token added to the vocabulary,
/// whatever its type.
#[test]
fn sentencepiece_adds_a_space_after_an_added_token() {
    for (token, kind) in [("<|im_start|>", 1), ("<|im_start|>", 3), ("<|im_start|>", 4), ("[INST]", 4), ("<image>", 4)]
    {
        let mut vocabulary = sentencepiece(false);
        (vocabulary.tokens[8], vocabulary.token_types[8]) = (token.into(), kind);
        let tokenizer = Tokenizer::new(vocabulary).unwrap();
        let options = EncodeOptions { parse_special: true, ..PLAIN };
        assert_eq!(
            tokenizer.encode(&format!("{token}lo{token} lo"), options).unwrap(),
            [8, 7, 8, 2, 7],
            "{token} {kind}"
        );
    }
}

#[test]
fn sentencepiece_spells_unknown_characters_in_bytes_or_as_one_unknown_token() {
    let bytes = Tokenizer::new(sentencepiece(true)).unwrap();
    let expected = [2, byte(0xC3), byte(0xA9), 3, byte(b'\n')];
    assert_eq!(bytes.encode("él\n", PLAIN).unwrap(), expected);
    assert_eq!(bytes.decode(&expected, true).unwrap(), "él\n");
    // The spelling of a byte token is ordinary text.
    assert_eq!(bytes.encode("<0x0A>", PLAIN).unwrap().len(), 7);

    let unknown = Tokenizer::new(sentencepiece(false)).unwrap();
    assert_eq!(unknown.encode("éèl", PLAIN).unwrap(), [2, 0, 3]);
    let mut neither = sentencepiece(false);
    neither.token_types[0] = 3;
    let error = Tokenizer::new(neither).unwrap().encode("é", PLAIN).unwrap_err();
    assert!(error.to_string().contains("`é` is not in the vocabulary"), "{error}");
}

#[test]
fn a_stream_never_splits_a_character() {
    let tokenizer = Tokenizer::new(sentencepiece(true)).unwrap();
    let mut stream = Detokenizer::new(true);
    let mut push = |id| stream.push(&tokenizer, id).unwrap();
    assert_eq!([push(7), push(byte(0xF0)), push(byte(0x9F))], [" lo", "", ""]);
    // A control token between the bytes of a character is skipped.
    assert_eq!([push(1), push(byte(0x91)), push(byte(0x8D))], ["", "", "👍"]);
    // A stray continuation byte is replaced at once, an incomplete character by the text that
    // follows.
    assert_eq!([push(byte(0x80)), push(byte(0xE2)), push(3)], ["\u{FFFD}", "", "\u{FFFD}l"]);
    assert_eq!(push(byte(0xE2)), "");
    assert_eq!(stream.flush(), "\u{FFFD}");
    assert_eq!(stream.flush(), "");
}

#[test]
fn an_id_outside_the_vocabulary_is_named() {
    let tokenizer = Tokenizer::new(byte_level()).unwrap();
    let error = tokenizer.decode(&[10, 14], true).unwrap_err().to_string();
    assert!(error.contains("id 14 is outside the vocabulary of 14 tokens"), "{error}");
    assert_eq!((tokenizer.token(13), tokenizer.token(14), tokenizer.vocab_size()), (Some("©"), None, 14));
}

#[test]
fn answers_end_at_ids_of_the_file_and_at_known_control_tokens() {
    let tokenizer = Tokenizer::new(Vocabulary { eot: Some(0), ..byte_level() }).unwrap();
    let ends: Vec<u32> = (0..14).filter(|&id| tokenizer.is_end_of_generation(id)).collect();
    assert_eq!(ends, [0, 1, 2]);
    assert!(tokenizer.is_special(0) && !tokenizer.is_special(3) && !tokenizer.is_special(99));
    let untyped = Tokenizer::new(Vocabulary { token_types: vec![], ..byte_level() }).unwrap();
    assert_eq!(untyped.ends(), [1, 2]);
    assert!(untyped.is_special(0) && untyped.is_special(1) && !untyped.is_special(3));
}

/// llama.cpp#11613, llama.cpp#2981. Files write these numbers for "none".
#[test]
fn an_id_outside_the_vocabulary_is_absent() {
    for none in [14, u32::MAX, i32::MAX.cast_unsigned()] {
        let id = Some(none);
        let fim = FimIds { pre: id, suf: id, mid: id, pad: id, rep: id, sep: id };
        let names = Vocabulary { bos: id, eos: id, eot: id, eom: id, unk: id, sep: id, ..byte_level() };
        let vocabulary =
            Vocabulary { pad: id, mask: id, fim, ends: vec![none], add_bos: Some(true), add_sep: Some(true), ..names };
        let tokenizer = Tokenizer::new(vocabulary).unwrap();
        assert_eq!(tokenizer.encode("lo", WHOLE).unwrap(), [10]);
        assert_eq!((tokenizer.ends(), tokenizer.bos(), tokenizer.mask()), (&[1][..], None, None));
        let unknown = Tokenizer::new(Vocabulary { unk: id, ..sentencepiece(false) }).unwrap();
        assert_eq!(unknown.encode("é", PLAIN).unwrap(), [2, 0], "the token of type unknown");
    }
}

#[test]
fn lists_that_are_too_long_and_unknown_types_are_ignored() {
    let mut vocabulary = byte_level();
    vocabulary.token_types[10] = 0;
    vocabulary.token_types.extend([3, 3]);
    assert_eq!(Tokenizer::new(vocabulary).unwrap().encode("lo", PLAIN).unwrap(), [10]);
    let scores = sentencepiece(false).scores.into_iter().chain([f32::NAN]).collect();
    assert!(Tokenizer::new(Vocabulary { scores, ..sentencepiece(false) }).is_ok());
}

#[test]
fn contradictory_vocabularies_are_refused() {
    let refused = |vocabulary: Vocabulary, text: &str| {
        let error = Tokenizer::new(vocabulary).err().expect(text).to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(Vocabulary { model: "plamo2".into(), ..byte_level() }, "`plamo2`; weft knows gpt2, gemma4, llama");
    refused(Vocabulary { pre: Some("x".into()), ..byte_level() }, "tokenizer.ggml.pre is `x`");
    refused(Vocabulary { tokens: vec![], ..byte_level() }, "tokenizer.ggml.tokens: expected at least one");
    refused(Vocabulary { token_types: vec![1], ..byte_level() }, "token_type: expected 14 types, one per token, got 1");
    for merge in ["lo", "l", "", "l x", "o o", " ", "lo ", "Ġlo Ġlo"] {
        refused(Vocabulary { merges: strings(&[merge]), ..byte_level() }, &format!("got `{merge}` at rank 0"));
    }
    refused(Vocabulary { scores: vec![0.0], ..sentencepiece(false) }, "scores: expected 9 scores");
    refused(Vocabulary { scores: vec![], ..sentencepiece(false) }, "scores: expected 9 scores");
    refused(Vocabulary { scores: vec![f32::NAN; 9], ..sentencepiece(false) }, "NaN for token 0");
    refused(Vocabulary { token_types: vec![6; 9], ..sentencepiece(false) }, "`<unk>` for token 0");
}

#[test]
fn long_runs_neither_hang_nor_overflow() {
    let bytes = Tokenizer::new(byte_level()).unwrap();
    let pieces = Tokenizer::new(sentencepiece(true)).unwrap();
    for text in [" ".repeat(500_000) + "l", "lo".repeat(100_000), "<s".repeat(100_000)] {
        assert!(!bytes.encode(&text, WHOLE).unwrap().is_empty());
        assert_eq!(pieces.decode(&pieces.encode(&text, PLAIN).unwrap(), true).unwrap(), text);
    }
    let error = bytes.encode(&(" ".repeat(1_100_000) + "l"), PLAIN).unwrap_err().to_string();
    assert!(error.contains("a run of about a million"), "{error}");
}

proptest! {
    /// Any vocabulary is refused or gives ids that exist and decode.
    #[test]
    fn any_vocabulary_is_refused_or_gives_ids(
        model in prop::sample::select(&["gpt2", "gemma4", "llama", "t5", "bert"][..]),
        tokens in prop::collection::vec(("[ab▁ \\[\\]é]{0,4}|<0x[0-9A-F]{2}>|\\[UNK\\]", any::<f32>(), 1..=6), 1..40),
        charsmap in prop::collection::vec(any::<u8>(), 0..40),
        flags in any::<[Option<bool>; 4]>(),
        unk in prop::option::of(0..40_u32),
        text in "[ab▁ \\n\\[é]{0,20}|.*",
    ) {
        let split = tokens.into_iter().map(|(token, score, kind)| (token, (score, kind)));
        let (tokens, rest): (Vec<_>, Vec<_>) = split.unzip();
        let (scores, token_types) = rest.into_iter().unzip();
        let [add_space_prefix, remove_extra_whitespaces, lowercase, strip_accents] = flags;
        let vocabulary = Vocabulary {
            model: model.into(), tokens, scores, token_types, precompiled_charsmap: charsmap, unk,
            add_space_prefix, remove_extra_whitespaces, lowercase, strip_accents, ..Default::default()
        };
        if let Ok(tokenizer) = Tokenizer::new(vocabulary)
            && let Ok(ids) = tokenizer.encode(&text, WHOLE)
        {
            prop_assert!(tokenizer.decode(&ids, false).is_ok());
        }
    }

    #[test]
    fn sentencepiece_with_bytes_spells_any_text(
        text in any::<String>().prop_filter("▁ comes back as a space", |t| !t.contains('▁')),
    ) {
        let tokenizer = Tokenizer::new(sentencepiece(true)).unwrap();
        let ids = tokenizer.encode(&text, PLAIN).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    }

    /// Streaming equals the standard library's lossy decoding of all bytes at once.
    #[test]
    fn streaming_is_lossy_decoding(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xF5u8], 0..40)) {
        let tokenizer = Tokenizer::new(sentencepiece(true)).unwrap();
        let mut stream = Detokenizer::new(true);
        let mut text: String = bytes.iter().map(|&b| stream.push(&tokenizer, byte(b)).unwrap()).collect();
        text += &stream.flush();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }
}
