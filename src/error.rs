//! The one error type. Every variant names the thing that is wrong, what was expected and what came, and where it
//! can, the remedy; [`Error::code`] is the stable name that survives the worker boundary and that an app may match on.

/// The result of everything fallible in weft.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, from the first byte of a file to the last token of an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a well-formed model file. `field` is the place in the format, such as `tensor_count`.
    #[error(
        "the model file is malformed: {field}: expected {expected}, got {got}. Download it again, or use another file."
    )]
    InvalidFile {
        /// Field of the format that is wrong.
        field: String,
        /// What would have been right.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// The stream ended too early.
    #[error("the model file ends too early, in {field}: {needed} bytes needed, {got} came. Download it again.")]
    TruncatedFile {
        /// The part of the file that is cut.
        field: String,
        /// Bytes that the part has by the header.
        needed: u64,
        /// Bytes of it that came.
        got: u64,
    },
    /// A tensor is stored in a block type that weft does not read.
    #[error(
        "tensor `{tensor}` is stored as {found}, which weft cannot read; it reads {known}. Use another quantisation of the model, such as Q4_K_M or Q8_0."
    )]
    UnsupportedTensorType {
        /// Name of the tensor.
        tensor: String,
        /// Its type.
        found: String,
        /// Comma-separated names of the types that work.
        known: String,
    },
    /// The architecture, or a variation of it, is not one that weft runs.
    #[error("this model is not supported: {what} is `{found}`; weft runs {known}")]
    UnsupportedModel {
        /// The metadata key or property.
        what: String,
        /// Its value in the file.
        found: String,
        /// What would work.
        known: String,
    },
    /// The file is well-formed but does not describe a whole model: a key or tensor is absent, or has another shape.
    #[error("the model file is inconsistent: {what}: expected {expected}, got {got}")]
    InvalidModel {
        /// Metadata key or tensor name.
        what: String,
        /// What the configuration asks for.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// The tokenizer is of a kind that weft does not know.
    #[error("this tokenizer is not supported: {what} is `{found}`; weft knows {known}")]
    UnsupportedTokenizer {
        /// The metadata key.
        what: String,
        /// Its value in the file.
        found: String,
        /// Comma-separated list of the known values.
        known: String,
    },
    /// The model takes ids alone.
    #[error(
        "the model file has no tokenizer (tokenizer.ggml.model is `{0}`): it takes token ids and gives token ids; for text, use a file with a vocabulary"
    )]
    NoTokenizer(String),
    /// Text or ids that the tokenizer cannot handle.
    #[error("cannot tokenize: {0}")]
    Tokenize(String),
    /// The chat template is absent, does not compile or refuses the messages.
    #[error("chat template: {0}")]
    ChatTemplate(String),
    /// More tokens than the context holds.
    #[error(
        "this takes {needed} tokens, and the context holds {context}: shorten the prompt, or load with a larger contextLength"
    )]
    ContextOverflow {
        /// Tokens that would be needed.
        needed: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// A text is longer than an encoder reads.
    #[error(
        "the text has {needed} tokens, and this model takes {most}: shorten it, or set truncate to cut its end off"
    )]
    TextTooLong {
        /// Tokens of the text, special ones included.
        needed: usize,
        /// Tokens that the model takes.
        most: usize,
    },
    /// The model is of another kind, or lacks a head.
    #[error("`{task}` needs {needs}; this model is {found}, for: {can}")]
    UnsupportedTask {
        /// What was asked for, by its name in the TypeScript package.
        task: &'static str,
        /// What could do it.
        needs: String,
        /// What is loaded.
        found: String,
        /// What that can do.
        can: String,
    },
    /// An argument is out of range.
    #[error("option `{name}`: expected {expected}, got {got}")]
    InvalidOption {
        /// Name of the option as the caller wrote it.
        name: String,
        /// What would be accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// No GPU can be used.
    #[error("no usable GPU: {0}")]
    GpuUnavailable(String),
    /// The GPU went away, was reset or refused a command.
    #[error("the GPU device was lost: {0}. Load the model again, or load it with device 'cpu'.")]
    DeviceLost(String),
    /// Memory for the model does not exist.
    #[error(
        "out of memory: {what} needs {needed} bytes, {limit}. Try a shorter contextLength or a smaller quantisation."
    )]
    OutOfMemory {
        /// What was being allocated.
        what: String,
        /// Bytes asked for.
        needed: u64,
        /// The limit it met, in words.
        limit: String,
    },
    /// The model computed something that is not a number: wrong weights or a wrong GPU.
    #[error(
        "the model produced {0} instead of probabilities: its file is faulty, or the driver where it runs on a GPU. Try another file or device."
    )]
    InvalidLogits(String),
    /// A file or stream of the system failed.
    #[error("{what}: {message}")]
    Io {
        /// The file or stream.
        what: String,
        /// What the system said.
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
