//! The native command: constraints, what chat templates are given, and inspections.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::{Value, json};
use support::tiny::{LAYERS, Tiny, decoder_on, decoder_with, greedy};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::BlockType;
use weft_llm::tokenizer::EncodeOptions;

/// A temporary folder, removed on drop.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the command. Returns whether it succeeded, and all that it printed.
pub fn weft(arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weft")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Says what it was given, as an error.
const TELLING: &str = "{{ raise_exception(tools | tojson ~ enable_thinking ~ language) }}";

/// A model of random weights with a chat template, and a file of each option.
struct Model(Scratch);

impl Model {
    fn new(name: &str, template: &str) -> Self {
        let scratch = Scratch::new(name);
        let model = Tiny::new(7, |_| BlockType::F32).meta("tokenizer.chat_template", template);
        std::fs::write(scratch.0.join("model.gguf"), model.bytes()).unwrap();
        Self(scratch)
    }

    fn path(&self, name: &str) -> String {
        self.0.0.join(name).to_str().unwrap().into()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn run(&self, command: &str, options: &[&str]) -> (bool, String) {
        let model = self.path("model.gguf");
        let common = [command, "-m", &model, "-p", "Hello"];
        let device: &[&str] = if options.contains(&"--device") { &[] } else { &["--device", "reference"] };
        weft(&[&common[..], device, options].concat())
    }

    fn generate(&self, options: &[&str]) -> (bool, String) {
        self.run("generate", &[&["--seed", "1"][..], options].concat())
    }
}

#[test]
fn an_answer_fits_its_constraint() {
    let model = Model::new("constraint", "{{ messages }}");
    let schema = json!({
        "type": "object",
        "properties": {
            "sky": { "enum": ["blue", "grey"] },
            "stars": { "type": "integer", "minimum": 10, "maximum": 99 },
        },
        "required": ["sky", "stars"],
        "additionalProperties": false,
    });
    let schema = model.file("schema.json", schema.to_string());
    let grammar = model.file("list.lark", "start: \"<\" item (\",\" item)* \">\"\nitem: \"ab\" | \"c\"");
    for seed in ["1", "2", "3"] {
        for device in ["reference", "cpu"] {
            let answer = |options: &[&str]| {
                let (ok, said) =
                    model.run("generate", &[&["--temp", "5", "--seed", seed, "--device", device], options].concat());
                assert!(ok, "{said}");
                said.trim_end().to_owned()
            };
            let said: Value = serde_json::from_str(&answer(&["--json-schema", &schema])).unwrap();
            assert!(["blue", "grey"].contains(&said["sky"].as_str().unwrap()), "{said}");
            assert!((10..100).contains(&said["stars"].as_i64().unwrap()), "{said}");
            let said = answer(&["--regex", "(yes|no)[.!]"]);
            assert!(["yes.", "yes!", "no.", "no!"].contains(&said.as_str()), "{said}");
        }
    }
    let (_, said) = model.generate(&["--grammar", &grammar]);
    assert!(said.starts_with("<ab") || said.starts_with("<c"), "{said}");
    // without the option, this model writes anything
    assert!(!model.generate(&["-n", "10"]).1.starts_with('<'));
}

#[test]
fn tools_and_variables_reach_the_chat_template() {
    let model = Model::new("template", TELLING);
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name, "strict": true } });
    let tools = model.file("tools.json", json!([tool("weather"), tool("time")]).to_string());
    let (ok, said) =
        model.generate(&["--chat", "--tools", &tools, "--thoughts", "off", "--template-variable", r#"language="de""#]);
    let [weather, time] =
        ["weather", "time"].map(|name| format!(r#"{{"type": "function", "function": {{"name": "{name}"}}}}"#));
    let told = format!("[{weather}, {time}]Falsede");
    assert!(!ok && said.contains(&told), "{said}");
    let (_, said) = model.generate(&["--chat", "--thoughts", "on", "--template-variable", "language=1"]);
    assert!(said.contains("True1"), "{said}");
    // what is given by name wins
    let both =
        ["--chat", "--thoughts", "on", "--template-variable", "enable_thinking=3", "--template-variable", "language=1"];
    assert!(model.generate(&both).1.contains("31"));
}

#[test]
fn special_tokens_are_printed_beside_tools_and_thoughts() {
    let model = Model::new("special", "{{ enable_thinking }}{{ tools }}");
    let grammar = model.file("special.lark", "start: \"a\" <s> \"b\"");
    let tools = model.file("tools.json", r#"[{"function": {"name": "f"}}]"#);
    let answer = |options: &[&str]| model.generate(&[&["--chat", "--grammar", &grammar], options].concat());
    assert_eq!(answer(&[]), (true, "ab\n".into()));
    assert_eq!(answer(&["--thoughts", "off"]), (true, "a<s>b\n".into()));
    let (ok, said) = answer(&["--tools", &tools]);
    assert!(!ok && said.contains("cannot be used with"), "{said}");
}

#[test]
fn what_cannot_be_used_is_named_with_the_remedy() {
    let model = Model::new("refused", "{{ messages[0].content }}");
    let file = |name: &str, content: &str| model.file(name, content);
    let (broken, unsupported) =
        (file("broken.json", "{"), file("array.json", r#"{"type": "array", "uniqueItems": true}"#));
    let (tools, flat) =
        (file("tools.json", r#"[{"function": {"name": "f"}}]"#), file("flat.json", r#"[{"name": "f"}]"#));
    for (options, says) in [
        (&["--json-schema", &broken][..], &["option `--json-schema`: expected a file of JSON", "broken.json"][..]),
        (&["--json-schema", "nosuch.json"], &["nosuch.json"]),
        (&["--json-schema", &unsupported], &["`--json-schema`", "uniqueItems"]),
        (&["--regex", "("], &["option `--regex`: expected a constraint that can be enforced"]),
        (&["--grammar", &broken], &["option `--grammar`: expected a constraint that can be enforced"]),
        (&["--regex", "a", "--grammar", &broken], &["cannot be used with"]),
        (&["--regex", "a{50}", "-n", "10"], &["aaaaaaaaaa\n", "option `--regex`", "raise --max-tokens"]),
        (&["--regex", "a", "--chat", "--thoughts", "on"], &["option `--thoughts`: expected auto or off"]),
        (&["--tools", &tools], &["--chat"]),
        (&["--chat", "--tools", &broken], &["option `--tools`: expected a file of JSON"]),
        (
            &["--chat", "--tools", &flat],
            &["option `--tools`: expected an array of tools", r#"{"name":"f"} at place 0"#],
        ),
        (&["--chat", "--tools", &tools], &["whose chat template takes tools", "describe the tools in the prompt"]),
        (&["--chat", "--thoughts", "off"], &["option `--thoughts`", "enable_thinking", "leave --thoughts out"]),
        (&["--chat", "--template-variable", "a=1"], &["option `--template-variable`", "chat template reads, got a"]),
        (&["--chat", "--template-variable", "a=b"], &["write NAME=JSON, with quotes around text"]),
    ] {
        let (ok, said) = model.generate(options);
        assert!(!ok, "{options:?}: {said}");
        says.iter().for_each(|part| assert!(said.contains(part), "{options:?}: {said}"));
    }
}

#[test]
fn a_bench_is_of_files_or_of_a_published_model() {
    for (options, says) in [
        (&[][..], "--model"),
        (&["--synthetic", "llama-9b"], "expected llama-8b, llama-3b,"),
        (&["--synthetic", "llama-8b", "--type", "q3"], "expected q4_k_m, q4_0 or q8_0"),
        (&["--synthetic", "llama-8b", "-m", "model.gguf"], "cannot be used with"),
        (&["-m", "model.gguf", "--layers", "2"], "cannot be used with"),
    ] {
        let (ok, said) = weft(&[&["bench"], options].concat());
        assert!(!ok && said.contains(says), "{options:?}: {said}");
    }
    let model = Model::new("bench", "{{ messages }}");
    let path = model.path("model.gguf");
    let sizes = ["--prompt-tokens", "5", "--gen-tokens", "3", "--position", "0,70", "--context", "100", "--reading"];
    for device in ["cpu", "reference"] {
        let (ok, said) = weft(&[&["bench", "-m", &path, "--device", device, "--json"][..], &sizes].concat());
        assert!(ok, "{said}");
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |what: &str| lines.iter().map(|line| line[what].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!((of("position"), of("promptTokens"), of("genTokens")), (vec![0, 70], vec![5, 5], vec![3, 3]));
        for line in &lines {
            let of = |what: &str| line[what].as_f64();
            let bytes = of("partOfReading").zip(of("readBytesPerSecond")).map(|(part, read)| part * read);
            let bytes = bytes.zip(of("genTokensPerSecond")).map(|(bytes, tokens)| (bytes / tokens).round() as u64);
            let file = std::fs::metadata(&path).unwrap().len();
            assert_eq!(bytes, (device == "cpu").then_some(file), "{line}");
        }
    }
}

#[test]
fn an_inspection_shows_what_the_model_computes() {
    let model = Model::new("inspect", "{{ messages[0].content }}!");
    let mut decoder =
        decoder_on(HostEngine::new(Reference), &std::fs::read(Path::new(&model.path("model.gguf"))).unwrap()).unwrap();
    let encode = EncodeOptions { add_special: true, parse_special: false };
    let ids = decoder.tokenizer().encode("Hello", encode).unwrap();
    let scores = block_on(decoder.score(&ids, 1, false)).unwrap();

    let (ok, said) = model.run("inspect", &["--json", "--attention", "--lens", "--top", "3"]);
    assert!(ok, "{said}");
    let seen: Value = serde_json::from_str(&said).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let tokens = list(&seen["tokens"]);
    assert_eq!(tokens.iter().map(|token| token["id"].as_u64().unwrap() as u32).collect::<Vec<_>>(), ids);
    assert!(tokens[0]["logprob"].is_null() && tokens.last().unwrap()["text"] == "o");
    for (token, score) in tokens[1..].iter().zip(&scores) {
        assert!((token["logprob"].as_f64().unwrap() - f64::from(*score)).abs() < 1e-4, "{token} and {score}");
    }
    let probabilities =
        |tokens: &Value| list(tokens).iter().map(|of| of["probability"].as_f64().unwrap()).collect::<Vec<_>>();
    let next = probabilities(&seen["next"]);
    assert!(next.len() == 3 && next.is_sorted_by(|a, b| a >= b) && next.iter().sum::<f64>() < 1.0, "{next:?}");
    let layers = list(&seen["layers"]);
    assert_eq!(layers.len(), LAYERS + 1);
    assert!(layers[0]["layer"].is_null() && layers[0].get("attention").is_none());
    for (at, layer) in layers.iter().enumerate() {
        assert!(list(&layer["norms"]).len() == ids.len() && layer["norms"][0].as_f64().unwrap() > 0.0, "{layer}");
        for head in list(layer.get("attention").unwrap_or(&json!([]))) {
            let (position, weight) = (head["position"].as_u64().unwrap(), head["weight"].as_f64().unwrap());
            // the strongest is at least the mean
            assert!(position < ids.len() as u64 && weight <= 1.0 && weight * ids.len() as f64 > 0.999, "{at}: {head}");
        }
    }
    let last = probabilities(&layers[LAYERS]["lens"]);
    last.iter().zip(&next).for_each(|(lens, next)| assert!((lens - next).abs() < 1e-4, "{lens} and {next}"));

    let (ok, said) = model.run("inspect", &["--attention", "--lens"]);
    assert!(ok, "{said}");
    for title in ["Tokens, with", "The next token\n", "L2 norm", "after each layer", "Strongest attention"] {
        assert!(said.contains(title), "{title}: {said}");
    }
    assert!(said.lines().any(|line| line.trim_end().ends_with("\"o\"")), "{said}");
    let (_, short) = model.run("inspect", &[]);
    assert!(!short.contains("after each layer") && !short.contains("Strongest"), "{short}");
    // the template adds a token
    let (_, chat) = model.run("inspect", &["--chat"]);
    assert!(chat.contains("\"!\""), "{chat}");
    let (ok, said) = model.run("inspect", &["--top", "0"]);
    assert!(!ok && said.contains("--top"), "{said}");
}

#[test]
fn an_adapter_changes_the_logits() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let model = format!("{fixtures}/architectures/llama/model.gguf");
    let logits = |adapter: &str| {
        let adapter = format!("{fixtures}/adapters/{adapter}");
        let arguments = ["logits", "-m", &model, "--ids", "2,3,4", "--device", "cpu", "--adapter", &adapter];
        let (ok, said) = weft(&arguments);
        assert!(ok, "{said}");
        said
    };
    let folder = logits("llama");
    assert_eq!(logits("llama/adapter.gguf=1.0"), folder);
    assert_ne!(logits("llama=0.5"), folder);
    let (ok, said) = weft(&["logits", "-m", &model, "--ids", "2", "--device", "cpu", "--adapter", &model]);
    assert!(!ok && said.contains("the adapter cannot be used: general.type: expected adapter, got model"), "{said}");
}

#[test]
fn an_answer_with_drafts_of_another_model_is_the_same() {
    let model = Model::new("draft", "{{ messages }}");
    let mut small = Tiny::new(7, |_| BlockType::F32).meta("llama.block_count", 1u32);
    small.tensors.retain(|name, _| !name.starts_with("blk.1."));
    let small = model.file("small.gguf", small.bytes());
    let answer = |options: &[&str]| {
        let (ok, said) = model.generate(&[&["-n", "40", "--temp", "0"], options].concat());
        assert!(ok, "{said}");
        said
    };
    let plain = answer(&[]);
    for device in ["reference", "cpu"] {
        let said = answer(&["--speculate", &small, "--device", device]);
        let (text, counts) = said.split_at(plain.len());
        assert_eq!(text, plain, "{device}");
        let counts: Vec<usize> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(counts[0] <= counts[1] && counts[1] > 0, "{device}: {said}");
    }

    let (ok, said) = model.generate(&["--speculate", &model.path("none.gguf")]);
    assert!(!ok && said.contains("none.gguf"), "{said}");
    let mut other = Tiny::new(7, |_| BlockType::F32);
    let tokens = other.metadata.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens");
    if let Some((_, weft_llm::format::Value::Array(weft_llm::format::Array::Strings(tokens)))) = tokens {
        tokens.swap(100, 101);
    }
    let (ok, said) = model.generate(&["--speculate", &model.file("other.gguf", other.bytes())]);
    assert!(!ok && said.contains("`--speculate`") && said.contains("vocabulary"), "{said}");
}

#[test]
fn the_first_tokens_and_the_newer_half_of_the_others_stay() {
    const CONTEXT: usize = 24;
    let model = Model::new("sinks", "{{ messages }}");
    let bytes = std::fs::read(model.path("model.gguf")).unwrap();
    let prompt: Vec<u32> = (30..40).collect();
    let listed = prompt.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let run = |options: &[&str]| {
        let path = model.path("model.gguf");
        let common =
            ["generate", "-m", &path, "--ids", &listed, "--device", "reference", "--temp", "0", "--context", "24"];
        weft(&[&common[..], options].concat())
    };
    for sinks in [0, 4, 9] {
        let (ok, said) = run(&["--sinks", &sinks.to_string(), "-n", "60"]);
        assert!(ok, "{said}");
        let got: Vec<u32> = said.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let mut decoder = decoder_with(HostEngine::new(Reference), &bytes, Some(CONTEXT)).unwrap();
        let (mut tokens, mut expected) = (prompt.clone(), Vec::new());
        while expected.len() < got.len() {
            block_on(decoder.forget()).unwrap();
            let [id] = greedy(&mut decoder, &tokens, 1)[..] else { unreachable!() };
            tokens.push(id);
            expected.push(id);
            if tokens.len() == CONTEXT {
                let newer = (CONTEXT - sinks) / 2;
                tokens = [&tokens[..sinks], &tokens[CONTEXT - newer..]].concat();
            }
        }
        assert_eq!(got, expected, "behind {sinks}");
        // unless the model ended it
        assert!(got.len() > CONTEXT, "{got:?}");
    }
    let (ok, said) = run(&["--sinks", "23"]);
    assert!(!ok && said.contains("`--sinks`") && said.contains("at most 22"), "{said}");
    assert_eq!(run(&[]).1.split_whitespace().count(), CONTEXT - prompt.len(), "without sinks it ends there");
}
