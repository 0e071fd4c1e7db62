//! Constraints on an answer: JSON Schema, a regular expression or a grammar.

use std::path::PathBuf;

use clap::Args;
use weft_grammar::{Constrained, Constraint, Grammars, Options};
use weft_llm::inference::{GenerationId, LoadedDecoder};
use weft_llm::{Error, Result};

use super::options::{invalid, read_json, read_text};

/// At most one of them.
#[derive(Args)]
#[group(id = "constraint", multiple = false)]
pub struct ConstraintArgs {
    /// Allows only JSON that fits the schema of this file. A keyword that cannot be enforced is an
    /// error. The whole answer is constrained: give --thoughts off to a model that thinks.
    #[arg(long, value_name = "FILE")]
    json_schema: Option<PathBuf>,
    /// Allows only a text that this regular expression, in Rust's syntax, matches as a whole.
    #[arg(long, value_name = "PATTERN")]
    regex: Option<String>,
    /// Allows only a text that the Lark grammar of this file derives from `start`.
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
}

/// A constraint, and the option that gave it.
pub struct Given(&'static str, Constraint);

impl ConstraintArgs {
    /// Reads the constraint. Errors: `Io`; `InvalidOption` for a schema that is not JSON.
    pub fn read(self) -> Result<Option<Given>> {
        let json_schema = "--json-schema";
        Ok(match self {
            Self { json_schema: Some(file), .. } => {
                Some(Given(json_schema, Constraint::JsonSchema(read_json(json_schema, &file)?)))
            }
            Self { regex: Some(pattern), .. } => Some(Given("--regex", Constraint::Regex(pattern))),
            Self { grammar: Some(file), .. } => Some(Given("--grammar", Constraint::Lark(read_text(&file)?))),
            _ => None,
        })
    }
}

/// The constraint of one answer.
pub struct Constraining {
    option: &'static str,
    inner: Constrained,
    /// How many of the next tokens are not drawn.
    forced: usize,
}

impl Given {
    /// Prepares the model's vocabulary. Errors: `InvalidOption` for what cannot be enforced;
    /// `NoTokenizer`.
    pub fn open(self, decoder: &LoadedDecoder) -> Result<Constraining> {
        let (Self(option, constraint), tokenizer) = (self, decoder.tokenizer());
        tokenizer.check_text()?;
        let Some(&end) = tokenizer.ends().first() else {
            return Err(invalid(option, "a model with a token that ends an answer", "one without: use another model"));
        };
        let (bytes, ends) = tokenizer.vocabulary();
        let starts = std::iter::once(&0).chain(&ends);
        let tokens: Vec<_> = starts.zip(&ends).map(|(&from, &to)| bytes[from as usize..to as usize].to_vec()).collect();
        let opened = Grammars::new(&tokens, end).and_then(|all| all.constrain(constraint, &Options::default()));
        opened.map(|inner| Constraining { option, inner, forced: 0 }).map_err(|error| refused(option, error))
    }
}

impl Constraining {
    /// Sets the tokens that may come first.
    pub fn begin(&mut self, decoder: &mut LoadedDecoder, generation: GenerationId) -> Result<()> {
        let mask = self.inner.mask().map_err(|error| refused(self.option, error))?;
        decoder.allow(generation, mask)?;
        self.forced = match &self.inner.forced()[..] {
            "" => 0,
            text => decoder.force(generation, text)?,
        };
        Ok(())
    }

    /// Takes a token and sets those that may follow, or ends the answer.
    pub fn advance(&mut self, decoder: &mut LoadedDecoder, generation: GenerationId, id: u32) -> Result<()> {
        self.inner.accept(id).map_err(|error| refused(self.option, error))?;
        self.forced = self.forced.saturating_sub(1);
        match self.forced {
            0 if self.inner.must_end() => decoder.finish(generation),
            0 => self.begin(decoder, generation),
            _ => Ok(()),
        }
    }

    /// Errors: `InvalidOption` if the answer so far does not fit, since it was cut off.
    pub fn check_end(&mut self) -> Result<()> {
        if self.inner.may_end() {
            return Ok(());
        }
        let got = "one that was cut off before it fits: raise --max-tokens or --context";
        Err(invalid(self.option, "a complete answer", got))
    }
}

/// `error` of the grammar's crate.
fn refused(option: &str, error: impl std::fmt::Display) -> Error {
    invalid(option, "a constraint that can be enforced", format!("{error:#}"))
}
