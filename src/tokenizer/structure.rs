//! Corrects the types of tokens by their use.
//!
//! Converters disagree about types: `<|im_end|>` is control in one file, user-defined in the next,
//! normal in a third. So the types are corrected here, before anything is built on them.
//!
//! | a token | becomes |
//! |---|---|
//! | that ends an answer: [`END_TOKENS`], `eos`, `eot` and `eom` of the file | control |
//! | for filling in the middle, see [`super::fim`] | control |
//! | that the file names for another purpose (`bos`, `sep`, `pad`, `mask`) | control |
//! | of the form `<|…|>` or `<｜…｜>`, or that a chat template of the model writes | mark |
//!
//! Control tokens and marks are structure: they are not parsed in a user's text. Control tokens are
//! hidden; marks, such as `<tool_call>`, are shown. All other tokens keep their type: a
//! user-defined run of spaces is one token everywhere. So do tokens that only resemble structure:
//! those without the form of a mark ([`Form`]), and normal tokens that text becomes by merging,
//! such as `</s>` in a vocabulary of HTML.

use std::collections::{HashMap, HashSet};

use super::fim::{self, Fim};
use super::vocabulary::{TokenKind, Vocabulary};

/// Tokens that end an answer in some family of models. A file names one or two by id, and often not
/// the one that the chat template uses.
const END_TOKENS: &[&str] = &[
    "</s>",
    "<EOT>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|call|>",
    "<|calls|>",
    "<|end_of_sentence|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|end|>",
    "<|endofturn|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|eom|>",
    "<|eot_id|>",
    "<|eot|>",
    "<|flush|>",
    "<|im_end|>",
    "<|return|>",
    "<|role_end|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
    "[EOT]",
    "[e~[",
    "[|endofturn|]",
    "_<EOT>",
    "▁<EOT>",
];

/// Tokens of [`END_TOKENS`] that do not end an answer if the vocabulary has all of the listed
/// others.
const NO_END_BESIDE: &[(&str, &[&str])] = &[
    // gpt-oss and Solar Open end a channel with it, then go on with the next.
    ("<|end|>", &["<|return|>", "<|call|>"]),
    ("<|end|>", &["<|flush|>", "<|calls|>"]),
    // Gemma has the tags of HTML among its tokens.
    ("</s>", &["<eos>"]),
    ("</s>", &["<|tool_response>"]),
];

/// Begin another speaker's turn, and so end an answer, if a chat template writes them: GLM's turns
/// have no other end.
const OTHERS_TURNS: &[&str] = &["<|user|>", "<|observation|>", "<|im_user|>", "<｜User｜>", "<|start_of_user|>"];

/// Roles of the special tokens of a vocabulary, beside their kinds.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// Ids that end an answer, ascending.
    pub ends: Vec<u32>,
    /// How a gap is filled; `None` if the model cannot.
    pub fim: Option<Fim>,
}

/// Form of a token that may be structure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `<|…|>`, `<｜…｜>`, `<|…>` or `<…|>`: used by models only.
    Piped,
    /// `<…>` or `[…]`: also used in HTML and code.
    Bracketed,
    /// Words with punctuation at one end or around them: `### Instruction:`, `=== user ===`,
    /// `__user__`.
    Labelled,
}

impl Form {
    fn of(token: &str) -> Option<Self> {
        if !token.contains(char::is_alphanumeric) {
            return None;
        }
        let bar = ['|', '｜'];
        let angled = token.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        let squared = || token.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match angled.or_else(squared) {
            Some(inner) if !inner.contains(char::is_whitespace) => {
                let piped = inner.starts_with(bar) || inner.ends_with(bar);
                Some(if piped { Self::Piped } else { Self::Bracketed })
            }
            _ => {
                let punctuation = |c: char| "<>[]{}|｜#:@".contains(c);
                let token = token.trim_end();
                let labelled = token.starts_with(punctuation) || token.ends_with(punctuation);
                (labelled || is_framed(token)).then_some(Self::Labelled)
            }
        }
    }
}

/// Whether a token begins and ends with punctuation or a symbol. The spaces of vocabularies (`▁`,
/// `Ġ`) are none.
fn is_framed(token: &str) -> bool {
    let sign = |c: char| !c.is_alphanumeric() && !c.is_whitespace() && !"▁'\"".contains(c);
    token.starts_with(sign) && token.ends_with(sign)
}

/// Whether a token has the form `<…>` or `[…]`.
pub(super) fn has_brackets(token: &str) -> bool {
    matches!(Form::of(token), Some(Form::Piped | Form::Bracketed))
}

/// Corrects `kinds`.
pub(super) fn assign(vocabulary: &Vocabulary, kinds: &mut [TokenKind]) -> Structure {
    let Vocabulary { tokens, bos, eos, eot, eom, sep, pad, mask, .. } = vocabulary;
    let text = built_from_text(vocabulary, kinds);
    let called = |names: &[&str]| -> Vec<u32> {
        let called = (0..).zip(tokens).filter(|(id, token)| names.contains(&token.as_str()) && !text.contains(id));
        called.map(|(id, _)| id).collect()
    };
    let written = |token: &str| vocabulary.templates.iter().any(|template| template.contains(token));

    let candidates = called(END_TOKENS);
    let has = |name: &&str| candidates.iter().any(|&id| tokens[id as usize] == **name);
    let goes_on = |token: &str| NO_END_BESIDE.iter().any(|(end, beside)| *end == token && beside.iter().all(has));
    let mut ends: Vec<u32> = candidates.iter().copied().filter(|&id| !goes_on(&tokens[id as usize])).collect();
    ends.extend(called(OTHERS_TURNS).into_iter().filter(|&id| written(&tokens[id as usize])));
    ends.extend([eos, eot, eom].into_iter().flatten().chain(&vocabulary.ends));
    let found = fim::find(vocabulary, called);
    ends.extend(&found.ends);
    ends.sort_unstable();
    ends.dedup();

    let mut control: HashSet<u32> = ends.iter().chain(&found.marks).copied().collect();
    control.extend([bos, sep, pad, mask].into_iter().flatten());
    for (id, token) in (0..).zip(tokens) {
        let kind = &mut kinds[id as usize];
        if kind.is_special() || *kind == TokenKind::Byte {
            continue;
        }
        let form = Form::of(token);
        // A bare word that ends answers matches wherever a user-defined token does.
        let is_bare_end = *kind == TokenKind::UserDefined && ends.binary_search(&id).is_ok();
        if control.contains(&id) && (form.is_some() || is_bare_end) {
            *kind = TokenKind::Control;
            continue;
        }
        let Some(form) = form else { continue };
        let mark = match (form, *kind) {
            _ if text.contains(&id) => false,
            (Form::Piped, TokenKind::UserDefined | TokenKind::Normal) => true,
            (Form::Labelled, kind) => kind == TokenKind::UserDefined && written(token),
            (Form::Piped | Form::Bracketed, _) => written(token),
        };
        if mark {
            *kind = TokenKind::Mark;
        }
    }
    Structure { ends, fim: found.fim }
}

/// Normal tokens with the form of a mark that text becomes by merging.
fn built_from_text(vocabulary: &Vocabulary, kinds: &[TokenKind]) -> HashSet<u32> {
    let Vocabulary { tokens, merges, model, .. } = vocabulary;
    let normal = (0..).zip(tokens).filter(|(id, _)| kinds[*id as usize] == TokenKind::Normal);
    let candidates = normal.filter_map(|(id, token)| Some((token.as_str(), id, Form::of(token)?)));
    let mut candidates: HashMap<&str, (u32, Form)> = candidates.map(|(token, id, form)| (token, (id, form))).collect();
    match model.as_str() {
        // unigram looks for every piece in the text
        "t5" => candidates.retain(|_, (_, form)| *form != Form::Piped),
        "llama" => {
            let all: HashSet<&str> = tokens.iter().map(String::as_str).collect();
            let cut = |token: &str, at: usize| all.contains(&token[..at]) && all.contains(&token[at..]);
            candidates.retain(|token, _| token.char_indices().skip(1).any(|(at, _)| cut(token, at)));
        }
        _ => {
            let built: HashSet<String> = merges.iter().map(|merge| merge.replacen(' ', "", 1)).collect();
            candidates.retain(|token, _| built.contains(*token));
        }
    }
    candidates.into_values().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{EncodeOptions, Text, Tokenizer};
    use super::*;

    const TRUSTED: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };
    const TYPED: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
    const NORMAL: i32 = 1;
    const CONTROL: i32 = 3;
    const USER_DEFINED: i32 = 4;
    const UNUSED: i32 = 5;

    /// A vocabulary of ASCII characters, then `added` from id 128.
    fn tokenizer(added: &[(&str, i32)], template: &str, merges: &[&str]) -> Tokenizer {
        let letters =
            (0..128_u8).map(|c| if c.is_ascii_graphic() { (c as char).to_string() } else { format!("\u{1}{c}") });
        Tokenizer::new(Vocabulary {
            model: "gpt2".into(),
            pre: Some("gpt-2".into()),
            tokens: letters.chain(added.iter().map(|(token, _)| token.to_string())).collect(),
            token_types: std::iter::repeat_n(NORMAL, 128).chain(added.iter().map(|(_, kind)| *kind)).collect(),
            merges: merges.iter().map(ToString::to_string).collect(),
            templates: vec![template.into()],
            ..Vocabulary::default()
        })
        .unwrap()
    }

    /// llama.cpp#9348, llama.cpp#24382.
    #[test]
    fn turn_marks_are_structure_whatever_type_the_file_gives_them() {
        for kind in [NORMAL, CONTROL, USER_DEFINED, UNUSED] {
            let added = [("<|im_start|>", kind), ("<|im_end|>", kind), ("<start_of_turn>", kind), ("[INST]", kind)];
            let template = "{{ '<|im_start|>' }}{% if x[0] %}<start_of_turn>[INST]{% endif %}";
            let tokenizer = tokenizer(&added, template, &[]);
            for id in 128..132 {
                let text = tokenizer.token(id).unwrap().to_owned();
                assert_eq!(tokenizer.encode(&text, TRUSTED).unwrap(), [id], "{text} of type {kind}");
                assert!(!tokenizer.encode(&text, TYPED).unwrap().contains(&id), "{text} of type {kind}");
                let message = Text::given(&text);
                assert!(!tokenizer.encode_rendered(&message).unwrap().contains(&id), "{text} of type {kind}");
            }
            assert!(tokenizer.is_end_of_generation(129) && tokenizer.is_special(129), "of type {kind}");
            assert_eq!(tokenizer.ends(), [129], "of type {kind}");
        }
    }

    #[test]
    fn tokens_that_resemble_structure_stay_text() {
        let added = [("\n\n", USER_DEFINED), ("  ", USER_DEFINED), ("<b>", USER_DEFINED), ("😀", USER_DEFINED)];
        let template = "{% if a %}\n\n  😀 user{% endif %}{{ messages[0] }}";
        let user_defined = tokenizer(&added, template, &[]);
        for id in 128..132 {
            let text = user_defined.token(id).unwrap();
            assert_eq!(user_defined.encode(text, TYPED).unwrap(), [id], "{text}");
            assert_eq!(user_defined.encode_rendered(&Text::given(text)).unwrap(), [id], "{text}");
        }
        // merges build them, so they are text although the template spells them
        let added = [("[0", NORMAL), ("[0]", NORMAL), ("</", NORMAL), ("s>", NORMAL), ("</s>", NORMAL)];
        let merged = tokenizer(&added, "{{ messages[0] }}</s>", &["[ 0", "[0 ]", "< /", "s >", "</ s>"]);
        assert_eq!(merged.encode("</", TYPED).unwrap(), [130]);
        assert!(!merged.is_end_of_generation(132) && !merged.is_special(132) && !merged.is_special(129));
    }

    #[test]
    fn marks_that_a_template_concatenates_are_structure() {
        let tokenizer = tokenizer(&[("<|user|>", USER_DEFINED)], "{{ '<|' + message.role + '|>' }}", &[]);
        assert_eq!(tokenizer.encode("<|user|>", TRUSTED).unwrap(), [128]);
        assert!(!tokenizer.encode("<|user|>", TYPED).unwrap().contains(&128));
        assert!(tokenizer.ends().is_empty(), "the template does not show that another speaker's turn begins");
    }

    #[test]
    fn marks_of_calls_and_thoughts_are_structure_and_shown() {
        let tokenizer = tokenizer(&[("<tool_call>", USER_DEFINED), ("<think>", NORMAL)], "<tool_call> <think>", &[]);
        assert!(!tokenizer.encode("<tool_call>", TYPED).unwrap().contains(&128));
        assert_eq!(tokenizer.encode("<tool_call><think>", TRUSTED).unwrap(), [128, 129]);
        assert_eq!(tokenizer.decode(&[128, 129], true).unwrap(), "<tool_call><think>");
    }

    #[test]
    fn unusual_marks_that_a_template_writes_are_structure() {
        for mark in ["=== user ===", "__user__", "§USER§", "((u))", "---END---", "### User:"] {
            let written = tokenizer(&[(mark, USER_DEFINED)], &format!("{{{{ '{mark}' }}}}"), &[]);
            assert_eq!(written.encode(mark, TRUSTED).unwrap(), [128], "{mark}");
            assert!(!written.encode_rendered(&Text::given(mark)).unwrap().contains(&128), "{mark}");
            // no template writes it: an ordinary word
            let word = tokenizer(&[(mark, USER_DEFINED)], "", &[]);
            assert_eq!(word.encode_rendered(&Text::given(mark)).unwrap(), [128], "{mark}");
        }
    }

    #[test]
    fn a_bare_word_that_ends_answers_is_text_in_a_message() {
        let letters =
            (0..128_u8).map(|c| if c.is_ascii_graphic() { (c as char).to_string() } else { format!("\u{1}{c}") });
        let tokenizer = Tokenizer::new(Vocabulary {
            model: "gpt2".into(),
            pre: Some("gpt-2".into()),
            tokens: letters.chain(["Stop".to_owned()]).collect(),
            token_types: std::iter::repeat_n(NORMAL, 128).chain([USER_DEFINED]).collect(),
            eos: Some(128),
            ..Vocabulary::default()
        })
        .unwrap();
        assert!(!tokenizer.encode_rendered(&Text::given("Stop")).unwrap().contains(&128));
        assert_eq!(tokenizer.encode("Stop", TRUSTED).unwrap(), [128]);
    }

    #[test]
    fn neither_a_channel_nor_html_ends_an_answer() {
        let ends = |added: &[(&str, i32)]| tokenizer(added, "", &[]).ends().to_vec();
        let harmony = [("<|end|>", CONTROL), ("<|return|>", CONTROL), ("<|call|>", CONTROL)];
        assert_eq!(ends(&harmony), [129, 130]);
        assert_eq!(ends(&harmony[..2]), [128, 129]);
        assert_eq!(ends(&[("</s>", USER_DEFINED), ("<eos>", CONTROL)]), [129]);
        assert_eq!(ends(&[("</s>", USER_DEFINED)]), [128]);
    }

    #[test]
    fn another_speakers_turn_ends_an_answer_if_the_template_has_turns() {
        let ends = |template: &str| {
            let added = [("<|user|>", CONTROL), ("<|assistant|>", CONTROL), ("<|observation|>", USER_DEFINED)];
            tokenizer(&added, template, &[]).ends().to_vec()
        };
        assert_eq!(ends("<|user|>{{ m }}<|assistant|>"), [128]);
        assert_eq!(ends("<|user|>{{ m }}<|observation|>"), [128, 130]);
        assert!(ends("").is_empty());
    }
}
