//! The official test suite of JSON Schema, draft 2020-12: no text that a schema forbids may be an
//! answer. Texts that a schema allows may be refused, since answers have properties in the schema's
//! order and one style of white space; the table shows how often.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weft_grammar::{Constraint, Grammars, Limits, Options, SPECIAL};

const END: u32 = 255;

/// A token per byte; the end replaces a byte that no text contains.
fn grammars() -> Grammars {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    tokens[END as usize] = [&[SPECIAL], &b"<|end|>"[..]].concat();
    Grammars::new(&tokens, END).unwrap()
}

/// The texts of the suite are not deeply nested.
fn options() -> Options {
    Options { limits: Limits { depth: 3, ..Limits::default() }, ..Options::default() }
}

/// JSON in the constraint's style: a space after colons and commas, none elsewhere.
fn write_json(value: &Value, text: &mut String) {
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    let mut items: Vec<String> = Vec::new();
    match value {
        Value::Array(values) => values.iter().for_each(|value| {
            let mut item = String::new();
            write_json(value, &mut item);
            items.push(item);
        }),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let mut item = format!("{}: ", Value::from(key.as_str()));
            write_json(value, &mut item);
            items.push(item);
        }),
        plain => return write!(text, "{plain}").unwrap(),
    }
    text.push(open);
    text.push_str(&items.join(", "));
    text.push(close);
}

fn accepts(grammars: &Grammars, constraint: &Constraint, text: &str) -> bool {
    let mut constrained = grammars.constrain(constraint.clone(), &options()).unwrap();
    let allows = |mask: &[u32], id: u32| mask[id as usize / 32] >> (id % 32) & 1 == 1;
    for byte in text.bytes() {
        let mask = constrained.mask().unwrap_or_else(|error| panic!("{constraint:?}, {text}: {error}"));
        if !allows(&mask, u32::from(byte)) {
            return false;
        }
        constrained.accept(u32::from(byte)).unwrap();
    }
    constrained.may_end()
}

/// Results of a keyword's cases.
#[derive(Default)]
struct Row {
    schemas: usize,
    /// Number of schemas that are an error, and the first error.
    refused: usize,
    error: String,
    valid: usize,
    accepted: usize,
    invalid: usize,
    /// Texts that the schema forbids and the constraint allows.
    wrong: Vec<String>,
}

fn row(grammars: &Grammars, file: &Path) -> Row {
    let groups: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut row = Row::default();
    for group in groups.as_array().unwrap() {
        row.schemas += 1;
        let constraint = Constraint::JsonSchema(group["schema"].clone());
        if let Err(error) = grammars.constrain(constraint.clone(), &options()) {
            row.refused += 1;
            if row.error.is_empty() {
                row.error = error.to_string().lines().next().unwrap_or_default().to_owned();
            }
            continue;
        }
        for test in group["tests"].as_array().unwrap() {
            let mut text = String::new();
            write_json(&test["data"], &mut text);
            let accepted = accepts(grammars, &constraint, &text);
            if test["valid"] == true {
                row.valid += 1;
                row.accepted += usize::from(accepted);
            } else {
                row.invalid += 1;
                if accepted {
                    row.wrong.push(format!("{}: {}", group["description"], test["description"]));
                }
            }
        }
    }
    row
}

#[test]
#[ignore = "needs the test suite of JSON Schema: npm run test:models"]
fn published_schemas_forbid_what_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("models/json-schema/draft2020-12"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let grammars = grammars();
    let mut table = String::from(
        "| keyword | schemas | refused as a whole | allowed texts accepted | forbidden texts accepted | what the first refusal says |\n|---|---|---|---|---|---|\n",
    );
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let Row { schemas, refused, error, valid, accepted, invalid, wrong: accepted_wrongly } = row(&grammars, file);
        let wrongly = accepted_wrongly.len();
        let error = error.replace('|', "\\|");
        writeln!(
            table,
            "| {name} | {schemas} | {refused} | {accepted} of {valid} | {wrongly} of {invalid} | {error} |"
        )
        .unwrap();
        wrong.extend(accepted_wrongly.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(files.len() > 40, "the suite is not whole");
    assert_eq!(wrong, Vec::<String>::new());
    check_table(&root.join("docs/CONSTRAINTS.md"), &table);
}

/// Checks that the document contains the table of this test.
fn check_table(file: &Path, table: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let (head, _) = text.split_once("| keyword | schemas |").unwrap();
    let expected = format!("{head}{table}");
    if std::env::var_os("WEFT_WRITE").is_some() {
        std::fs::write(file, &expected).unwrap();
    }
    assert_eq!(text, expected, "WEFT_WRITE=1 writes docs/CONSTRAINTS.md anew");
}
