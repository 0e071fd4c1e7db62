/** Loading a model: sources, options, estimates, progress. */

import type * as wasm from '../../generated/weft-types.js';

export type { Device, KvFormat, Quantize, RopeScaling } from '../../generated/weft-types.js';

/**
 * Where one file comes from: a URL, `hf:owner/repository/path@revision` (default revision: `main`),
 * a file that the user chose or dropped, a file handle, or a stream. A stream is read once and
 * never stored. A URL that ends with a slash, and `hf:owner/repository` alone, name a folder in the
 * format of Hugging Face transformers.
 */
export type FileLike = string | URL | Blob | FileSystemFileHandle | ReadableStream<Uint8Array>;

/**
 * A model in one of two formats.
 *
 * GGUF: one file, all files of a split model in order, or a handle of the folder that holds them.
 * For a split model with a URL, the first file (`…-00001-of-00003.gguf`) is enough.
 *
 * Hugging Face transformers: a folder with `config.json`, `tokenizer.json` and safetensors files,
 * given as a URL, a handle, or its files in any order.
 */
export type ModelSource = FileLike | FileSystemDirectoryHandle | readonly FileLike[];

/** How models are kept in the browser's storage. */
export interface StoreOptions {
  /**
   * What to do when the browser's quota is too small. `never` loads the model without storing it;
   * `least-recently-used` deletes other models from the store until it fits. Default `never`.
   */
  evict?: 'never' | 'least-recently-used';
  /**
   * Fails when the model cannot be stored, with `QUOTA_EXCEEDED` for example, instead of loading it
   * without storing. Default false.
   */
  required?: boolean;
  /**
   * Asks the server whether a stored file has changed, with a request for its first byte, and
   * downloads it again if it has. Without a network the stored file is used, and a note says so.
   * Default false: stored files are used without asking.
   */
  revalidate?: boolean;
}

/** What is kept of prompts, so that one that begins alike is not computed again. */
export interface PrefixCacheOptions {
  /**
   * Most bytes of keys and values that are kept for later prompts, besides those of what runs. The
   * least recently used go first, and all of them before memory runs out. 0 keeps none. Default:
   * those of two full contexts.
   */
  maxBytes?: number;
  /**
   * Keeps prompts in the browser's store too, so that a later visit need not compute them: those
   * that `llm.remember` is given, and what two prompts or more begin with, in blocks of 64 tokens.
   * Needs `store`. Default false.
   */
  persist?: boolean;
}

export interface LoadOptions {
  /**
   * The model: a URL (`https://…`, `/models/model.gguf`, `hf:owner/repository/file.gguf`), a file
   * of the user, or several files.
   */
  model: ModelSource;
  /**
   * The model's projector, a GGUF file (`mmproj-….gguf`), with which messages may hold pictures.
   * Projectors of the kind `idefics3` run: SmolVLM and SmolVLM2.
   */
  projector?: FileLike;
  /** Default `auto`. `gpu` fails with `GPU_UNAVAILABLE` where there is no GPU. */
  device?: wasm.Device;
  /**
   * Maximum number of tokens in the prompt and answer together. Default: what the model was trained
   * for, at most 2048.
   */
  contextLength?: number;
  /**
   * Lets a model with rotary positions (RoPE) read `factor` times as far as it was pretrained for,
   * in place of what its file says; `contextLength` asks for the length. `yarn` keeps nearby tokens
   * apart and is what published models use (Peng et al. 2023), `linear` is for models that were
   * trained with it, `dynamic` raises RoPE's base with `contextLength`, so that a context no longer
   * than in pretraining stays as it was. Answers to short prompts may become a little worse.
   * Default: as the file says.
   */
  ropeScaling?: wasm.RopeScaling;
  /**
   * Threads of the CPU engine. More than one needs a cross-origin isolated page. Default: depends
   * on the number of processors, at most 8.
   */
  threads?: number;
  /** Aborts loading; `load` then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with the progress, at most ten times a second. */
  onProgress?: (progress: Progress) => void;
  /**
   * Keeps the model in the browser's storage and loads it from there the next time, if it has a
   * URL. With false the store is neither read nor written. Default true.
   */
  store?: boolean | StoreOptions;
  /**
   * Converts matrices to this type, if the type has fewer bits than the file's and their rows are
   * whole blocks of 32 values. Default: `q8_0` for a folder of transformers, which halves 16-bit
   * weights at almost no loss; `none` for GGUF.
   */
  quantize?: wasm.Quantize;
  /**
   * How keys and values of past tokens are kept: the fewer bits, the more of them fit, and the
   * faster is an answer behind a long text. `f32` keeps them as they are computed. `f16` takes half
   * of the memory; values are rounded to 11 bits, and beyond ±65504 to ±65504. `q8` takes little
   * more than half of that: a byte each, with a scale for 32 values; a model whose heads are no
   * multiple of 32 values keeps `f16`. `q4`, on the CPU engine only, takes little more than half of
   * that again, and answers become worse. Default: `f16`.
   */
  kvCache?: wasm.KvFormat;
  /** What is remembered of earlier prompts. */
  prefixCache?: PrefixCacheOptions;
  /**
   * SHA-256 of the file as 64 hexadecimal digits, or one for each of several files. A file that
   * differs fails with `INTEGRITY`.
   */
  sha256?: string | readonly string[];
  /**
   * Replaces the browser's `fetch`, to add headers for example. It runs in the page and gets
   * absolute URLs.
   */
  fetch?: typeof globalThis.fetch;
  /** Access token for `hf:` addresses. It is sent to the hub only. */
  token?: string;
  /**
   * Base URL for `hf:` addresses. Default: the public hub. Files from another hub are stored by
   * their full URL.
   */
  hub?: string;
  /**
   * Shares one loaded model among tabs of this origin that load the same files with the same
   * `sha256`, `device`, `contextLength`, `ropeScaling`, `quantize`, `kvCache`, `prefixCache` and
   * `store`. Needs a model with a URL; a shared model runs on one thread. Default false.
   */
  shared?: boolean;
  /**
   * More builds of the engine: `allBuilds()` from `weft-llm/all-builds`. Default: the two builds in
   * this package.
   */
  builds?: BuildAddresses;
}

/** URLs of builds of the engine, by name. */
export type BuildAddresses = Readonly<
  Partial<Record<'weft' | 'weft-relaxed' | 'weft-threads' | 'weft-relaxed-threads', string>>
>;

/** The {@link LoadOptions} that an estimate depends on. */
export type EstimateOptions = Pick<
  LoadOptions,
  'contextLength' | 'ropeScaling' | 'quantize' | 'kvCache' | 'signal' | 'store' | 'fetch' | 'token' | 'hub' | 'builds'
>;

/**
 * A model's properties and memory, computed from the headers of its files. Bytes are the engine's.
 */
export interface Estimate extends wasm.Estimate {
  /**
   * Whether it fits with a full context into the 4 GiB that a WebAssembly module can address.
   * Browsers do not tell how much memory the device has left.
   */
  readonly cpu: Fit;
  /** Whether its largest buffer fits the limits of the GPU; null without a GPU. */
  readonly gpu: Fit | null;
}

export interface Fit {
  readonly fits: boolean;
  /** Why it does not fit, as a sentence; null if it fits. */
  readonly reason: string | null;
}

/** How far a load is. */
export interface Progress {
  /**
   * `start`: the WebAssembly module starts. `download`: the model's bytes are read and moved into
   * the engine. `prepare`: shaders are compiled, and the model runs once.
   */
  phase: 'start' | 'download' | 'prepare';
  /** Bytes of the model that have been read, from the network or the store. */
  loaded: number;
  /** Bytes of the whole model; null until the files, the server or the file's header tell. */
  total: number | null;
  /** Name of the current file. */
  file: string;
  /** Bytes of the current file that have been read. */
  fileLoaded: number;
  /** Size of the current file in bytes; null while unknown. */
  fileTotal: number | null;
  /** How many of the `loaded` bytes came from the store. */
  fromStore: number;
  /** Download rate of the last seconds; null while unknown. */
  bytesPerSecond: number | null;
  /** Null while the rate or the total is unknown. */
  secondsLeft: number | null;
  /**
   * A message for the user, given once: a stored part was damaged, or the storage is full, for
   * example.
   */
  note?: string;
}
