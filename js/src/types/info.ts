/** Properties of a loaded model. */

/** A task is named after its method. `infill` is `generate` with a `suffix`. */
export type Task =
  'generate' | 'infill' | 'chat' | 'score' | 'embed' | 'rerank' | 'classify' | 'classifyTokens' | 'fillMask';

export interface Sharing {
  /** Whether other tabs can use this loaded model. */
  readonly shared: boolean;
  /** If `shared` was asked for in vain: why, as a sentence. Else null. */
  readonly notShared: string | null;
}

export interface ModelInfo extends Sharing {
  /** A decoder generates text; an encoder turns a text into vectors or labels. */
  readonly kind: 'decoder' | 'encoder';
  readonly tasks: readonly Task[];
  /** Labels of the model's classifier; empty without one. */
  readonly labels: readonly string[];
  /** Text of the mask token for `fillMask`; null if the model cannot fill masks. */
  readonly maskToken: string | null;
  readonly name: string;
  readonly architecture: string;
  /** Number of weights. */
  readonly parameters: number;
  /** Type of most weights, `Q4_1` for example. */
  readonly quantization: string;
  /**
   * Identifies the weights: a hash of the tensors' headers and first bytes, as 16 hexadecimal
   * digits.
   */
  readonly fingerprint: string;
  readonly layers: number;
  /** Values per token and layer in the KV cache, keys and values together; 0 for an encoder. */
  readonly kvWidth: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Maximum number of tokens in the loaded model's context. */
  readonly contextLength: number;
  /** Context length, in tokens, that the model was trained for. */
  readonly trainedContextLength: number;
  readonly hasChatTemplate: boolean;
  /** Roles that a message can have: the common ones and those in the model's chat template. */
  readonly roles: readonly string[];
  readonly engine: EngineInfo;
  readonly download: DownloadInfo;
}

export interface DownloadInfo {
  /** Bytes read from the network or from the user's files. */
  readonly fetchedBytes: number;
  readonly fromStoreBytes: number;
  /** Where the model is stored: the origin private file system, the Cache API, or nowhere. */
  readonly storage: 'opfs' | 'cache' | 'none';
  /** Events of the load, as sentences: why the model is not stored, for example. */
  readonly notes: readonly string[];
}

export interface EngineInfo {
  readonly kind: 'gpu' | 'cpu';
  /** Name of the GPU, or the CPU's instruction set. */
  readonly description: string;
  /** How it computes, and what it cannot use on this machine. */
  readonly notes: readonly string[];
  /**
   * How often the GPU was lost. Each time, the model was loaded again and the interrupted work
   * continued.
   */
  readonly deviceLosses: number;
  /** Why this engine was chosen, as a sentence. */
  readonly reason: string;
  /** Memory of weights and activations. The KV cache comes on top as conversations grow. */
  readonly memoryBytes: number;
  /** Linear memory of the WebAssembly module after loading. */
  readonly wasmMemoryBytes: number;
  /** The build that this browser got, `weft-relaxed-threads` for example. */
  readonly build: string;
  /** Threads that compute, including the worker itself. */
  readonly threads: number;
}
