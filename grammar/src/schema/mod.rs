//! JSON Schema → a Lark grammar of the JSON that fits.
//!
//! A schema is parsed into what it allows of each kind of JSON (`read`, `kinds`, `scalars`);
//! `allOf`, `not`, `if` and `oneOf` become intersections and complements (`algebra`); the result is
//! written as a grammar (`write`). A part that cannot be enforced is an error that names its place,
//! or is reported as ignored.

mod algebra;
mod kinds;
mod places;
mod read;
mod scalars;
mod write;

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

use self::kinds::Schema;
use self::places::Places;
use crate::{OnUnsupported, Options};

/// A part of a JSON Schema that is not enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Ignored {
    /// JSON pointer within the schema.
    pub pointer: String,
    pub keyword: String,
    pub reason: String,
}

/// A grammar, and the parts of the schema that it leaves out.
pub struct Compiled {
    pub lark: String,
    pub ignored: Vec<Ignored>,
}

/// Compiles a schema. Errors: it is malformed, nothing fits it, a part cannot be enforced (unless
/// the options ignore that), or it is too large.
pub fn compile(schema: &Value, options: &Options) -> Result<Compiled> {
    let places = Places::of(schema);
    let recursive = places.recursive();
    let mut compiler =
        Compiler { schema, options, places, recursive, read: HashMap::new(), ignored: Vec::new(), steps: 0, depth: 0 };
    let root = compiler.at("")?;
    let lark = compiler.write(&root)?;
    Ok(Compiled { lark, ignored: compiler.ignored })
}

struct Compiler<'a> {
    schema: &'a Value,
    options: &'a Options,
    places: Places,
    /// JSON pointers of recursive places.
    recursive: HashSet<String>,
    /// Parsed schemas, by JSON pointer.
    read: HashMap<String, Schema>,
    ignored: Vec<Ignored>,
    steps: u32,
    /// Number of nested references that are being followed.
    depth: u32,
}

impl Compiler<'_> {
    /// Counts one step of work. Errors: there were too many.
    fn spend(&mut self) -> Result<()> {
        const MOST: u32 = 300_000;
        self.steps += 1;
        if self.steps > MOST {
            bail!("the schema is too large: its `allOf`, `anyOf`, `oneOf` or `not` multiply to more than {MOST} cases");
        }
        Ok(())
    }

    /// Reports a part that cannot be enforced. Errors: the options do not ignore such parts.
    fn unable(&mut self, pointer: &str, keyword: &str, reason: impl Into<String>) -> Result<()> {
        let reason = reason.into();
        if self.options.on_unsupported == OnUnsupported::Error {
            let remedy = "Leave it out, or go on without it by `onUnsupported: 'ignore'`.";
            bail!("`{keyword}` at #{pointer} cannot be enforced: {reason}. {remedy}");
        }
        let ignored = Ignored { pointer: pointer.to_owned(), keyword: keyword.to_owned(), reason };
        if !self.ignored.contains(&ignored) {
            self.ignored.push(ignored);
        }
        Ok(())
    }
}
