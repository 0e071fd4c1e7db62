//! The table of families in docs/MODELS.md: from tests/fixtures/architectures/models.json, which
//! says what people call them, and from what the code knows of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use weft_llm::Result;
use weft_llm::cost::synthetic::{Mixture, SHAPES};
use weft_llm::format::{Folder, Header, ModelReader, Sink, TensorInfo};
use weft_llm::inference::{Estimate, Estimator};
use weft_llm::model::architecture::{Architecture, NAMES};
use weft_llm::record::KvFormat;

/// Length of the chat that the memory is for, which is the default of a load.
const CONTEXT: usize = 2048;

/// What is said of the models of an architecture that no code needs.
#[derive(Deserialize)]
struct Row {
    architecture: String,
    decoder: Option<String>,
    experts: Option<String>,
    encoder: Option<String>,
    /// Those that are published, and the lengths that they were trained for, as far as known.
    sizes: Option<String>,
    context: Option<String>,
    tasks: String,
}

#[derive(Deserialize)]
struct Origin {
    versions: BTreeMap<String, String>,
    source: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let file = root().join("tests/fixtures/architectures/models.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The first header of a file.
#[derive(Default)]
struct First(Option<Header>);

impl Sink for First {
    fn header(&mut self, header: Header) -> Result<()> {
        self.0.get_or_insert(header);
        Ok(())
    }

    fn rows(&mut self, _: &TensorInfo, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

fn architecture_of(file: &Path) -> String {
    let (mut reader, mut first) = (ModelReader::default(), First::default());
    reader.feed(&std::fs::read(file).unwrap(), &mut first).unwrap();
    first.0.unwrap().metadata.str("general.architecture").unwrap().into()
}

/// Of each architecture: how many fixtures it has, how many of them also as a folder, and whose
/// figures they are compared with.
fn checks() -> BTreeMap<String, String> {
    let fixtures = std::fs::read_dir(root().join("tests/fixtures/architectures")).unwrap();
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for folder in fixtures.map(|entry| entry.unwrap().path()).filter(|folder| folder.join("model.gguf").exists()) {
        found.entry(architecture_of(&folder.join("model.gguf"))).or_default().push(folder);
    }
    let told = |folders: Vec<PathBuf>| {
        let as_folder = folders.iter().filter(|folder| folder.join("config.json").exists()).count();
        let source = |folder: &PathBuf| {
            let text = std::fs::read(folder.join("reference.json")).unwrap();
            let Origin { versions, source } = serde_json::from_slice(&text).unwrap();
            let source = source.unwrap_or_else(|| format!("transformers {}", versions["transformers"]));
            source.trim_end_matches(',').to_owned()
        };
        let mut sources: Vec<String> = folders.iter().map(source).collect();
        sources.sort();
        sources.dedup();
        let forms = match as_folder {
            0 => "GGUF".to_owned(),
            all if all == folders.len() => "GGUF and folder".to_owned(),
            some => format!("GGUF, {some} as a folder"),
        };
        let plural = if folders.len() == 1 { "" } else { "s" };
        format!("{} model{plural} ({forms}): {}", folders.len(), sources.join("; "))
    };
    found.into_iter().map(|(architecture, folders)| (architecture, told(folders))).collect()
}

/// Of each architecture the memory of the models whose shapes are known.
fn memory() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for shape in SHAPES {
        let mut estimator = Estimator::new(ModelReader::default(), Some(CONTEXT));
        estimator.set_kv_format(KvFormat::F16);
        assert!(estimator.feed(&shape.header(Mixture::Q4KM)).unwrap());
        let Estimate { architecture, total_bytes, .. } = estimator.finish().unwrap();
        let amount = format!("{} {:.2}\u{a0}GB", shape.model, total_bytes as f64 / 1e9);
        found.entry(architecture).or_default().push((total_bytes, amount));
    }
    let sorted = |mut of: Vec<(u64, String)>| {
        of.sort();
        of.into_iter().map(|(_, amount)| amount).collect()
    };
    found.into_iter().map(|(architecture, of)| (architecture, sorted(of))).collect()
}

fn table() -> String {
    let (checks, memory) = (checks(), memory());
    let mut table = String::from(
        "| family | sizes | GGUF | folder | tasks | context | memory at Q4_K_M | checked |\n\
         |---|---|---|---|---|---|---:|---|\n",
    );
    for Row { architecture, decoder, experts, encoder, sizes, context, tasks } in rows() {
        let mut names: Vec<String> = [decoder, experts, encoder].into_iter().flatten().collect();
        names.dedup();
        let kinds: Vec<String> = Folder::kinds()
            .filter(|(_, of)| *of == architecture)
            .flat_map(|(kinds, _)| kinds)
            .map(|kind| format!("`{kind}`"))
            .collect();
        let or_dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
        let cells = [
            names.join(", "),
            or_dash(sizes.unwrap_or_default()),
            format!("`{architecture}`"),
            or_dash(kinds.join(", ")),
            tasks,
            or_dash(context.unwrap_or_default()),
            or_dash(memory.get(&architecture).map(|of| of.join(", ")).unwrap_or_default()),
            checks[&architecture].clone(),
        ];
        table += &format!("| {} |\n", cells.join(" | "));
    }
    table
}

#[test]
fn every_architecture_has_a_row() {
    let rows = rows();
    let mut named: Vec<&str> = rows.iter().map(|row| row.architecture.as_str()).collect();
    named.sort_unstable();
    let mut known = NAMES.to_vec();
    known.sort_unstable();
    assert_eq!(named, known);
    let tasks = ["chat", "generate", "embed", "rerank", "classify", "classifyTokens", "fillMask"];
    for row in &rows {
        assert!(row.tasks.split(", ").all(|task| tasks.contains(&task)), "{}: {}", row.architecture, row.tasks);
        let Architecture { encoder, rerank, .. } = Architecture::named(&row.architecture).unwrap();
        assert_eq!(row.tasks.contains("generate"), !encoder, "{}", row.architecture);
        assert!(rerank.is_none() || row.tasks.contains("rerank"), "{}", row.architecture);
    }
}

#[test]
fn the_table_of_families_is_current() {
    let file = root().join("docs/MODELS.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- tests/models.rs writes this -->\n\n", "\n<!-- until here -->");
    let (head, rest) = text.split_once(begin).expect("the comment before the table");
    let (_, tail) = rest.split_once(end).expect("the comment behind the table");
    let expected = format!("{head}{begin}{}{end}{tail}", table());
    if std::env::var_os("WEFT_WRITE").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    assert_eq!(text, expected, "WEFT_WRITE=1 writes docs/MODELS.md anew");
}
