//! Any constraint is refused, or every answer that its masks allow fits it.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use weft_grammar::{Constraint, Grammars, Options, SPECIAL};

#[derive(Arbitrary, Debug)]
struct Input {
    constraint: Asked,
    /// Which of the allowed tokens is drawn, one after the other.
    draws: Vec<u16>,
}

#[derive(Arbitrary, Debug)]
enum Asked {
    Schema(Schema, Vec<Schema>),
    /// A schema as text.
    Text(String),
    Regex(String),
    Lark(String),
    Choices(Vec<String>),
}

#[derive(Arbitrary, Debug)]
enum Schema {
    Bool(bool),
    Type(u8),
    Enum(Vec<Atom>),
    Object { properties: Vec<(u8, Schema)>, required: u8, additional: Option<Box<Schema>>, most: Option<u8> },
    Array { items: Option<Box<Schema>>, prefix: Vec<Schema>, least: Option<u8>, most: Option<u8> },
    String { least: Option<u8>, most: Option<u8>, pattern: Option<String>, format: Option<u8> },
    Number { is_integer: bool, least: Option<f64>, below: Option<i32>, step: Option<f32> },
    Any(Vec<Schema>),
    All(Vec<Schema>),
    One(Vec<Schema>),
    Ref(u8),
    Key(u8, Box<Schema>),
}

#[derive(Arbitrary, Debug)]
enum Atom {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Atom>),
}

const TYPES: &[&str] = &["null", "boolean", "object", "array", "number", "integer", "string", "thing"];
const FORMATS: &[&str] =
    &["date", "date-time", "time", "email", "uri", "uuid", "ipv4", "hostname", "duration", "shape"];
const REFS: &[&str] = &["#", "#/$defs/0", "#/$defs/1", "#/properties/a", "#/$defs/", "other.json", "#a"];
const KEYS: &[&str] = &[
    "not",
    "if",
    "then",
    "patternProperties",
    "propertyNames",
    "contains",
    "unevaluatedProperties",
    "$defs",
    "x-guidance",
];

fn pick<T: Copy>(list: &[T], index: u8) -> T {
    list[usize::from(index) % list.len()]
}

fn name(index: u8) -> &'static str {
    pick(&["a", "b", "", "\"", "\u{e9}\n", "a b"], index)
}

impl Atom {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::List(values) => values.into_iter().map(Self::value).collect(),
        }
    }
}

impl Schema {
    fn value(self) -> Value {
        let list = |schemas: Vec<Self>| schemas.into_iter().map(Self::value).collect::<Value>();
        let mut object = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.into(), value);
            }
        };
        match self {
            Self::Bool(value) => return value.into(),
            Self::Type(kind) => set("type", Some(pick(TYPES, kind).into())),
            Self::Enum(values) => set("enum", Some(values.into_iter().map(Atom::value).collect())),
            Self::Object { properties, required, additional, most } => {
                let names: Vec<&str> = properties.iter().map(|(index, _)| name(*index)).collect();
                set("type", Some("object".into()));
                set("required", Some(names.iter().take(required.into()).copied().collect()));
                let properties =
                    properties.into_iter().map(|(index, schema)| (name(index).to_string(), schema.value()));
                set("properties", Some(Value::Object(properties.collect())));
                set("additionalProperties", additional.map(|schema| schema.value()));
                set("maxProperties", most.map(Into::into));
            }
            Self::Array { items, prefix, least, most } => {
                set("type", Some("array".into()));
                set("items", items.map(|schema| schema.value()));
                set("prefixItems", Some(list(prefix)).filter(|prefix| prefix != &json!([])));
                set("minItems", least.map(Into::into));
                set("maxItems", most.map(Into::into));
            }
            Self::String { least, most, pattern, format } => {
                set("type", Some("string".into()));
                set("minLength", least.map(Into::into));
                set("maxLength", most.map(Into::into));
                set("pattern", pattern.map(Into::into));
                set("format", format.map(|index| pick(FORMATS, index).into()));
            }
            Self::Number { is_integer, least, below, step } => {
                set("type", Some(if is_integer { "integer" } else { "number" }.into()));
                set("minimum", least.map(Into::into));
                set("exclusiveMaximum", below.map(Into::into));
                set("multipleOf", step.map(Into::into));
            }
            Self::Any(schemas) => set("anyOf", Some(list(schemas))),
            Self::All(schemas) => set("allOf", Some(list(schemas))),
            Self::One(schemas) => set("oneOf", Some(list(schemas))),
            Self::Ref(index) => set("$ref", Some(pick(REFS, index).into())),
            Self::Key(index, schema) => set(pick(KEYS, index), Some(schema.value())),
        }
        object.into()
    }
}

impl Asked {
    fn value(self) -> Value {
        match self {
            Self::Schema(schema, defs) => {
                let mut schema = schema.value();
                if let (Some(schema), false) = (schema.as_object_mut(), defs.is_empty()) {
                    let defs = defs.into_iter().enumerate().map(|(i, def)| (i.to_string(), def.value()));
                    schema.insert("$defs".into(), Value::Object(defs.collect()));
                }
                json!({ "jsonSchema": schema })
            }
            Self::Text(text) => json!({ "jsonSchema": serde_json::from_str::<Value>(&text).unwrap_or_default() }),
            Self::Regex(pattern) => json!({ "regex": pattern }),
            Self::Lark(grammar) => json!({ "lark": grammar }),
            Self::Choices(choices) => json!({ "choices": choices }),
        }
    }
}

const END: u32 = 255;

/// A token per byte except the last, which no text contains; the end; some words.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = (0..255).map(|byte| vec![byte]).collect();
    tokens.push([&[SPECIAL], &b"<|end|>"[..]].concat());
    tokens.extend([&b"true"[..], b"{\"", b"\": ", b", ", b"}]", b"00", b"\xc3\xa9"].map(<[u8]>::to_vec));
    tokens
}

fuzz_target!(|input: Input| {
    thread_local!(static GRAMMARS: Grammars = Grammars::new(&tokens(), END).unwrap());
    let constraint = input.constraint.value();
    let Ok(parsed) = serde_json::from_value::<Constraint>(constraint.clone()) else { return };
    let Ok(mut constrained) = GRAMMARS.with(|grammars| grammars.constrain(parsed, &Options::default())) else { return };
    let tokens = tokens();
    let mut text = Vec::new();
    for draw in input.draws.into_iter().take(200) {
        // A grammar may turn out too large only during use: that is an error and ends the answer.
        let Ok(mask) = constrained.mask() else { return };
        let allowed: Vec<u32> =
            (0..tokens.len() as u32).filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
        let may_end = constrained.may_end();
        assert!(!allowed.is_empty(), "nothing may follow {:?}", String::from_utf8_lossy(&text));
        assert_eq!(allowed.contains(&END), may_end, "the end after {:?}", String::from_utf8_lossy(&text));
        if may_end {
            check(&constraint, &text);
        }
        let id = allowed[usize::from(draw) % allowed.len()];
        if id == END {
            return;
        }
        if constrained.accept(id).is_err() {
            return;
        }
        text.extend(&tokens[id as usize]);
        if constrained.must_end() {
            return check(&constraint, &text);
        }
    }
});

/// Checks a complete answer against the simple parts of its constraint.
fn check(constraint: &Value, text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    if let Some(choices) = constraint["choices"].as_array() {
        assert!(choices.iter().any(|choice| choice.as_str().unwrap().as_bytes() == text), "{shown:?} is no choice");
    } else if let Some(schema) = constraint.get("jsonSchema") {
        let value: Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            // JSON allows 1e999; its reader has to deal with the range.
            Err(error) if error.to_string().contains("out of range") => return,
            Err(error) => panic!("{shown:?}: {error}"),
        };
        let is_one_of = |values: &Vec<Value>| values.iter().any(|each| rounded(each) == rounded(&value));
        assert!(schema["enum"].as_array().is_none_or(is_one_of), "{shown:?} is not of {}", schema["enum"]);
    }
}

/// The value with numbers as in JavaScript: large integers lose digits.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.iter().map(rounded).collect(),
        other => other.clone(),
    }
}
