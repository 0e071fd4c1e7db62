//! `weft generate`: continues a prompt, or answers it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use weft_llm::Result;
use weft_llm::inference::pictures::Content;
use weft_llm::inference::{Event, FinishReason, GenerateOptions, LoadedDecoder, Speculated};
use weft_llm::sampling::SamplingOptions;
use weft_llm::tokenizer::{self, Conversation, EncodeOptions, Message};

use super::adapters::AdapterArgs;
use super::constrain::{Constraining, ConstraintArgs};
use super::draft::{Drafts, SpeculateArgs};
use super::options::{Thoughts, invalid, read_tools, reads, variable};
use super::pictures::PictureArgs;
use super::{ModelArgs, print, seconds_since_1970};

#[derive(Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    adapters: AdapterArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    /// The prompt.
    #[arg(short, long, required_unless_present = "ids")]
    prompt: Option<String>,
    /// The prompt as token ids, separated by commas. Prints ids instead of text.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["prompt", "chat", "suffix"])]
    ids: Vec<u32>,
    /// Fills the gap between the prompt and this text.
    #[arg(long, conflicts_with = "chat")]
    suffix: Option<String>,
    /// Maximum number of tokens to generate.
    #[arg(short = 'n', long)]
    max_tokens: Option<usize>,
    /// Temperature; 0 always picks the most likely token.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    temp: f32,
    /// Seed, for a reproducible answer.
    #[arg(long)]
    seed: Option<u64>,
    /// Formats the prompt with the model's chat template.
    #[arg(long)]
    chat: bool,
    /// Goes on when the context is full: keeps so many first tokens and the newer half of the
    /// others, and computes these again (attention sinks; 4 is usual).
    #[arg(long, value_name = "N")]
    sinks: Option<usize>,
    #[command(flatten)]
    speculate: SpeculateArgs,
    #[command(flatten)]
    template: TemplateArgs,
    #[command(flatten)]
    constraint: ConstraintArgs,
}

/// What the chat template is given beside the prompt.
#[derive(Args)]
struct TemplateArgs {
    /// Tools that the model may call: a file with the JSON array of OpenAI's API. Calls are printed
    /// as the model writes them, with special tokens: only the TypeScript package reads them.
    #[arg(long, value_name = "FILE", requires = "chat", conflicts_with = "constraint")]
    tools: Option<PathBuf>,
    /// Switches the thoughts of a model that can do both. They are printed as the model writes
    /// them, with special tokens.
    #[arg(long, value_enum, default_value_t = Thoughts::Auto, requires = "chat")]
    thoughts: Thoughts,
    /// Sets a variable of the chat template, such as 'enable_thinking=false'. May be repeated.
    #[arg(long, value_name = "NAME=JSON", value_parser = variable, requires = "chat")]
    template_variable: Vec<(String, Value)>,
}

impl Generate {
    pub async fn run(self) -> Result<()> {
        let Self {
            model,
            adapters,
            pictures,
            prompt,
            ids,
            suffix,
            max_tokens,
            temp,
            seed,
            chat,
            sinks,
            speculate,
            template,
            constraint,
        } = self;
        // files are read first: a model may take minutes
        let tools = template.tools.as_deref().map(read_tools).transpose()?;
        let constraint = constraint.read()?;
        let pictures = pictures.read()?;
        if constraint.is_some() && template.thoughts == Thoughts::On {
            let expected = "auto or off beside a constraint, which holds for the whole answer";
            return Err(invalid("--thoughts", expected, "on"));
        }
        let drafts = speculate.load(&model.run).await?;
        let mut decoder = model.load().await?;
        let context = decoder.info().context_length;
        if let Some(sinks) = sinks.filter(|sinks| sinks.saturating_add(1) >= context) {
            let expected = format!("at most {}, for a context of {context} tokens", context.saturating_sub(2));
            return Err(invalid("--sinks", expected, sinks.to_string()));
        }
        let drafts = speculate.open(drafts, &decoder)?;
        adapters.load(&mut decoder).await?;
        let constraining = constraint.map(|given| given.open(&decoder)).transpose()?;
        let (by_ids, infill) = (prompt.is_none(), suffix.is_some());
        let keep_special = if template.prints_special() { special(&decoder) } else { Vec::new() };
        let prompt = match (prompt, suffix) {
            (None, _) => ids,
            (Some(prompt), Some(suffix)) => {
                decoder.infill(&decoder.tokenizer().encode(&prompt, EncodeOptions::default())?, &suffix)?
            }
            (Some(prompt), None) if chat => decoder.chat_prompt(
                &template.conversation(&decoder, pictures.len(), prompt, tools)?,
                seconds_since_1970() as i64,
            )?,
            (Some(prompt), None) => {
                // the marks of pictures are tokens
                let options = EncodeOptions { add_special: true, parse_special: !pictures.is_empty() };
                decoder.tokenizer().encode(&prompt, options)?
            }
        };
        let prompt = pictures.place(&decoder, prompt, &model.run).await?;
        let sampling = SamplingOptions { temperature: temp, seed, ..SamplingOptions::default() };
        let constrained = constraining.is_some();
        let options = GenerateOptions {
            max_tokens,
            infill,
            keep_special,
            constrained,
            shift_behind: sinks,
            speculate: drafts.source,
            sampling,
            ..GenerateOptions::default()
        };
        generate(&mut decoder, prompt, options, constraining, drafts, by_ids).await
    }
}

impl TemplateArgs {
    fn prints_special(&self) -> bool {
        self.tools.is_some() || self.thoughts != Thoughts::Auto
    }

    /// Errors: `InvalidOption` for what the model's template does not read.
    fn conversation(
        self,
        decoder: &LoadedDecoder,
        pictures: usize,
        prompt: String,
        tools: Option<Value>,
    ) -> Result<Conversation> {
        // a model without a template gets its error from the prompt
        let template = decoder.chat_template(None, tools.is_some()).unwrap_or_default();
        if tools.is_some() && !reads(template, "tools") {
            let got = "a template without them: describe the tools in the prompt, or use another model";
            return Err(invalid("--tools", "a model whose chat template takes tools", got));
        }
        let mut variables = self.thoughts.variables(template)?;
        for (name, value) in self.template_variable {
            if !reads(template, &name) {
                return Err(invalid("--template-variable", "a variable that the model's chat template reads", name));
            }
            variables.insert(name, value);
        }
        let mut message = Message::new("user", &*prompt);
        if pictures > 0 {
            let mut parts = vec![json!({ "type": "image" }); pictures];
            parts.push(json!({ "type": "text", "text": prompt }));
            message.content = Some(tokenizer::Content::Parts(parts));
        }
        Ok(Conversation { tools, variables, ..vec![message].into() })
    }
}

/// The names of all special tokens.
fn special(decoder: &LoadedDecoder) -> Vec<String> {
    let tokenizer = decoder.tokenizer();
    let special = (0..tokenizer.vocab_size() as u32).filter(|&id| tokenizer.is_special(id));
    special.filter_map(|id| tokenizer.token(id)).map(String::from).collect()
}

/// `by_ids`: prints ids instead of text, for models without a tokenizer.
async fn generate(
    decoder: &mut LoadedDecoder,
    (prompt, content): (Vec<u32>, Content),
    options: GenerateOptions,
    mut constraining: Option<Constraining>,
    mut drafts: Drafts,
    by_ids: bool,
) -> Result<()> {
    let speculates = options.speculate.is_some();
    let generation = decoder.start_with(prompt, content, options, seconds_since_1970())?;
    if let Some(constraining) = &mut constraining {
        constraining.begin(decoder, generation)?;
    }
    loop {
        drafts.give(decoder, generation).await?;
        match decoder.next(generation).await? {
            Event::Token { id, text, .. } => {
                if let Some(constraining) = &mut constraining {
                    constraining.advance(decoder, generation, id)?;
                }
                print(&if by_ids { format!("{id} ") } else { text })?;
            }
            Event::End { reason, text } => {
                print(&if by_ids { "\n".into() } else { text + "\n" })?;
                if speculates {
                    let Speculated { drafted, accepted } = decoder.speculated(generation);
                    eprintln!("{accepted} of {drafted} drafted tokens were accepted");
                }
                return match &mut constraining {
                    Some(constraining) if reason == FinishReason::Length => constraining.check_end(),
                    _ => Ok(()),
                };
            }
            Event::Prompt { .. } => {}
        }
    }
}
