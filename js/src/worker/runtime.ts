/**
 * What the worker needs of the wasm module. The compiler checks the generated glue against it;
 * structured values are JSON.
 */

import type { ModuleAddresses } from '../common/builds.js';
import type { LoadedInfo } from '../common/protocol.js';
import type { Hasher } from '../download/hash.js';
import type { Device, EngineInfo } from '../types/index.js';
import type { Adapter } from './adapter.js';
import type { Tuning } from './tuning.js';

/** What every module's generated JavaScript has. */
export interface AnyGlue {
  /** Starts the module: on `memory`, in the builds that share one. */
  default(options: {
    module_or_path: WebAssembly.Module;
    memory?: WebAssembly.Memory;
  }): Promise<{ readonly memory: WebAssembly.Memory }>;
}

export interface GrammarGlue extends AnyGlue, GrammarModule {}

/** What constrains answers: a module of its own. */
export interface GrammarModule {
  readonly Grammars: new (bytes: Uint8Array, ends: Uint32Array, end: number) => Grammars;
}

/** A vocabulary, ready for constraints. */
export interface Grammars {
  /** `constraint` as JSON; `options`, how its schemas are read, as JSON too. */
  constrain(constraint: string, options: string): RuntimeConstrained;
}

export interface RuntimeConstrained {
  /** The parts of its schemas that are not enforced, as JSON. */
  ignored(): string;
  /** Which tokens may come next: a bit each. */
  mask(): Uint32Array;
  /** Takes the token that was drawn. */
  accept(id: number): void;
  /** Whether the answer may end here. */
  may_end(): boolean;
  /** Whether it must: nothing can follow. */
  must_end(): boolean;
  /** Gives back all that it holds. */
  free(): void;
}

/** A build's generated JavaScript. */
export interface Glue extends AnyGlue {
  readonly Loader: Runtime['Loader'];
  readonly Estimator: Runtime['Estimator'];
  readonly Sha256: Runtime['Sha256'];
  /** The package's. */
  version(): string;
}

export interface ThreadsGlue extends Glue {
  /**
   * Computes for the engine that runs on the same memory; never returns, and throws when it
   * crashes.
   */
  join_pool(): void;
}

export interface Runtime {
  /** `files`: names and texts of a folder's small files, in turn; none for GGUF. */
  readonly Loader: { create(options: string, files: string[]): Promise<RuntimeLoader> };
  readonly Estimator: new (options: string, files: string[]) => RuntimeEstimator;
  readonly Sha256: new () => Hasher;
  /** Name of the build. */
  readonly build: string;
  /** Bytes of the module's linear memory. */
  memoryBytes(): number;
  /**
   * What the browser tells of the GPU, and what is remembered of it; undefined where there is none.
   */
  gpu(): Promise<(Pick<Adapter, 'name' | 'subgroups' | 'maxBufferBytes'> & { readonly tuning: Tuning }) | undefined>;
  /** Starts the other threads, for an engine that has use for them. */
  startThreads(): void;
  /** Threads that compute. */
  threads(): number;
  /** Fetches and starts the module for constraints. */
  grammars(): Promise<GrammarModule>;
  /** Why the CPU engine has one thread, as a sentence, where it could have more. */
  readonly note: string | undefined;
}

/**
 * Starts the build of the wasm module that suits; `threads` is what the caller asked for, or null.
 */
export type Start = (device: Device, threads: number | null, modules: ModuleAddresses) => Promise<Runtime>;

export interface RuntimeLoader {
  /** `gpu` or `cpu`. */
  engine_kind(): string;
  /**
   * What was found to be the best on this GPU and should be remembered; undefined where there is
   * nothing new.
   */
  tuning(): string | undefined;
  /** How long the stream will be, before the first `feed`, where it is known. */
  set_stream_bytes(total: number): void;
  /** Waits where the engine cannot take more. */
  feed(bytes: Uint8Array): Promise<void>;
  /** Between two files. */
  end_file(): void;
  /** What the header says of its own file, once it was read. */
  total_bytes(): number | undefined;
  finish(): Promise<RuntimeLlm>;
}

/** Reads the headers of a model's files. */
export interface RuntimeEstimator {
  /** The next bytes of a file; whether its header was among what came. */
  feed(bytes: Uint8Array): boolean;
  /** Between two files. */
  end_file(): void;
  /** After the last header: an estimate as JSON. */
  finish(): string;
}

/**
 * A loaded model. While one of its promises is pending it may not be called at all: steps take
 * turns (turns.ts).
 */
export interface RuntimeLlm {
  info(): string;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array;
  detokenize(ids: Uint32Array): string;
  /**
   * The text of the chat template called `name`, or of that for conversations with or without
   * tools, where there is one.
   */
  chat_template(name: string | null | undefined, tools: boolean): string | undefined;
  chat_prompt(conversation: string): Uint32Array;
  /** A prompt for what stands between the ids of a text and a text behind it. */
  infill(before: Uint32Array, behind: string): Uint32Array;
  /**
   * Begins to continue `ids`. Gives the generation's handle, a number that is never given twice.
   * Any number of generations may be under way; each has its own `next`, and ends with its own
   * `stop`.
   */
  start(ids: Uint32Array, options: string): number;
  /** After `start`: as if these ids had been generated and given already. */
  resume(generation: number, generated: Uint32Array): void;
  /**
   * One step, a chunk of the prompt or a token: an event as JSON. An error ends this generation
   * alone.
   */
  next(generation: number): Promise<string>;
  /** Which tokens may come next, a bit each, where the options said `constrained`. */
  allow(generation: number, mask: Uint32Array): void;
  /** What was generated is the whole answer. */
  finish(generation: number): void;
  /** Tokens of the prompt whose keys and values were in the KV cache. */
  cached_tokens(generation: number): number;
  /** Tokens that were dropped behind `shiftBehind`. */
  dropped_tokens(generation: number): number;
  /**
   * Ends a generation, or what `restore` began. To be called once for each, also after its end or
   * an error.
   */
  stop(handle: number): void;
  /** The bytes of all tokens, of special ones after 0xFF, and where each ends. */
  vocabulary_bytes(): Uint8Array;
  vocabulary_ends(): Uint32Array;
  /** The special token with this name, which no text has. */
  special_id(name: string): number | undefined;
  /** A token that ends an answer. */
  end_id(): number | undefined;
  /**
   * Log-probabilities of `ids[from..]` after what stands before them; with `end` also of the
   * answer's end.
   */
  score(ids: Uint32Array, from: number, end: boolean): Promise<Float32Array>;
  /** `prompt` with the ids of `known` for as long as they spell the same. */
  reuse(known: Uint32Array, prompt: Uint32Array): Uint32Array;
  /**
   * Keys and values of these ids in one layer, where they are in the KV cache: nobody's, or those
   * of this owner.
   */
  read_kv(ids: Uint32Array, layer: number, restored: number | undefined): Promise<Float32Array>;
  /**
   * Begins to write keys and values of `ids`, which only `owner` may go on from. Gives a handle.
   */
  restore(ids: Uint32Array, owner: number): number;
  write_kv(restoring: number, layer: number, values: Float32Array): Promise<void>;
  /** After every layer was written. */
  restored(restoring: number): Promise<void>;
  embed(text: string, options: string): Promise<Float32Array>;
  classify(text: string, pair: string | undefined, truncate: boolean): Promise<string>;
  rerank(query: string, document: string, truncate: boolean): Promise<string>;
  classify_tokens(text: string, truncate: boolean): Promise<string>;
  fill_mask(text: string, topK: number, truncate: boolean): Promise<string>;
  /** Gives back all that it holds; nothing may be called any more. */
  free(): void;
}

/** What `next` gives. */
export type RuntimeEvent =
  | { readonly type: 'prompt'; readonly done: number; readonly total: number }
  | { readonly type: 'token'; readonly id: number; readonly text: string; readonly logprobs?: RuntimeLogprobs }
  | { readonly type: 'end'; readonly reason: 'stop' | 'length'; readonly text: string };

interface RuntimeLogprob {
  readonly id: number;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface RuntimeLogprobs extends RuntimeLogprob {
  readonly top: readonly RuntimeLogprob[];
}

/**
 * What `info` gives: the worker puts what concerns the engine together, and adds what only it
 * knows.
 */
export interface RuntimeInfo
  extends Omit<LoadedInfo, 'engine' | 'download' | 'roles'>, Pick<EngineInfo, 'reason' | 'memoryBytes'> {
  readonly engine: Pick<EngineInfo, 'kind' | 'description' | 'notes'>;
}
