/** The contract of the package: everything an app sees, and nothing else. */

/** Where the weights come from: a URL, a file that the user chose or dropped, or the parts of a split model in order. */
export type ModelSource = string | URL | Blob | readonly (string | URL | Blob)[];

/** `auto` takes a real GPU where there is one, else the CPU; the others insist. */
export type Device = 'auto' | 'gpu' | 'cpu';

export interface LoadOptions {
  model: ModelSource;
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
  onProgress?: (progress: Progress) => void;
}

export interface Progress {
  /** `start`: the runtime; `download`: bytes of the model, straight into the engine; `prepare`: shaders and a first run. */
  phase: 'start' | 'download' | 'prepare';
  /** Bytes of the model so far. */
  loaded: number;
  /** Bytes of the whole model; null while neither the files, nor the server, nor the header of a single file say. */
  total: number | null;
  /** Name of the file that is being read. */
  file: string;
}

export interface SamplingOptions {
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
  /** Stops at once; the iteration then ends with reason `abort`. */
  signal?: AbortSignal;
}

export type FinishReason = 'stop' | 'length' | 'abort';

/** One step of an answer. Concatenated, the texts are the answer. */
export type Piece =
  /** A token; its text is empty while a character or a stop string is incomplete. */
  | { readonly text: string; readonly id: number; readonly finish: null }
  /** The last piece: held-back text, if any, and how it ended. */
  | { readonly text: string; readonly id: null; readonly finish: Finish };

export interface Finish {
  readonly reason: FinishReason;
  readonly usage: Usage;
}

export interface Usage {
  readonly promptTokens: number;
  /** How many of them were still in the KV cache from the call before. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** From the call to the first token. */
  readonly timeToFirstTokenMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant' | (string & {});
  readonly content: string;
}

export interface TokenizeOptions {
  /** Adds the tokens that the model wants at the start and the end of a text. Default true. */
  addSpecial?: boolean;
  /** Reads `<|im_end|>` and the like as the special token instead of as text. Default false. */
  parseSpecial?: boolean;
}

export interface ModelInfo {
  readonly name: string;
  readonly architecture: string;
  /** Number of weights. */
  readonly parameters: number;
  /** For example `Q4_1`: the type that holds most weights. */
  readonly quantization: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Tokens that fit as loaded. */
  readonly contextLength: number;
  /** Tokens that the model was trained for. */
  readonly trainedContextLength: number;
  readonly hasChatTemplate: boolean;
  readonly engine: EngineInfo;
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

/**
 * A loaded model. A generation begins when its iteration does, and can be iterated once. Generations queue in the order
 * in which they begin; `break` or the signal ends one without harm to the others. Wrong arguments throw at once.
 */
export interface Llm {
  /** What is loaded, as of now: the engine is another one after a GPU was lost. */
  readonly info: ModelInfo;
  /** Continues the text. Special tokens in it are plain text. */
  generate(prompt: string, options?: GenerateOptions): AsyncIterable<Piece>;
  /** Answers the conversation, formatted by the model's own chat template. */
  chat(messages: readonly Message[], options?: GenerateOptions): AsyncIterable<Piece>;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  detokenize(ids: readonly number[]): Promise<string>;
  /** Frees the worker, the GPU and all memory. Running generations end with reason `abort`; later calls fail with `DISPOSED`. */
  dispose(): void;
}
