//! Checks the layers of `src/lib.rs`: imports go downwards only, and only one place uses each of
//! the two big dependencies.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. Modules of one line do not import each other.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["jinja"],
    &["format", "tokenizer", "sampling", "picture"],
    &["record"],
    &["ops"],
    &["model", "engine"],
    &["cost"],
    &["inference"],
    &["web"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|file| file.extension().is_some_and(|end| end == "rs")).collect()
}

/// The module of the crate root that contains a file.
fn layer_of(file: &Path, root: &Path) -> String {
    let first = file.strip_prefix(root).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string()
}

/// Modules of the crate root that `text` names as `crate::<module>` or in `use crate::{…}`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let list = match rest.strip_prefix('{') {
            Some(list) => &list[..list.find("};").unwrap_or(list.len())],
            None => &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())],
        };
        let words = list.split(|c: char| !c.is_alphanumeric() && c != '_');
        found.extend(words.filter(|word| LAYERS.iter().flat_map(|l| l.iter()).any(|l| l == word)).map(String::from));
    }
    found
}

#[test]
fn imports_go_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let level = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut seen = 0;
    for file in sources(&root) {
        let own = layer_of(&file, &root);
        let Some(own_level) = level(&own) else { continue };
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            let allowed = import == own || level(&import).unwrap() < own_level;
            assert!(allowed, "{} imports `{import}`, which is not below `{own}`", file.display());
        }
    }
    assert!(seen > 50, "only {seen} imports found: does this test still read the sources?");
}

#[test]
fn wgpu_and_wasm_bindgen_stand_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (name, home) in [("wgpu::", "engine/gpu"), ("wasm_bindgen", "web")] {
        let users: Vec<_> =
            sources(&root).into_iter().filter(|file| fs::read_to_string(file).unwrap().contains(name)).collect();
        assert!(!users.is_empty(), "nobody uses {name}");
        for file in users {
            assert!(file.strip_prefix(&root).unwrap().starts_with(home), "{} uses {name}", file.display());
        }
    }
}

#[test]
fn every_file_of_tests_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let modules = fs::read_to_string(root.join("tests/all.rs")).unwrap();
    for entry in fs::read_dir(root.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".rs") else { continue };
        let run =
            programs.contains(&format!("path = \"tests/{name}.rs\"")) || modules.contains(&format!("mod {name};\n"));
        assert!(run, "tests/{name}.rs is not run: add `mod {name};` to tests/all.rs");
    }
}
