/** What the worker needs of the wasm module. The compiler checks the generated glue against it; structured values are JSON. */

import type { Adapter } from './adapter.js';
import type { Hasher } from './download/hash.js';
import type { Tuning } from './tuning.js';
import type { LoadedInfo } from './protocol.js';
import type { EngineInfo } from './types.js';

/** A build's generated JavaScript. */
export interface Glue {
  /** Starts the module: on `memory`, in the builds that share one. */
  default(options: {
    module_or_path: WebAssembly.Module;
    memory?: WebAssembly.Memory;
  }): Promise<{ readonly memory: WebAssembly.Memory }>;
  readonly Loader: Runtime['Loader'];
  readonly Estimator: Runtime['Estimator'];
  readonly Sha256: Runtime['Sha256'];
  /** The package's. */
  version(): string;
}

export interface ThreadsGlue extends Glue {
  /** Computes for the engine that runs on the same memory; never returns, and throws when it crashes. */
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
  /** What the browser tells of the GPU, and what is remembered of it; undefined where there is none. */
  gpu(): Promise<(Pick<Adapter, 'name' | 'subgroups' | 'maxBufferBytes'> & { readonly tuning: Tuning }) | undefined>;
  /** Starts the other threads, for an engine that has use for them. */
  startThreads(): void;
  /** Threads that compute. */
  threads(): number;
  /** Why the CPU engine has one thread, as a sentence, where it could have more. */
  readonly note: string | undefined;
}

export interface RuntimeLoader {
  /** `gpu` or `cpu`. */
  engine_kind(): string;
  /** What was found to be the best on this GPU and should be remembered; undefined where there is nothing new. */
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

export interface RuntimeLlm {
  info(): string;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array;
  detokenize(ids: Uint32Array): string;
  chat_prompt(messages: string): Uint32Array;
  start(ids: Uint32Array, options: string): void;
  /** After `start`: as if these ids had been generated and given already. */
  resume(generated: Uint32Array): void;
  next(): Promise<string>;
  stop(): void;
  cached_tokens(): number;
  /** Gives back all that it holds; nothing may be called any more. */
  free(): void;
}

/** What `next` gives. */
export type RuntimeEvent =
  | { readonly type: 'prompt'; readonly done: number; readonly total: number }
  | { readonly type: 'token'; readonly id: number; readonly text: string }
  | { readonly type: 'end'; readonly reason: 'stop' | 'length'; readonly text: string };

/** What `info` gives: the worker puts what concerns the engine together, and adds what only it knows. */
export interface RuntimeInfo
  extends Omit<LoadedInfo, 'engine' | 'download'>, Pick<EngineInfo, 'reason' | 'memoryBytes'> {
  readonly engine: Pick<EngineInfo, 'kind' | 'description' | 'notes'>;
}
