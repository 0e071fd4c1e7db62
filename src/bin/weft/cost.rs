//! What a model costs on a GPU.

use clap::Args;
use weft_llm::Result;
use weft_llm::cost::profiles;
use weft_llm::format::ModelReader;
use weft_llm::inference::{CostModel, CostOptions, ModelCost};
use weft_llm::record::KvFormat;

use super::files::Files;
use super::synthetic::SyntheticArgs;
use super::{print, print_json};

#[derive(Args)]
pub struct CostArgs {
    /// A GGUF file, the parts of a split one in order, or a folder of transformers; only headers
    /// are read.
    #[arg(short, long, required_unless_present = "synthetic", num_args = 1..)]
    model: Vec<std::path::PathBuf>,
    #[command(flatten)]
    synthetic: SyntheticArgs,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    /// Position of the token that is decoded.
    #[arg(long, default_value_t = 512)]
    position: usize,
    /// Format of keys and values: f32, f16 or q8.
    #[arg(long, default_value = "f16")]
    kv: String,
    /// The shaders: discrete, core, software or plain.
    #[arg(long, default_value = "discrete")]
    profile: String,
    /// Most MiB of one buffer, beyond which a matrix is split; WebGPU guarantees 128.
    #[arg(long, default_value_t = 2047)]
    max_buffer_mib: u64,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub fn cost(args: &CostArgs) -> Result<()> {
    let options = CostOptions {
        prompt: args.prompt,
        position: args.position,
        kv_format: KvFormat::of_gpu(Some(KvFormat::named("kv", &args.kv)?))?,
        profile: profiles::named(&args.profile)?,
        max_buffer_bytes: args.max_buffer_mib << 20,
    };
    let cost = of(args, options)?;
    if args.json { print_json(&cost) } else { print(&cost.report()) }
}

fn of(args: &CostArgs, options: CostOptions) -> Result<ModelCost> {
    if let Some((shape, mixture)) = args.synthetic.shape()? {
        let mut model = CostModel::new(ModelReader::default(), options)?;
        model.feed(&shape.header(mixture))?;
        return model.finish();
    }
    let files = Files::new(&args.model, None)?;
    let mut model = CostModel::new(files.reader()?, options)?;
    files.read(|bytes| match bytes {
        [] => model.end_file().map(|()| true),
        bytes => model.feed(bytes).map(|over| !over),
    })?;
    model.finish()
}
