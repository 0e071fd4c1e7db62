/** How a model is loaded, and what that needs. */

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
