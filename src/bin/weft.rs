//! The native `weft` command: the same core as in the browser, for developers, benchmarks and
//! tests.

#![allow(clippy::disallowed_methods)] // never built for the browser

#[path = "weft/adapters.rs"]
mod adapters;
#[path = "weft/bench.rs"]
mod bench;
#[path = "weft/constrain.rs"]
mod constrain;
#[path = "weft/cost.rs"]
mod cost;
#[path = "weft/draft.rs"]
mod draft;
#[path = "weft/encode.rs"]
mod encode;
#[path = "weft/files.rs"]
mod files;
#[path = "weft/generate.rs"]
mod generate;
#[path = "weft/inspect.rs"]
mod inspect;
#[path = "weft/measure.rs"]
mod measure;
#[path = "weft/options.rs"]
mod options;
#[path = "weft/pictures.rs"]
mod pictures;
#[path = "weft/quantize.rs"]
mod quantize;
#[path = "weft/reading.rs"]
mod reading;
#[path = "weft/synthetic.rs"]
mod synthetic;
#[path = "weft/texts.rs"]
mod texts;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use adapters::AdapterArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use encode::Encode;
use files::{Files, io_error};
use generate::Generate;
use inspect::Inspect;
use pictures::PictureArgs;
use pollster::block_on;
use serde_json::json;
use weft_llm::cost::synthetic::RandomFile;
use weft_llm::engine::{self, Device, Hints};
use weft_llm::format::ModelReader;
use weft_llm::inference::{LoadedDecoder, LoadedModel, Loading};
use weft_llm::model::{Context, RopeScaling};
use weft_llm::record::KvFormat;
use weft_llm::tokenizer::{EncodeOptions, Tokenizer};
use weft_llm::{Error, Result};

/// Runs open language models.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Continues a prompt, or answers it with --chat.
    Generate(Generate),
    /// Prints the logits after some token ids, as JSON.
    Logits {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        adapters: AdapterArgs,
        #[command(flatten)]
        pictures: PictureArgs,
        /// Token ids, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        ids: Vec<u32>,
        /// Prints the logits of every position instead of the last.
        #[arg(long)]
        all: bool,
    },
    /// Measures perplexity as llama.cpp does: windows of --ctx tokens, of which the second half is
    /// scored.
    Perplexity {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        adapters: AdapterArgs,
        /// The text.
        #[arg(short, long)]
        file: PathBuf,
        /// Tokens per window.
        #[arg(long, default_value_t = 512)]
        ctx: usize,
        /// Maximum number of windows to score; all by default.
        #[arg(long)]
        chunks: Option<usize>,
    },
    /// Shows what a model computes while it reads a text: log-probabilities, norms, the next token.
    Inspect(Inspect),
    #[command(flatten)]
    Encode(Encode),
    /// Prints the token ids of standard input, as JSON.
    Tokenize {
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Prints what a model is and how much memory it needs, as JSON; reads only headers.
    Info {
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Counts what a prompt and a token cost on a GPU, from headers alone.
    Cost(cost::CostArgs),
    /// Quantises a model and writes it as a GGUF file.
    Quantize {
        /// A GGUF file or a folder of transformers.
        input: PathBuf,
        /// The GGUF file to write; it must not exist yet.
        output: PathBuf,
        /// q8_0, q5_1, q5_0, q4_k, q4_1, q4_0, f16 or bf16; none keeps the weights as they are.
        #[arg(short, long = "type", default_value = "q8_0")]
        kind: String,
    },
    /// Measures prompt and generation speed.
    Bench(bench::BenchArgs),
}

#[derive(Args)]
struct ModelArgs {
    /// A GGUF file, the parts of a split one in order, or a folder of transformers.
    #[arg(short, long, required = true, num_args = 1..)]
    model: Vec<PathBuf>,
    /// Type to quantise weights to while loading: q8_0 and so on, or none. By default q8_0 for a
    /// folder.
    #[arg(long)]
    quantize: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args, Clone)]
struct RunArgs {
    /// The device to run on.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
    /// Threads of the CPU engine.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Tokens of prompt and answer together.
    #[arg(long)]
    context: Option<usize>,
    /// How RoPE is scaled for a longer context, in place of what the file says: linear, yarn or
    /// dynamic.
    #[arg(long, requires = "rope_scale")]
    rope_scaling: Option<String>,
    /// The longest context / that of pretraining.
    #[arg(long, requires = "rope_scaling")]
    rope_scale: Option<f32>,
    /// How keys and values are kept: f32, f16, q8, or on the CPU q4. Default: f16.
    #[arg(long = "kv", visible_alias = "kv-cache", value_name = "FORMAT")]
    kv_cache: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceArg {
    Auto,
    Gpu,
    Cpu,
    Reference,
}

impl From<DeviceArg> for Device {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Gpu => Self::Gpu,
            DeviceArg::Cpu => Self::Cpu,
            DeviceArg::Reference => Self::Reference,
        }
    }
}

fn main() -> std::process::ExitCode {
    match block_on(run(Cli::parse().command)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Encode(command) => command.run().await,
        Command::Inspect(command) => command.run().await,
        Command::Generate(command) => command.run().await,
        Command::Logits { model, adapters, pictures, ids, all } => {
            let pictures = pictures.read()?;
            let mut decoder = model.load().await?;
            adapters.load(&mut decoder).await?;
            let (ids, content) = pictures.place(&decoder, ids, &model.run).await?;
            let mut rows = Vec::new();
            decoder
                .logits_with(&ids, content, |position, logits| {
                    if all || position + 1 == ids.len() {
                        rows.push(logits.to_vec());
                    }
                })
                .await?;
            print_json(&json!({ "ids": ids, "logits": rows }))
        }
        Command::Perplexity { model, adapters, file, ctx, chunks } => {
            let text = String::from_utf8_lossy(&read(&file)?).into_owned();
            let run = RunArgs { context: Some(ctx), ..model.run };
            let mut decoder = ModelArgs { run, ..model }.load().await?;
            adapters.load(&mut decoder).await?;
            measure::perplexity(&mut decoder, &text, ctx, chunks).await
        }
        Command::Tokenize { model } => {
            let model = model.load_any().await?;
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| io_error("standard input", &error))?;
            print_json(&json!({ "ids": encode(model.tokenizer(), &text)? }))
        }
        Command::Info { model } => {
            print_json(&files::estimate(&model.files()?, model.run.context()?, model.run.kv_format()?)?)
        }
        Command::Cost(args) => cost::cost(&args),
        Command::Quantize { input, output, kind } => quantize::quantize(&Files::new(&[input], Some(&kind))?, &output),
        Command::Bench(args) => args.bench().await,
    }
}

impl ModelArgs {
    fn files(&self) -> Result<Files> {
        Files::new(&self.model, self.quantize.as_deref())
    }

    async fn load(&self) -> Result<LoadedDecoder> {
        self.load_any().await?.into_decoder("generate")
    }

    async fn load_any(&self) -> Result<LoadedModel> {
        self.run.load(&self.files()?).await
    }
}

/// A model that can be read from its first byte.
trait Source {
    fn reader(&self) -> Result<ModelReader>;
    /// Of all files; u64::MAX if that is unknown.
    fn bytes(&self) -> u64;
    fn feed(&self, loading: &mut Loading) -> Result<()>;
}

impl Source for Files {
    fn reader(&self) -> Result<ModelReader> {
        Files::reader(self)
    }

    fn bytes(&self) -> u64 {
        Files::bytes(self)
    }

    fn feed(&self, loading: &mut Loading) -> Result<()> {
        self.read(|bytes| match bytes {
            [] => loading.end_file().map(|()| true),
            bytes => block_on(loading.feed(bytes)).map(|()| true),
        })
    }
}

impl Source for RandomFile {
    fn reader(&self) -> Result<ModelReader> {
        Ok(ModelReader::default())
    }

    fn bytes(&self) -> u64 {
        RandomFile::bytes(self)
    }

    fn feed(&self, loading: &mut Loading) -> Result<()> {
        self.read(|bytes| block_on(loading.feed(bytes)))
    }
}

impl RunArgs {
    async fn load(&self, source: &impl Source) -> Result<LoadedModel> {
        engine::cpu::pool::start(self.threads).map_err(|error| io_error("a thread", &error))?;
        match (self.load_on(source, self.device.into()).await, self.device) {
            (Err(error @ Error::GpuUnavailable(_)), DeviceArg::Auto) => {
                eprintln!("weft: the CPU takes over: {error}");
                self.load_on(source, Device::Cpu).await
            }
            (loaded, _) => loaded,
        }
    }

    fn context(&self) -> Result<Context> {
        let asked = self.rope_scaling.as_deref().zip(self.rope_scale);
        let scaling = asked.map(|(name, factor)| {
            RopeScaling::kind_named("--rope-scaling", name).map(|kind| RopeScaling { kind, factor })
        });
        Ok(Context { length: self.context, scaling: scaling.transpose()? })
    }

    fn kv_format(&self) -> Result<Option<KvFormat>> {
        self.kv_cache.as_deref().map(|name| KvFormat::named("kv", name)).transpose()
    }

    async fn load_on(&self, source: &impl Source, device: Device) -> Result<LoadedModel> {
        let opened = engine::open(device, Hints::default()).await?;
        let mut loading = Loading::opened(opened, source.reader()?, self.context()?);
        loading.set_kv_format(self.kv_format()?);
        loading.set_stream_bytes(source.bytes());
        source.feed(&mut loading)?;
        loading.finish_any().await
    }
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    tokenizer.encode(text, EncodeOptions { add_special: true, parse_special: false })
}

fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| io_error(&path.display().to_string(), &error))
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Error::Internal {
        op: "print",
        expected: "serialisable values".into(),
        got: error.to_string(),
    })?;
    print(&(text + "\n"))
}

/// Writes to standard output. A closed pipe is an error here, while `print!` would panic.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| io_error("standard output", &error))
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
