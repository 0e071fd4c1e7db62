//! `--adapter`: LoRA adapters beside a model.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use weft_llm::Result;
use weft_llm::inference::{AdapterUse, LoadedDecoder};

use super::files::{CHUNK, io_error};

#[derive(Args)]
pub struct AdapterArgs {
    /// A LoRA adapter, a GGUF file or a folder of PEFT, and how much of it (1 by default). May be
    /// repeated: they add up.
    #[arg(long = "adapter", value_name = "FILE[=SCALE]")]
    adapters: Vec<String>,
}

impl AdapterArgs {
    /// Loads them, and uses them for all that follows. Errors: `Io`, and those of
    /// [`LoadedDecoder::begin_adapter`] and what follows it.
    pub async fn load(&self, decoder: &mut LoadedDecoder) -> Result<()> {
        let mut uses = Vec::new();
        for given in &self.adapters {
            let scale = |(path, scale): (&'_ str, &str)| Some((path.to_string(), scale.parse().ok()?));
            let (name, scale) = given.rsplit_once('=').and_then(scale).unwrap_or((given.clone(), 1.0));
            load(decoder, &name).await?;
            uses.push(AdapterUse { name, scale });
        }
        decoder.use_adapters(&uses)
    }
}

async fn load(decoder: &mut LoadedDecoder, name: &str) -> Result<()> {
    let path = Path::new(name);
    let (config, file): (Option<PathBuf>, PathBuf) = match path.is_dir() {
        true => (Some(path.join("adapter_config.json")), path.join("adapter_model.safetensors")),
        false => (None, path.to_path_buf()),
    };
    let failed = |path: &Path, error| io_error(&path.display().to_string(), &error);
    let config = match config {
        Some(path) => Some(std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?),
        None => None,
    };
    let mut bytes = std::fs::File::open(&file).map_err(|error| failed(&file, error))?;
    decoder.begin_adapter(name, config.as_deref())?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match bytes.read(&mut chunk).map_err(|error| failed(&file, error))? {
            0 => return decoder.finish_adapter().await,
            count => decoder.feed_adapter(&chunk[..count]).await?,
        }
    }
}
