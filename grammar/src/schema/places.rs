//! Targets of `$ref`: JSON pointers, `$id`, `$anchor`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// Keywords that contain values, not schemas.
const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];

/// Keywords that contain schemas by name.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// The names and references in a schema.
#[derive(Default)]
pub struct Places {
    /// URIs of schemas, with the fragment of an anchor, → JSON pointers.
    named: HashMap<String, String>,
    /// JSON pointers of schemas with a URI of their own, and these URIs.
    bases: Vec<(String, String)>,
    /// JSON pointers of all `$ref`s → JSON pointers of their targets.
    references: Vec<(String, String)>,
}

impl Places {
    pub fn of(schema: &Value) -> Self {
        let mut places = Self::default();
        places.read(schema, false, "", "");
        let mut references = Vec::new();
        collect_references(schema, false, "", &mut references);
        places.references =
            references.into_iter().filter_map(|(at, to)| places.find(schema, &at, &to).map(|to| (at, to))).collect();
        places
    }

    fn read(&mut self, value: &Value, by_name: bool, pointer: &str, base: &str) {
        let mut base = base.to_owned();
        if let Value::Object(members) = value
            && !by_name
        {
            let id = members.get("$id").or_else(|| members.get("id")).and_then(Value::as_str);
            if pointer.is_empty() || id.is_some_and(|id| !id.starts_with('#')) {
                base = joined(&base, id.unwrap_or_default().trim_end_matches('#'));
                self.named.entry(base.clone()).or_insert_with(|| pointer.to_owned());
                self.bases.push((pointer.to_owned(), base.clone()));
            }
            // in older drafts, an id with only a fragment was an anchor
            let anchors = ["$anchor", "$dynamicAnchor"].map(|key| members.get(key).and_then(Value::as_str));
            for anchor in anchors.into_iter().flatten().chain(id.and_then(|id| id.strip_prefix('#'))) {
                self.named.entry(format!("{base}#{anchor}")).or_insert_with(|| pointer.to_owned());
            }
        }
        for (name, child, by_name) in children(value, by_name) {
            self.read(child, by_name, &format!("{pointer}/{}", escaped(&name)), &base);
        }
    }

    /// JSON pointer of the target of a `$ref` at `pointer`; `None` if it is outside the schema.
    pub fn find(&self, schema: &Value, pointer: &str, reference: &str) -> Option<String> {
        let around = |at: &String| pointer == at || pointer.starts_with(&format!("{at}/"));
        let (_, base) = self.bases.iter().filter(|(at, _)| around(at)).max_by_key(|(at, _)| at.len())?;
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let address = if address.is_empty() { base.clone() } else { joined(base, address) };
        let fragment = decoded(fragment);
        if fragment.is_empty() || fragment.starts_with('/') {
            let found = format!("{}{fragment}", self.named.get(&address)?);
            return schema.pointer(&found).map(|_| found);
        }
        self.named.get(&format!("{address}#{fragment}")).cloned()
    }

    /// JSON pointers of recursive places.
    pub fn recursive(&self) -> HashSet<String> {
        let within = |place: &str, at: &str| at == place || at.starts_with(&format!("{place}/"));
        let targets: HashSet<&String> = self.references.iter().map(|(_, to)| to).collect();
        let leads: HashMap<&String, HashSet<&String>> = targets
            .iter()
            .map(|&place| {
                let inner = self.references.iter().filter(|(at, _)| within(place, at));
                (place, inner.map(|(_, to)| to).collect())
            })
            .collect();
        let reaches_itself = |place: &&String| {
            let (mut seen, mut next) = (HashSet::new(), vec![*place]);
            while let Some(at) = next.pop() {
                for &to in leads.get(at).into_iter().flatten() {
                    if to == *place {
                        return true;
                    }
                    if seen.insert(to) {
                        next.push(to);
                    }
                }
            }
            false
        };
        targets.into_iter().filter(reaches_itself).cloned().collect()
    }
}

/// Parts that may contain schemas, and whether by name. `by_name`: `value` does.
fn children(value: &Value, by_name: bool) -> Vec<(String, &Value, bool)> {
    match value {
        Value::Object(members) if by_name => members.iter().map(|(name, child)| (name.clone(), child, false)).collect(),
        Value::Object(members) => {
            let schemas = members.iter().filter(|(name, _)| !VALUES.contains(&name.as_str()));
            schemas.map(|(name, child)| (name.clone(), child, NAMED.contains(&name.as_str()))).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, child)| (at.to_string(), child, false)).collect(),
        _ => Vec::new(),
    }
}

fn collect_references(value: &Value, by_name: bool, pointer: &str, found: &mut Vec<(String, String)>) {
    if let Some(to) = value.get("$ref").and_then(Value::as_str).filter(|_| !by_name) {
        found.push((pointer.to_owned(), to.to_owned()));
    }
    for (name, child, by_name) in children(value, by_name) {
        collect_references(child, by_name, &format!("{pointer}/{}", escaped(&name)), found);
    }
}

/// Escapes a name for a JSON pointer (RFC 6901).
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Decodes percent-encoding: `%7E` → `~`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Resolves a URI reference against a base (RFC 3986), as far as schemas need it.
fn joined(base: &str, address: &str) -> String {
    if address.split(['/', '?', '#']).next().unwrap_or_default().contains(':') || base.is_empty() {
        return address.to_owned();
    }
    if address.is_empty() {
        return base.to_owned();
    }
    let path = base.find("://").and_then(|at| base.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
    let (origin, path) = base.split_at(path.unwrap_or(if base.contains("://") { base.len() } else { 0 }));
    if address.starts_with('/') {
        return format!("{origin}{address}");
    }
    let folder = path
        .rfind('/')
        .and_then(|slash| path.get(..=slash))
        .unwrap_or(if path.is_empty() && !origin.is_empty() { "/" } else { "" });
    let mut parts: Vec<&str> = Vec::new();
    let whole = format!("{folder}{address}");
    for part in whole.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    format!("{origin}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_resolved_by_pointer_uri_and_anchor() {
        let schema = json!({
            "$id": "https://a.b/c/root.json",
            "$defs": {
                "a/b": {}, "x~y": {}, "p%q": {}, "é": {},
                "inner": { "$id": "inner.json", "$defs": { "deep": { "$anchor": "here" } } },
                "urn": { "$id": "urn:x:y" },
                "old": { "id": "#old" },
            },
        });
        let places = Places::of(&schema);
        for (from, reference, to) in [
            ("", "#", Some("")),
            ("", "#/$defs/a~1b", Some("/$defs/a~1b")),
            ("", "#/$defs/x~0y", Some("/$defs/x~0y")),
            ("", "#/$defs/p%25q", Some("/$defs/p%q")),
            ("", "#/$defs/%C3%A9", Some("/$defs/é")),
            ("", "inner.json", Some("/$defs/inner")),
            ("", "/c/inner.json#here", Some("/$defs/inner/$defs/deep")),
            ("", "https://a.b/c/inner.json#/$defs/deep", Some("/$defs/inner/$defs/deep")),
            ("/$defs/inner", "#here", Some("/$defs/inner/$defs/deep")),
            ("/$defs/inner/$defs/deep", "#", Some("/$defs/inner")),
            ("", "urn:x:y", Some("/$defs/urn")),
            ("", "#old", Some("/$defs/old")),
            ("", "#here", None),
            ("", "#/$defs/none", None),
            ("", "https://c.d/e", None),
        ] {
            assert_eq!(places.find(&schema, from, reference).as_deref(), to, "{from} {reference}");
        }
    }

    #[test]
    fn indirect_recursion_is_found() {
        let schema = json!({
            "$ref": "#/$defs/a",
            "$defs": {
                "a": { "properties": { "b": { "$ref": "#/$defs/b" }, "c": { "$ref": "#/$defs/c" } } },
                "b": { "items": { "$ref": "#/$defs/a" } },
                "c": { "type": "string" },
                // names of properties are not keywords
                "d": { "properties": { "default": { "$ref": "#/$defs/d" }, "enum": { "$ref": "#/$defs/d" } } },
            },
        });
        let mut recursive: Vec<String> = Places::of(&schema).recursive().into_iter().collect();
        recursive.sort();
        assert_eq!(recursive, ["/$defs/a", "/$defs/b", "/$defs/d"]);
    }
}
