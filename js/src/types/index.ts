/** The contract of the package: everything an app sees, and nothing else. */

import type { ChatCompletions, Completions, Embeddings } from './openai.js';
import type { Session, SessionOptions } from './session.js';

export type * from './session.js';

/**
 * Where a file comes from: a URL, `hf:owner/repository/path@revision` (`main` where no revision is named), a file that the user
 * chose or dropped, or its handle; a stream can be read once, and is not stored. An address that ends with a slash, or
 * `hf:owner/repository` alone, is a folder of transformers.
 */
export type FileLike = string | URL | Blob | FileSystemFileHandle | ReadableStream<Uint8Array>;

/**
 * A model's GGUF file, its parts in order where it is split, or the folder that they are in; or a folder of transformers, with
 * `config.json`, `tokenizer.json` and safetensors files, as an address, a handle or its files in any order. Of a split model with an
 * address, `…-00001-of-00003.gguf`, the first part is enough.
 */
export type ModelSource = FileLike | FileSystemDirectoryHandle | readonly FileLike[];

export interface StoreOptions {
  /**
   * What to do where the browser's quota is too small: `least-recently-used` deletes models from the store until there is
   * room, `never` loads without storing. Default `never`.
   */
  evict?: 'never' | 'least-recently-used';
  /** Fails with `QUOTA_EXCEEDED`, or what else there is, rather than loading without storing. Default false. */
  required?: boolean;
  /**
   * Asks the server whether a file that is stored whole changed since, by a request for its first
   * byte, and fetches it anew then. Without a network, the stored file is used and a note says so.
   * Default false: what is stored is never asked about again.
   */
  revalidate?: boolean;
}

/** `auto` takes a real GPU where there is one, else the CPU; the others insist. */
export type Device = 'auto' | 'gpu' | 'cpu';

/** Types that weights can be turned into while they are loaded; `none` leaves them as they are. */
export type Quantize = 'q8_0' | 'q5_1' | 'q5_0' | 'q4_k' | 'q4_1' | 'q4_0' | 'f16' | 'bf16' | 'none';

export interface LoadOptions {
  /**
   * Where the model is: an address (`https://…`, `/models/model.gguf`,
   * `hf:owner/repository/file.gguf`), a file of the user, or several files.
   */
  model: ModelSource;
  /**
   * Which engine computes. Default `auto`: WebGPU on a real GPU, else the CPU. `gpu` fails with
   * `GPU_UNAVAILABLE` where there is none.
   */
  device?: Device;
  /** Tokens of prompt and answer together. Default: what the model was trained for, at most 2048. */
  contextLength?: number;
  /**
   * Threads that the CPU engine computes with, where the page is cross-origin isolated; elsewhere it is one. Default: by the
   * number of processors, at most 8.
   */
  threads?: number;
  /** Stops loading at once; `load` then rejects with an `AbortError`. */
  signal?: AbortSignal;
  /**
   * Called while the model loads, at most ten times a second: what phase it is in, and how many
   * bytes have come.
   */
  onProgress?: (progress: Progress) => void;
  /**
   * Whether what has an address is kept in the browser's storage for the next time, and used from there; false neither
   * stores nor looks. Default true.
   */
  store?: boolean | StoreOptions;
  /**
   * What becomes of matrices of more bits, where their rows are whole blocks of 32. Default: `q8_0` for a folder of transformers, which
   * halves what 16 bits take and changes next to nothing; `none` for GGUF files.
   */
  quantize?: Quantize;
  /** Of the whole file, 64 hexadecimal digits; an array for several files. A file that differs is an `INTEGRITY` error. */
  sha256?: string | readonly string[];
  /** Fetches in place of the browser's own, in the page: to add headers, for example. Addresses are absolute. */
  fetch?: typeof globalThis.fetch;
  /** Access token for `hf:` addresses; goes nowhere else. */
  token?: string;
  /**
   * Where `hf:` addresses lead. Default: the public hub. What comes from another one is stored by
   * its address there.
   */
  hub?: string;
  /**
   * Whether tabs of this origin that load the same files with the same `sha256`, `device`, `contextLength`, `quantize` and `store` use one
   * model together. It takes an address, and has one thread. Default false.
   */
  shared?: boolean;
  /**
   * Further builds of the engine: `allBuilds()` of `weft-llm/all-builds`. Default: none but the two
   * that the package ships.
   */
  builds?: BuildAddresses;
}

/** Addresses of builds of the engine, by name. */
export type BuildAddresses = Readonly<
  Partial<Record<'weft' | 'weft-relaxed' | 'weft-threads' | 'weft-relaxed-threads', string>>
>;

/** What of {@link LoadOptions} matters before a model is loaded. */
export type EstimateOptions = Pick<
  LoadOptions,
  'contextLength' | 'quantize' | 'signal' | 'store' | 'fetch' | 'token' | 'hub' | 'builds'
>;

/** What a model is and what memory it needs, by the headers of its files. */
export interface Estimate {
  readonly name: string;
  readonly architecture: string;
  readonly parameters: number;
  /** The type that holds most weights, as they will be held. */
  readonly quantization: string;
  readonly contextLength: number;
  readonly trainedContextLength: number;
  readonly weightBytes: number;
  /** Keys and values of a full context. */
  readonly kvCacheBytes: number;
  readonly activationBytes: number;
  /** All of these; engines fill rows up, a few percent at most. */
  readonly totalBytes: number;
  /** Of the largest piece that must be in one buffer. */
  readonly largestBufferBytes: number;
  /** Whether it fits the 4 GiB that a WebAssembly module can address. What the device has free, browsers do not tell. */
  readonly cpu: Fit;
  /** Whether it fits the limits of the GPU; null where there is none. */
  readonly gpu: Fit | null;
}

export interface Fit {
  readonly fits: boolean;
  /** Why not, as a sentence; null where it fits. */
  readonly reason: string | null;
}

export interface Progress {
  /** `start`: the runtime; `download`: bytes of the model, straight into the engine; `prepare`: shaders and a first run. */
  phase: 'start' | 'download' | 'prepare';
  /** Bytes of the model so far, from the network or the store. */
  loaded: number;
  /** Bytes of the whole model; null while neither the files, nor the server, nor the header of a single file say. */
  total: number | null;
  /** Name of the file that is being read. */
  file: string;
  /** Bytes of that file so far. */
  fileLoaded: number;
  /** Bytes of that file; null while nobody says. */
  fileTotal: number | null;
  /** How many of the loaded bytes came from the store. */
  fromStore: number;
  /** Of the network, over the last seconds; null while there is nothing to tell from. */
  bytesPerSecond: number | null;
  /** Null while the rate or the total is unknown. */
  secondsLeft: number | null;
  /** Something to tell the user, said once: a part that was damaged in the store, a storage that is full. */
  note?: string;
}

export interface SamplingOptions {
  /** Added to the logits of these tokens, by id, before all else: -100 bans one, as good as. Default: none. */
  logitBias?: Readonly<Record<number, number>>;
  /** 0 picks the most likely token always. Default 0.8. */
  temperature?: number;
  /** Keeps the k most likely tokens; 0 keeps all. Default 40. */
  topK?: number;
  /** Keeps the most likely tokens whose probabilities sum to p; 1 keeps all. Default 0.95. */
  topP?: number;
  /** Keeps tokens at least this fraction as likely as the best; 0 keeps all. Default 0.05. */
  minP?: number;
  /** Divides the logits of tokens seen lately; 1 changes nothing. Default 1. */
  repetitionPenalty?: number;
  /** Lowers a logit by this much for every time its token occurred lately. Default 0. */
  frequencyPenalty?: number;
  /** Lowers a logit by this much if its token occurred lately. Default 0. */
  presencePenalty?: number;
  /** How many of the last tokens, prompt included, the penalties look at; 0 turns them off. Default 64. */
  penaltyLastN?: number;
  /**
   * The same seed, prompt and options give the same answer on the same engine; but on the GPU, a prompt that was partly in
   * the KV cache may round differently. Default: random.
   */
  seed?: number;
}

export interface GenerateOptions extends SamplingOptions {
  /** Default: until the context is full. */
  maxTokens?: number;
  /** Ends the answer before any of these strings; they are not part of the text. */
  stop?: string | readonly string[];
  /**
   * What the answer may be; the text then always fits, as far as it comes. Fetches a module of its own at first use. Default: anything.
   */
  constraint?: Constraint;
  /**
   * What becomes of a part of a schema that cannot be enforced, of a constraint or of a tool: an
   * `INVALID_CONSTRAINT` that names its place, or it is left out, and `finish.ignored` names it.
   * Default `error`.
   */
  onUnsupported?: 'error' | 'ignore';
  /** Bounds of what a schema leaves without one. */
  limits?: SchemaLimits;
  /** Tells the log-probability of every token, and of so many of the likeliest beside it. Default: of none. */
  topLogprobs?: number;
  /** Special tokens that are part of the text, by their names; others never are. Default: none. */
  keepSpecial?: readonly string[];
  /** Stops at once; the iteration then ends with reason `abort`. */
  signal?: AbortSignal;
}

export type TokenIds = readonly number[] | Uint32Array;

/** How to continue a text. */
export interface TextOptions extends GenerateOptions {
  /**
   * What stands behind the text; the answer is what fills the gap between the two. For models that
   * were trained for it, coders most of all, which have `infill` in `info.tasks`. It is plain text,
   * as the prompt is.
   */
  suffix?: string;
}

/** Text that is written and matched as a whole. */
export type Constraint =
  /**
   * JSON that fits a JSON Schema: drafts 4 to 2020-12, or an object of zod, Valibot or ArkType that
   * can say what its schema is. See also `onUnsupported` and `limits`.
   */
  | { readonly jsonSchema: object | boolean }
  /** A regular expression, in the syntax of Rust's `regex`. */
  | { readonly regex: string }
  /** A grammar in Lark's syntax, from `start`. */
  | { readonly lark: string }
  | { readonly choices: readonly string[] };

/**
 * So that every number, every text of a `format` and every recursion has an end: at temperature 0
 * some models go on for as long as they may.
 */
export interface SchemaLimits {
  /**
   * Digits of a number before its point, where its schema has no bounds that need more. Default 20.
   */
  digits?: number;
  /** Digits of a number after its point. Default 17. */
  fraction?: number;
  /** Digits of a number's exponent; 0: none is written. Default 2. */
  exponent?: number;
  /** Digits of a fraction of a second. Default 9. */
  seconds?: number;
  /**
   * Characters of a text of a `format` that has no bound of its own, a URL for example. Default
   * 512.
   */
  format?: number;
  /** How deep a schema may lead to itself, and JSON of any kind may nest. Default 10. */
  depth?: number;
}

/** A part of a schema that is not enforced. */
export interface IgnoredKeyword {
  /** JSON pointer within the schema. */
  readonly pointer: string;
  readonly keyword: string;
  readonly reason: string;
}

/** What the model's chat template reads beside the messages. */
export interface ChatOptions extends GenerateOptions {
  /** Exchanges that show what is wanted (few-shot prompting): turns before the conversation's own, behind its system message. */
  examples?: readonly Example[];
  /**
   * Whether the model should think before it answers. What a model that was trained for it thinks comes as `reasoning`, not as text. `off` asks
   * it not to; `step-by-step` asks every model for its steps, which are part of the text where the model was not trained to think.
   * Default `auto`: as its template has it.
   */
  reasoning?: 'auto' | 'off' | 'step-by-step';
  /** Functions that the model may call, described as OpenAI does. Where the template has no place for them, a system message describes them. */
  tools?: readonly ToolDescription[];
  /** Whether the answer may or must be a call. Default `auto`. */
  toolChoice?: ToolChoice;
  /** Whether one answer may have several calls. Default true. */
  parallelToolCalls?: boolean;
  /** Further variables of the template, `enable_thinking` for example. */
  variables?: Readonly<Record<string, unknown>>;
  /**
   * Name of the chat template, for a model that has several, such as `rag`, which reads
   * `variables.documents`. Default: `tool_use` where there are `tools` and the model has it, else
   * the model's default.
   */
  template?: string;
}

/** A question and the answer that it should get. */
export interface Example {
  readonly user: string;
  readonly assistant: string;
  /** How the answer is found, for models that think. */
  readonly reasoning?: string;
}

/**
 * `none` hides the tools; with `required` the answer is calls, with a name one call of that tool.
 * With `allowed` only these tools can be called; `required` says whether the answer must be calls
 * of them.
 */
export type ToolChoice =
  | 'auto'
  | 'none'
  | 'required'
  | { readonly name: string }
  | { readonly allowed: readonly string[]; readonly required?: boolean };

export interface ToolDescription {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** A JSON Schema of the arguments. */
    readonly parameters?: Readonly<Record<string, unknown>>;
    /** Whether arguments always fit the schema, also where the model chose to call. Where it must call they do anyway. */
    readonly strict?: boolean | null;
  };
}

export type FinishReason = 'stop' | 'length' | 'abort';

/** One step of an answer. Concatenated, the texts are the answer. */
export type Piece = {
  readonly text: string;
  /** What the model thinks before its answer; only in a chat, of a model that was trained to think. */
  readonly reasoning?: string;
  /**
   * The model ended thoughts that it had not begun: the text of all pieces before this one was
   * reasoning.
   */
  readonly endsReasoning?: true;
} &
  /** A token; its text is empty while a character or a stop string is incomplete. */
  (
    | { readonly id: number; readonly finish: null; readonly logprobs?: TokenLogprobs }
    /** The last piece: held-back text, if any, and how it ended. */
    | { readonly id: null; readonly finish: Finish }
  );

/** How likely the model found a token. */
export interface TokenLogprob {
  readonly id: number;
  /** Of the token alone: U+FFFD where it is no whole character. */
  readonly text: string;
  /** Its UTF-8. */
  readonly bytes: readonly number[];
  /** In nats, of the model's own distribution: before temperature, filters, biases and penalties. */
  readonly logprob: number;
}

export interface TokenLogprobs extends TokenLogprob {
  /** The likeliest tokens, best first, with or without the one that was chosen. */
  readonly top: readonly TokenLogprob[];
}

export interface Finish {
  readonly reason: FinishReason;
  /** Whether the text fits the constraint as a whole; only where there was one. False where the answer was cut. */
  readonly fits?: boolean;
  /**
   * What of the schemas was not enforced; only where there is any, by `onUnsupported: 'ignore'`.
   */
  readonly ignored?: readonly IgnoredKeyword[];
  readonly usage: Usage;
}

export interface Usage {
  readonly promptTokens: number;
  /** How many of them were still in the KV cache from the call before. */
  readonly cachedTokens: number;
  /** How many of the oldest were dropped while the answer was written; only in a session whose overflow is `shift`. */
  readonly droppedTokens?: number;
  readonly completionTokens: number;
  /** From the call to the first token. */
  readonly timeToFirstTokenMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

/**
 * An answer, in pieces as they come or as a whole: `for await (const { text } of answer)`, or
 * `await answer.text`. It begins when it is first iterated or one of its promises is asked for.
 * Iterated again, it gives the same pieces from the first on. `break` ends an answer that nobody
 * else waits for; what had come by then stays.
 */
export interface Generation<Step extends { readonly finish: unknown } = Piece> extends AsyncIterable<Step> {
  /**
   * Fulfilled when its turn has come and the model has accepted the prompt and the constraint,
   * before anything is computed. Rejects where the model cannot answer at all.
   */
  readonly started: Promise<void>;
  /**
   * The whole text; of an answer that was stopped what came of it, for which `finish` says `abort`.
   * Rejects where it fails.
   */
  readonly text: Promise<string>;
  /** All that the model thought before; empty where it did not think. */
  readonly reasoning: Promise<string>;
  readonly finish: Promise<NonNullable<Step['finish']>>;
}

/** A part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface Message {
  /** One of `info.roles`. */
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  /** Text, or parts of one; null in a message that only calls tools. */
  readonly content: string | readonly TextPart[] | null;
  readonly name?: string;
  /** Calls that the model made, as its template reads them: most want `arguments` as an object. */
  readonly tool_calls?: readonly unknown[];
  /** In a message of role `tool`: which call it answers. */
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
}

export interface TokenizeOptions {
  /** Adds the tokens that the model wants at the start and the end of a text. Default true. */
  addSpecial?: boolean;
  /** Reads `<|im_end|>` and the like as the special token instead of as text. Default false. */
  parseSpecial?: boolean;
}

export type Pooling = 'mean' | 'cls' | 'last';

export interface EncodeOptions {
  /** Whether what is too long for the model is cut off at its end; else that is a `CONTEXT_OVERFLOW` error. Default false. */
  truncate?: boolean;
  /** Stops between two texts; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmbedOptions extends EncodeOptions {
  /** How the vectors of a text's tokens become one. Default: as the model's file says, else the mean. */
  pooling?: Pooling;
  /** Whether vectors have length 1, so that the product of two is the cosine of the angle between them. Default true. */
  normalize?: boolean;
}

export interface ClassifyOptions extends EncodeOptions {
  /** A second text, for models that compare two: the hypothesis of natural-language inference, for example. */
  pair?: string;
}

export interface FillMaskOptions extends EncodeOptions {
  /** How many tokens for each mask. Default 5. */
  topK?: number;
}

/** How likely a label is. */
export interface LabelScore {
  readonly label: string;
  /** Its probability among all labels; of a model with one label that one's, by the logistic function. */
  readonly score: number;
  /** What the model computed. */
  readonly logit: number;
}

/** How well a document answers the query. */
export interface RankedDocument {
  /** Of the document among those that were given. */
  readonly index: number;
  readonly score: number;
  readonly logit: number;
}

/** The likeliest label of a token. */
export interface TokenLabel extends LabelScore {
  readonly id: number;
  /** Those of all tokens, put together, are the text as the model reads it: many read lower case only. */
  readonly text: string;
}

export interface LabelOptions {
  /** What to tell of the labels. Default: to answer with one of them alone. */
  instruction?: string;
  /** Texts that show what the labels mean. */
  examples?: readonly { readonly text: string; readonly label: string }[];
  /** Divides by how likely each label is for a text that says nothing, since models prefer some words. Default false. */
  calibrate?: boolean;
  /** The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface ScoreOptions {
  /** What stands before the text and is not scored: a text, its ids, or a conversation that the text answers. */
  after?: string | readonly number[] | readonly Message[];
  /** The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** How likely a model finds a text. */
export interface Score {
  /** Sum over the tokens, in nats. */
  readonly logprob: number;
  /** `exp(-logprob / tokens.length)`; NaN where there is no token. */
  readonly perplexity: number;
  /** All of them; of a text that nothing stands before, not even a token that begins all texts, all but the first. */
  readonly tokens: readonly ScoredToken[];
}

export interface ScoredToken {
  readonly id: number;
  /** Of the token alone: U+FFFD where it is no whole character. */
  readonly text: string;
  /** In nats, after all that stands before it. */
  readonly logprob: number;
}

/** A whole answer. */
export interface Answer {
  readonly text: string;
  /** Empty where the model did not think. */
  readonly reasoning: string;
  /** Sum over its tokens, in nats, of the model's own distribution. */
  readonly logprob: number;
  readonly finish: Finish;
}

export interface ScoredAnswer extends Answer {
  readonly score: number;
}

/** Says how good an answer is; `answers` are all of them, for a vote. More is better. */
export type Scorer = (answer: Answer, answers: readonly Answer[]) => number | Promise<number>;

/** Several answers, each with a seed of its own. Rejects with the signal's reason. */
export interface BestOf {
  /** The best first. */
  chat(messages: readonly Message[], options?: ChatOptions): Promise<ScoredAnswer[]>;
  /** The best first. */
  generate(prompt: string | TokenIds, options?: TextOptions): Promise<ScoredAnswer[]>;
}

/** What may stand in place of a mask. */
export interface Filling {
  readonly id: number;
  readonly text: string;
  readonly score: number;
}

/** What a model can do, by the names of the methods; `infill` is `generate` with a `suffix`. */
export type Task =
  'generate' | 'infill' | 'chat' | 'score' | 'embed' | 'rerank' | 'classify' | 'classifyTokens' | 'fillMask';

export interface Sharing {
  /** Whether other tabs may use this very model. */
  readonly shared: boolean;
  /** Why not, as a sentence, where `shared` was asked for; else null. */
  readonly notShared: string | null;
}

export interface ModelInfo extends Sharing {
  /** A decoder continues a text, an encoder says something of one. */
  readonly kind: 'decoder' | 'encoder';
  readonly tasks: readonly Task[];
  /** What its classifier tells apart; empty where it has none. */
  readonly labels: readonly string[];
  /** What stands for a token that `fillMask` fills in; null where the model cannot. */
  readonly maskToken: string | null;
  readonly name: string;
  readonly architecture: string;
  /** Number of weights. */
  readonly parameters: number;
  /** For example `Q4_1`: the type that holds most weights. */
  readonly quantization: string;
  /** Tells models apart, of their tensors and how these begin: 16 hexadecimal digits. */
  readonly fingerprint: string;
  readonly layers: number;
  /** Keys and values that a token has in the KV cache of a layer; 0 for an encoder. */
  readonly kvWidth: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Tokens that fit as loaded. */
  readonly contextLength: number;
  /** Tokens that the model was trained for. */
  readonly trainedContextLength: number;
  readonly hasChatTemplate: boolean;
  /**
   * Roles that a message may have: those that every chat has, and those of the model's chat
   * template.
   */
  readonly roles: readonly string[];
  readonly engine: EngineInfo;
  readonly download: DownloadInfo;
}

export interface DownloadInfo {
  /** Bytes that came from the network, or from a file of the user. */
  readonly fetchedBytes: number;
  readonly fromStoreBytes: number;
  /** Where the model is kept: a file system, the Cache API, or nowhere. */
  readonly storage: 'opfs' | 'cache' | 'none';
  /** What happened on the way, as sentences: why nothing is stored, for example. */
  readonly notes: readonly string[];
}

/** A model in the store. */
export interface StoredModel {
  /**
   * What `load` and `models.delete` take: its address, or `hf:…` where it came from the default
   * hub.
   */
  readonly source: string;
  /** In bytes; null while the server did not tell. */
  readonly size: number | null;
  readonly storedBytes: number;
  readonly complete: boolean;
  readonly lastUsed: Date;
  /** Of the whole file, where it was checked. */
  readonly sha256: string | null;
}

export interface StoreUsage {
  /** Bytes of all stored models; what they share counts once. */
  readonly stored: number;
  /** Bytes that the page's origin uses, with everything else that it stores. */
  readonly used: number | null;
  /** Bytes that the origin may use. */
  readonly quota: number | null;
  /** Whether the browser promised to keep it even when space gets scarce. */
  readonly persisted: boolean;
}

/** The models that the browser keeps. A file of a split model, or of a folder, is one of its own. */
export interface Models {
  list(): Promise<StoredModel[]>;
  /**
   * Whether it was there; of a folder, all of its files go. What other models share stays. Where a
   * tab downloads it, that load goes on without storing. `hub`: the one that it was loaded with.
   */
  delete(source: string | URL, options?: { hub?: string }): Promise<boolean>;
  usage(): Promise<StoreUsage>;
  /** Asks the browser to keep the store; whether it does. */
  persist(): Promise<boolean>;
  /** The file, every chunk of it checked. Errors: `NOT_STORED` where it is not complete, or a chunk is damaged. */
  export(source: string | URL, options?: { hub?: string }): Promise<ReadableStream<Uint8Array>>;
  /**
   * Stores a file as if it had been loaded from `as`. One that is stored already stays until the
   * new one is whole. Errors: `QUOTA_EXCEEDED`; `INVALID_FILE` for what does not begin like a file
   * of a model.
   */
  import(file: Blob | ReadableStream<Uint8Array>, options: { as: string | URL; hub?: string }): Promise<StoredModel>;
}

export interface EngineInfo {
  readonly kind: 'gpu' | 'cpu';
  /** The adapter, or the instruction set. */
  readonly description: string;
  /** How it computes, and what it cannot use on this machine. */
  readonly notes: readonly string[];
  /** Times that the GPU was lost. Each time the model was loaded again, and what it was doing went on. */
  readonly deviceLosses: number;
  /** Why this engine was chosen, as a sentence. */
  readonly reason: string;
  /** Memory of weights, KV cache and activations. */
  readonly memoryBytes: number;
  /** Linear memory of the WebAssembly module. */
  readonly wasmMemoryBytes: number;
  /** The build of the WebAssembly module that this browser got, for example `weft-relaxed-threads`. */
  readonly build: string;
  /** Threads that compute, the worker's own among them. */
  readonly threads: number;
}

export interface Chat {
  /** Answers the conversation, formatted by the model's own chat template. */
  (messages: readonly Message[], options?: ChatOptions): Generation;
  /** The same, asked and answered in OpenAI's shape. */
  readonly completions: ChatCompletions;
}

/**
 * A loaded model. Generations queue in the order in which they begin, and those of several tabs
 * take turns; `break` or the signal ends one without harm to the others. Wrong arguments throw at
 * once.
 */
export interface Llm {
  /** What is loaded, as of now: the engine is another one after a GPU was lost. */
  readonly info: ModelInfo;
  /**
   * Continues the text, or its token ids. Special tokens in a text are plain text. A model whose
   * file has no tokenizer (`none`, `no_vocab`) takes ids alone, and its pieces have an `id` and no
   * text; for whatever needs text it is an `UNSUPPORTED_TOKENIZER` error.
   */
  generate(prompt: string | TokenIds, options?: TextOptions): Generation;
  /** Answers a conversation. */
  readonly chat: Chat;
  /** A conversation that goes on: each turn computes only what is new. */
  session(options?: SessionOptions): Session;
  /** A session that was saved, also in another page. Errors: `INVALID_SESSION` where it is none, or one of another model. */
  restore(saved: Uint8Array | ArrayBuffer): Promise<Session>;
  /** Continues a text, asked and answered in OpenAI's shape. */
  readonly completions: Completions;
  /** `embed` in OpenAI's shape. */
  readonly embeddings: Embeddings;
  /** A vector a text, of models that `info.tasks` says can. */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>;
  /** The documents by how well they answer the query, the best first: with a cross-encoder of one label. */
  rerank(query: string, documents: readonly string[], options?: EncodeOptions): Promise<RankedDocument[]>;
  /** The labels of a text, the likeliest first: with an encoder, which has labels of its own. */
  classify(text: string, options?: ClassifyOptions): Promise<LabelScore[]>;
  /**
   * These labels, the likeliest first: with a decoder, by how likely each is its answer. `logit` is that in nats, and `score` the
   * probability among the labels.
   */
  classify(text: string, labels: readonly string[], options?: LabelOptions): Promise<LabelScore[]>;
  /** How likely a decoder finds a text. */
  score(text: string | readonly number[], options?: ScoreOptions): Promise<Score>;
  /** Answers `n` times and takes the best: by `scorer`, or the likeliest, by the mean over its tokens. */
  bestOf(n: number, scorer?: Scorer): BestOf;
  /** The likeliest label of each token: names, for example. */
  classifyTokens(text: string, options?: EncodeOptions): Promise<TokenLabel[]>;
  /** For each `info.maskToken` of the text its likeliest tokens, the best first. */
  fillMask(text: string, options?: FillMaskOptions): Promise<Filling[][]>;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  detokenize(ids: TokenIds): Promise<string>;
  /**
   * Frees the worker, the GPU and all memory; of a shared model, when no tab uses it any more. Running generations end with reason
   * `abort`; later calls fail with `DISPOSED`.
   */
  dispose(): void;
}
