//! Constrained decoding: which tokens may come next so that the answer fits a JSON Schema, a
//! regular expression, a Lark grammar, or one of several texts. `llguidance` does the work; this
//! crate gives it the vocabulary and compiles constraints.
//!
//! It is a wasm module separate from the engine: most pages use no constraints and need not fetch
//! it.

#[cfg(target_arch = "wasm32")]
mod web;

mod decimal;
mod embedded;
mod format;
mod number;
mod pattern;
mod regex;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde::Deserialize;
use serde_json::Value;
use toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};

use self::regex::choice_lark;
use self::schema::Compiled;
pub use self::schema::Ignored;

/// Bounds on what a JSON Schema leaves unbounded. Without them, some models at temperature 0 write
/// digits or nested values without end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Digits of a number before the decimal point, unless the bounds in its schema need more.
    /// Default 20.
    pub digits: u32,
    /// Digits of a number after the decimal point. Default 17.
    pub fraction: u32,
    /// Digits of a number's exponent; 0 forbids exponents. Default 2.
    pub exponent: u32,
    /// Digits of a fraction of a second. Default 9.
    pub seconds: u32,
    /// Characters of a string whose `format`, a URI for example, has no bound of its own. Default
    /// 512.
    pub format: u32,
    /// Nesting depth of a recursive schema, and of JSON that no schema describes. Default 10.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { digits: 20, fraction: 17, exponent: 2, seconds: 9, format: 512, depth: 10 }
    }
}

/// A constraint on an answer, as in the package's option.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Constraint {
    /// JSON that fits a schema (draft 2020-12). A keyword that cannot be enforced is an error.
    JsonSchema(Value),
    /// A text that a regular expression in Rust's syntax matches as a whole.
    Regex(String),
    /// A text that a Lark grammar derives from `start`.
    Lark(String),
    /// One of these texts.
    Choices(Vec<String>),
    /// Tool calls or an answer: a Lark grammar that derives them from `start` and refers to `parts`
    /// as `@name`. Not an option of the package.
    Composed { lark: String, parts: BTreeMap<String, Constraint> },
}

/// How to treat a part of a schema that cannot be enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum OnUnsupported {
    /// Refuse the constraint.
    #[default]
    Error,
    /// Leave the part out; [`Constrained::ignored`] names it.
    Ignore,
}

/// How schemas are compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    pub on_unsupported: OnUnsupported,
    pub limits: Limits,
}

impl Constraint {
    /// The grammar, and the parts of schemas that it leaves out.
    fn grammar(self, options: &Options) -> Result<(TopLevelGrammar, Vec<Ignored>)> {
        Ok(match self {
            Self::JsonSchema(schema) => {
                let Compiled { lark, ignored } = schema::compile(&schema, options)?;
                (TopLevelGrammar::from_lark(lark), ignored)
            }
            Self::Regex(pattern) => (TopLevelGrammar::from_regex(&pattern), Vec::new()),
            Self::Lark(grammar) => {
                let Compiled { lark, ignored } = embedded::with_schemas(&grammar, options)?;
                (TopLevelGrammar::from_lark(lark), ignored)
            }
            Self::Choices(choices) if choices.is_empty() => bail!("`choices` is empty: give at least one text"),
            Self::Choices(choices) => {
                let tree = choice_lark(choices.iter().map(String::as_str), false)?;
                (TopLevelGrammar::from_lark(format!("start: /(?:{tree})/")), Vec::new())
            }
            Self::Composed { lark, parts } => {
                let mut whole = TopLevelGrammar::from_lark(lark);
                let mut ignored = Vec::new();
                for (name, part) in parts {
                    let (mut part, left_out) = part.grammar(options).with_context(|| format!("in {name}"))?;
                    // the part begins with its first grammar
                    if let Some(first) = part.grammars.first_mut() {
                        first.name = Some(name);
                    }
                    whole.grammars.extend(part.grammars);
                    ignored.extend(left_out);
                }
                (whole, ignored)
            }
        })
    }
}

/// First byte of a special token in [`Grammars::new`]: no UTF-8 text contains it.
pub const SPECIAL: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// A vocabulary, prepared for constraints.
pub struct Grammars {
    factory: ParserFactory,
}

impl Grammars {
    /// `tokens`: the bytes of every token, by id; special tokens begin with [`SPECIAL`]. `end`: the
    /// token that ends an answer. Errors: `end` is not in the vocabulary.
    pub fn new(tokens: &[Vec<u8>], end: u32) -> Result<Self> {
        if end as usize >= tokens.len() {
            bail!("the vocabulary has no token {end} to end an answer with");
        }
        let info = TokRxInfo::new(tokens.len() as u32, end);
        let environment = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, tokens)));
        let environment: toktrie::TokEnv = environment;
        let mut factory = ParserFactory::new_simple(&environment)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // complements of patterns take many steps, about 14,000 per millisecond
        limits.initial_lexer_fuel = 10_000_000;
        limits.step_lexer_fuel = 2_000_000;
        // an object may begin with any of its properties
        limits.max_items_in_row = 20_000;
        limits.step_max_items = 500_000;
        Ok(Self { factory })
    }

    /// Starts an answer. Errors: the constraint does not parse, is too large, or cannot be
    /// enforced.
    pub fn constrain(&self, constraint: Constraint, options: &Options) -> Result<Constrained> {
        let (grammar, ignored) = constraint.grammar(options)?;
        let parser = self.factory.create_parser(grammar);
        let mut matcher = Matcher::new(parser);
        if let Some(error) = matcher.get_error() {
            bail!(error);
        }
        if let Some(warning) = matcher.grammar_warnings().first() {
            bail!("{warning}");
        }
        Ok(Constrained { matcher, ignored })
    }
}

/// A constrained answer in progress.
pub struct Constrained {
    matcher: Matcher,
    ignored: Vec<Ignored>,
}

impl Constrained {
    /// The parts of schemas that are not enforced.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// The tokens that may come next: one bit each, from the lowest bit of the first word. Includes
    /// the end if the answer may end.
    pub fn mask(&mut self) -> Result<Vec<u32>> {
        Ok(self.matcher.compute_mask_or_eos()?.as_slice().to_vec())
    }

    /// The text that must come next, whatever its tokens are; empty where there is a choice.
    pub fn forced(&mut self) -> String {
        // of a copy: a matcher that was asked allows no special token behind the text
        let bytes = self.matcher.clone().compute_ff_bytes();
        // a character may be begun, and its rest open
        let whole = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
        String::from_utf8_lossy(&bytes[..whole]).into_owned()
    }

    /// Takes a drawn token. Errors: the token was not allowed.
    pub fn accept(&mut self, id: u32) -> Result<()> {
        self.matcher.consume_token(id).with_context(|| format!("token {id} is not allowed here"))
    }

    /// Whether the answer may end here.
    pub fn may_end(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }

    /// Whether the answer must end, since nothing can follow.
    pub fn must_end(&self) -> bool {
        self.matcher.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const END: u32 = 256;

    /// A token per byte, some words, and the end.
    fn grammars() -> Grammars {
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        // llguidance would take it for special
        tokens[255] = Vec::new();
        tokens.push([&[SPECIAL], &b"<|end|>"[..]].concat());
        tokens.extend([&b"true"[..], b"{\"", b"yes"].map(<[u8]>::to_vec));
        Grammars::new(&tokens, END).unwrap()
    }

    fn allows(mask: &[u32], id: u32) -> bool {
        mask[id as usize / 32] >> (id % 32) & 1 == 1
    }

    /// Whether `text` may be the answer, checked byte by byte against the masks.
    fn accepts(constraint: &Constraint, text: &str) -> bool {
        let mut constrained = grammars().constrain(constraint.clone(), &Options::default()).unwrap();
        for byte in text.bytes() {
            if !allows(&constrained.mask().unwrap(), u32::from(byte)) {
                return false;
            }
            constrained.accept(u32::from(byte)).unwrap();
        }
        constrained.may_end() && allows(&constrained.mask().unwrap(), END)
    }

    fn parse(constraint: Value) -> Constraint {
        serde_json::from_value(constraint).unwrap()
    }

    #[test]
    fn a_schema_allows_only_what_fits_it() {
        let schema = parse(json!({ "jsonSchema": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "age": { "type": "integer", "minimum": 0 } },
            "required": ["name", "age"],
            "additionalProperties": false,
        } }));
        assert!(accepts(&schema, r#"{"name": "Ada", "age": 36}"#));
        for wrong in [
            r#"{"name": "Ada"}"#,
            r#"{"name": "Ada", "age": -1}"#,
            r#"{"name": 3, "age": 3}"#,
            "{}",
            r#"{  "name": "A", "age": 1}"#,
        ] {
            assert!(!accepts(&schema, wrong), "{wrong}");
        }
        assert!(accepts(&parse(json!({ "jsonSchema": true })), r#"[1, "a", null]"#));
    }

    #[test]
    fn what_is_forced_is_told_and_changes_no_mask() {
        let schema = parse(json!({ "jsonSchema": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "größe": { "type": "integer" } },
            "required": ["name", "größe"],
            "additionalProperties": false,
        } }));
        let new = || grammars().constrain(schema.clone(), &Options::default()).unwrap();
        let (mut asked, mut other) = (new(), new());
        let mut forced = Vec::new();
        for byte in r#"{"name": "Ada", "größe": 36}"#.bytes() {
            forced.push(asked.forced());
            assert_eq!(asked.mask().unwrap(), other.mask().unwrap());
            for constrained in [&mut asked, &mut other] {
                constrained.accept(u32::from(byte)).unwrap();
            }
        }
        assert_eq!(forced[0], r#"{"name": ""#);
        assert_eq!(forced[3], r#"ame": ""#);
        assert_eq!(forced[10], "", "within the name");
        assert_eq!(forced[14], r#", "größe": "#);
        assert_eq!(forced[20], "", "within a character");
    }

    #[test]
    fn expressions_grammars_and_choices_match_the_whole_text() {
        let date = parse(json!({ "regex": r"\d{4}-\d\d" }));
        assert!(accepts(&date, "2026-11") && !accepts(&date, "2026-1") && !accepts(&date, "x2026-11"));
        let lark = parse(json!({ "lark": "start: \"<\" word \">\"\nword: /[a-z]+/" }));
        assert!(accepts(&lark, "<abc>") && !accepts(&lark, "<>"));
        let choices = parse(json!({ "choices": ["yes", "no", "a/b (c)? \"d\"\n"] }));
        assert!(accepts(&choices, "yes") && accepts(&choices, "no") && !accepts(&choices, "yesno"));
        assert!(accepts(&choices, "a/b (c)? \"d\"\n") && !accepts(&choices, "a/b c \"d\"\n"));
    }

    #[test]
    fn a_composed_grammar_refers_to_other_constraints() {
        let calls = parse(json!({ "composed": {
            "lark": "start: \"call: \" @args | @answer",
            "parts": {
                "args": { "jsonSchema": { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] } },
                "answer": { "choices": ["yes", "no"] },
            },
        } }));
        for right in ["yes", "no", r#"call: {"a": 1}"#] {
            assert!(accepts(&calls, right), "{right}");
        }
        for wrong in ["maybe", r#"{"a": 1}"#, r#"call: {"a":1}"#, r#"call: {"a": "1"}"#, "call: yes"] {
            assert!(!accepts(&calls, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_complete_answer_must_end() {
        let mut constrained = grammars().constrain(parse(json!({ "choices": ["yes"] })), &Options::default()).unwrap();
        assert!(!constrained.may_end());
        let yes = END + 3;
        assert!(allows(&constrained.mask().unwrap(), yes));
        assert!(!constrained.must_end());
        constrained.accept(yes).unwrap();
        assert!(constrained.may_end() && constrained.must_end());
        let only_the_end: Vec<u32> = constrained.mask().unwrap();
        assert_eq!(only_the_end.iter().map(|word| word.count_ones()).sum::<u32>(), 1);
        assert!(allows(&only_the_end, END));
    }

    /// Rankings used to come in the order of the schema, whatever the model preferred.
    #[test]
    fn few_distinct_items_come_in_any_order() {
        let schema = |count: usize, bounds: Value| {
            let values: Vec<String> = (0..count).map(|at| at.to_string()).collect();
            let mut schema = json!({ "type": "array", "uniqueItems": true, "items": { "enum": values } });
            schema.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
            parse(json!({ "jsonSchema": schema }))
        };
        let three = schema(3, json!({}));
        for text in ["[]", r#"["2"]"#, r#"["2", "0"]"#, r#"["1", "2", "0"]"#, r#"["0", "1", "2"]"#] {
            assert!(accepts(&three, text), "{text}");
        }
        assert!(!accepts(&three, r#"["2", "0", "2"]"#) && !accepts(&three, r#"["0", "0"]"#));
        let two = schema(3, json!({ "minItems": 2, "maxItems": 2 }));
        assert!(accepts(&two, r#"["2", "1"]"#) && !accepts(&two, r#"["2"]"#) && !accepts(&two, r#"["2", "1", "0"]"#));
        assert!(accepts(&schema(8, json!({})), r#"["7", "6", "5", "4", "3", "2", "1", "0"]"#));
        let nine = schema(9, json!({}));
        assert!(accepts(&nine, r#"["1", "8"]"#) && !accepts(&nine, r#"["8", "1"]"#));
        assert!(grammars().constrain(schema(2, json!({ "minItems": 3 })), &Options::default()).is_err());
    }

    #[test]
    fn a_keyword_that_cannot_be_enforced_is_named() {
        let error =
            |constraint: Value| grammars().constrain(parse(constraint), &Options::default()).err().unwrap().to_string();
        assert!(error(json!({ "jsonSchema": { "not": { "items": { "minLength": 1 } } } })).contains("`not` at #"));
        assert!(error(json!({ "jsonSchema": { "type": "array", "uniqueItems": true } })).contains("uniqueItems"));
        assert!(error(json!({ "jsonSchema": 3 })).contains("not 3"));
        assert!(error(json!({ "choices": [] })).contains("at least one text"));
        assert!(!error(json!({ "regex": "(" })).is_empty());
        assert!(!error(json!({ "lark": "no start" })).is_empty());
        assert!(
            grammars().constrain(parse(json!({ "choices": ["a"] })), &Options::default()).unwrap().accept(0).is_err()
        );
        assert!(Grammars::new(&[vec![97]], 1).is_err());
        assert!(serde_json::from_value::<Constraint>(json!({ "gbnf": "" })).is_err());
    }
}
