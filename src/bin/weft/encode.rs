//! The commands for encoders.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use weft_llm::inference::EmbedOptions;
use weft_llm::model::encoder_config::Pooling;
use weft_llm::{Error, Result};

use super::{ModelArgs, print_json};

#[derive(Subcommand)]
pub enum Encode {
    /// Prints the vectors of texts, as JSON.
    Embed {
        #[command(flatten)]
        model: ModelArgs,
        /// The texts.
        #[arg(short, long, required = true, num_args = 1..)]
        text: Vec<String>,
        /// How token vectors become one vector per text. By default as the file says, otherwise
        /// their mean.
        #[arg(long, value_enum)]
        pooling: Option<PoolingArg>,
        /// Does not scale the vectors to length 1.
        #[arg(long)]
        raw: bool,
        /// What the vectors are for: a name of the prompts in the model's folder, of which one then
        /// comes before the texts.
        #[arg(long)]
        task: Option<String>,
        /// Truncates texts that are too long.
        #[arg(long)]
        truncate: bool,
    },
    /// Sorts texts by how well they answer a query, as JSON.
    Rerank {
        #[command(flatten)]
        model: ModelArgs,
        /// The query.
        #[arg(short, long)]
        query: String,
        /// The texts.
        #[arg(short, long, required = true, num_args = 1..)]
        text: Vec<String>,
        /// Truncates texts that are too long.
        #[arg(long)]
        truncate: bool,
    },
    /// Prints the probability of each label for a text, as JSON.
    Classify {
        #[command(flatten)]
        model: ModelArgs,
        /// The text.
        #[arg(short, long)]
        text: String,
        /// A second text, for models that compare two.
        #[arg(long)]
        pair: Option<String>,
        /// Truncates texts that are too long.
        #[arg(long)]
        truncate: bool,
    },
    /// Prints the most likely label of each token of a text, as JSON.
    ClassifyTokens {
        #[command(flatten)]
        model: ModelArgs,
        /// The text.
        #[arg(short, long)]
        text: String,
        /// Truncates texts that are too long.
        #[arg(long)]
        truncate: bool,
    },
    /// Prints the most likely tokens for each mask of a text, as JSON.
    FillMask {
        #[command(flatten)]
        model: ModelArgs,
        /// The text, such as "Paris is the [MASK] of France."
        #[arg(short, long)]
        text: String,
        /// Number of tokens per mask.
        #[arg(long, default_value_t = 5)]
        top_k: usize,
        /// Truncates texts that are too long.
        #[arg(long)]
        truncate: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PoolingArg {
    Mean,
    Cls,
    Last,
}

impl From<PoolingArg> for Pooling {
    fn from(pooling: PoolingArg) -> Self {
        match pooling {
            PoolingArg::Mean => Self::Mean,
            PoolingArg::Cls => Self::Cls,
            PoolingArg::Last => Self::Last,
        }
    }
}

impl Encode {
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Embed { model, mut text, pooling, raw, task, truncate } => {
                let mut model = model.load_any().await?;
                if let Some(task) = task {
                    let prompts = model.info().prompts;
                    let names = prompts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let prompt = prompts.get(&task).ok_or_else(|| Error::InvalidOption {
                        name: "task".into(),
                        expected: match prompts.is_empty() {
                            true => "none: the model's files name no prompts; write it before the text".into(),
                            false => format!("one of {names}"),
                        },
                        got: task.clone(),
                    })?;
                    text.iter_mut().for_each(|text| text.insert_str(0, prompt));
                }
                let options = EmbedOptions { pooling: pooling.map(Pooling::from), normalize: !raw, truncate };
                let mut vectors = Vec::with_capacity(text.len());
                while vectors.len() < text.len() {
                    vectors.extend(model.embed(&text[vectors.len()..], options).await?);
                }
                print_json(&json!({ "embeddings": vectors }))
            }
            Self::Rerank { model, query, text, truncate } => {
                let mut model = model.load_any().await?;
                let mut ranked = Vec::with_capacity(text.len());
                for (index, text) in text.iter().enumerate() {
                    let answer = model.rerank(&query, text, truncate).await?;
                    ranked
                        .push((answer.logit, json!({ "index": index, "score": answer.score, "logit": answer.logit })));
                }
                ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
                print_json(&ranked.into_iter().map(|(_, answer)| answer).collect::<Vec<_>>())
            }
            Self::Classify { model, text, pair, truncate } => {
                let mut model = model.load_any().await?;
                print_json(&model.encoder("classify")?.classify(&text, pair.as_deref(), truncate).await?)
            }
            Self::ClassifyTokens { model, text, truncate } => {
                let mut model = model.load_any().await?;
                print_json(&model.encoder("classifyTokens")?.classify_tokens(&text, truncate).await?)
            }
            Self::FillMask { model, text, top_k, truncate } => {
                let mut model = model.load_any().await?;
                print_json(&model.encoder("fillMask")?.fill_mask(&text, top_k, truncate).await?)
            }
        }
    }
}
