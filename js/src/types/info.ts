/** What is known of a loaded model. */

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
