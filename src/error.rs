//! The error type of weft. Every variant names what is wrong, what was expected and what was found,
//! and the remedy if there is one. [`Error::code`] is a stable name for apps to match on; it
//! survives the worker boundary.

/// The result of all fallible functions in weft.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All errors, from the first byte of a file to the last token of an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a well-formed model file. `field` is a place in the format, such as
    /// `tensor_count`.
    #[error(
        "the model file is malformed: {field}: expected {expected}, got {got}. Download it again, or use another file."
    )]
    InvalidFile {
        /// The wrong field.
        field: String,
        /// What the format requires.
        expected: String,
        /// What the file contains.
        got: String,
    },
    /// The stream ended too early.
    #[error("the model file ends too early: {field} has {needed} bytes, and {got} came. Download it again.")]
    TruncatedFile {
        /// The incomplete part of the file.
        field: String,
        /// Length of the part in bytes, from the header.
        needed: u64,
        /// Bytes of it that arrived.
        got: u64,
    },
    /// The block type of a tensor is one that weft does not read.
    #[error(
        "tensor `{tensor}` is stored as {found}, which weft cannot read; it reads {known}. \
         Use another quantisation of the model, such as Q4_K_M or Q8_0."
    )]
    UnsupportedTensorType {
        /// Name of the tensor.
        tensor: String,
        /// Its type.
        found: String,
        /// Comma-separated names of the types that weft reads.
        known: String,
    },
    /// weft does not run this architecture, or this variant of it.
    #[error("this model is not supported: {what} is `{found}`; weft runs {known}. Use such a model.")]
    UnsupportedModel {
        /// The metadata key or property.
        what: String,
        /// Its value in the file.
        found: String,
        /// Values that weft supports.
        known: String,
    },
    /// The file is well-formed but not a complete model: a key or tensor is absent or has another
    /// shape.
    #[error(
        "the model file is inconsistent: {what}: expected {expected}, got {got}. \
         Download it again, or use another file."
    )]
    InvalidModel {
        /// Metadata key or tensor name.
        what: String,
        /// What the configuration requires.
        expected: String,
        /// What the file contains.
        got: String,
    },
    /// A LoRA adapter that weft does not run, or that does not fit the loaded model.
    #[error("the adapter cannot be used: {what}: expected {expected}, got {got}. {remedy}")]
    InvalidAdapter {
        /// Entry, metadata key or tensor.
        what: String,
        /// What the model takes.
        expected: String,
        /// What the adapter has.
        got: String,
        /// What to do, as sentences.
        remedy: &'static str,
    },
    /// weft does not know this kind of tokenizer.
    #[error(
        "this tokenizer is not supported: {what} is `{found}`; weft knows {known}. \
         Use a model with one of these."
    )]
    UnsupportedTokenizer {
        /// The metadata key.
        what: String,
        /// Its value in the file.
        found: String,
        /// Comma-separated list of known values.
        known: String,
    },
    /// The model has no tokenizer and takes only ids.
    #[error(
        "the model file has no tokenizer (tokenizer.ggml.model is `{0}`): \
         it takes token ids and gives token ids; for text, use a file with a vocabulary"
    )]
    NoTokenizer(String),
    /// Text or ids that the tokenizer cannot handle.
    #[error("cannot tokenize: {0}")]
    Tokenize(String),
    /// The chat template is absent, does not compile, or refuses the messages.
    #[error("chat template: {0}")]
    ChatTemplate(String),
    /// The context is too small for the tokens.
    #[error(
        "this takes {needed} tokens, and the context holds {context}: \
         shorten the prompt, or load with a larger contextLength"
    )]
    ContextOverflow {
        /// Number of tokens needed.
        needed: usize,
        /// Number of tokens that fit.
        context: usize,
    },
    /// A text is longer than the encoder's limit.
    #[error(
        "the text has {needed} tokens, and this model takes {most}: shorten it, or set truncate to cut its end off"
    )]
    TextTooLong {
        /// Tokens of the text, including special ones.
        needed: usize,
        /// The encoder's limit, in tokens.
        most: usize,
    },
    /// The model is of another kind, or lacks the head for a task.
    #[error("`{task}` needs {needs}; this model is {found}, for: {can}")]
    UnsupportedTask {
        /// The task, by its name in the TypeScript package.
        task: &'static str,
        /// Models that can do it.
        needs: String,
        /// The loaded model.
        found: String,
        /// Tasks of the loaded model.
        can: String,
    },
    /// An argument is out of range.
    #[error("option `{name}`: expected {expected}, got {got}")]
    InvalidOption {
        /// Name of the option as the caller wrote it.
        name: String,
        /// What is accepted.
        expected: String,
        /// What the caller passed.
        got: String,
    },
    /// No GPU can be used.
    #[error("no usable GPU: {0}")]
    GpuUnavailable(String),
    /// The GPU was removed or reset, or refused a command.
    #[error("the GPU device was lost: {0}. Load the model again, or load it with device 'cpu'.")]
    DeviceLost(String),
    /// There is not enough memory.
    #[error(
        "out of memory: {what} needs {needed} bytes, {limit}. Try a shorter contextLength or a smaller quantisation."
    )]
    OutOfMemory {
        /// The buffer or part that needs memory.
        what: String,
        /// Bytes requested.
        needed: u64,
        /// The limit that was reached, in words.
        limit: String,
    },
    /// The model computed NaN or infinity: its weights or the GPU are faulty.
    #[error(
        "the model produced {0} instead of probabilities: \
         its file is faulty, or the GPU's driver if it runs on a GPU. Try another file or device."
    )]
    InvalidLogits(String),
    /// A file or stream of the operating system failed.
    #[error("{what}: {message}")]
    Io {
        /// The file or stream.
        what: String,
        /// The operating system's message.
        message: String,
    },
    /// A bug in weft: an operation was recorded with shapes that do not fit.
    #[error("internal error in {op}: expected {expected}, got {got}. Please report this.")]
    Internal {
        /// The operation.
        op: &'static str,
        /// What it needs.
        expected: String,
        /// What it got.
        got: String,
    },
}

impl Error {
    /// The stable, documented name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidFile { .. } => "INVALID_FILE",
            Self::TruncatedFile { .. } => "TRUNCATED_FILE",
            Self::UnsupportedTensorType { .. } => "UNSUPPORTED_TENSOR_TYPE",
            Self::UnsupportedModel { .. } => "UNSUPPORTED_MODEL",
            Self::InvalidModel { .. } => "INVALID_MODEL",
            Self::InvalidAdapter { .. } => "INVALID_ADAPTER",
            Self::UnsupportedTokenizer { .. } | Self::NoTokenizer(_) => "UNSUPPORTED_TOKENIZER",
            Self::Tokenize(_) => "TOKENIZE",
            Self::ChatTemplate(_) => "CHAT_TEMPLATE",
            Self::ContextOverflow { .. } | Self::TextTooLong { .. } => "CONTEXT_OVERFLOW",
            Self::UnsupportedTask { .. } => "UNSUPPORTED_TASK",
            Self::InvalidOption { .. } => "INVALID_OPTION",
            Self::GpuUnavailable(_) => "GPU_UNAVAILABLE",
            Self::DeviceLost(_) => "DEVICE_LOST",
            Self::OutOfMemory { .. } => "OUT_OF_MEMORY",
            Self::InvalidLogits(_) => "INVALID_LOGITS",
            Self::Io { .. } => "IO",
            Self::Internal { .. } => "INTERNAL",
        }
    }
}
