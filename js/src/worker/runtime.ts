/**
 * What the worker needs of the wasm modules. Their generated declarations describe what they have.
 */

import type * as grammar from '../../generated/weft-grammar.js';
import type { join_pool } from '../../generated/weft-threads.js';
import type * as weft from '../../generated/weft.js';
import type { ModuleAddresses } from '../common/builds.js';
import type { Hasher } from '../download/hash.js';
import type { Device } from '../types/index.js';
import type { Adapter } from './adapter.js';
import type { Tuning } from './tuning.js';

export type { Constrained as RuntimeConstrained, Grammars } from '../../generated/weft-grammar.js';
export type RuntimeToken = Extract<weft.Event, { type: 'token' }>;

export type {
  LayerSeen as RuntimeLayer,
  Llm as RuntimeLlm,
  Pixels as RuntimePixels,
  Placed as RuntimePlaced,
  Seen as RuntimeSeen,
  TokenLogprobs as RuntimeLogprobs,
} from '../../generated/weft.js';

/** What the generated JavaScript of every module has. */
export interface AnyGlue {
  /** Starts the module: on `memory`, in the builds that share one. */
  default(options: {
    module_or_path: WebAssembly.Module;
    memory?: WebAssembly.Memory;
  }): Promise<{ readonly memory: WebAssembly.Memory }>;
}

/** What constrains answers: a module of its own. */
export type GrammarModule = Pick<typeof grammar, 'Grammars'>;

export interface GrammarGlue extends AnyGlue, GrammarModule {}

/** A build's generated JavaScript. */
export interface Glue extends AnyGlue, Pick<typeof weft, 'Loader' | 'Estimator' | 'Sha256' | 'version'> {}

export interface ThreadsGlue extends Glue {
  join_pool: typeof join_pool;
}

export interface Runtime extends Pick<Glue, 'Loader' | 'Estimator'> {
  readonly Sha256: new () => Hasher;
  /** Name of the build. */
  readonly build: string;
  /** Bytes of the module's linear memory. */
  memoryBytes(): number;
  /** What the browser tells of the GPU, and what is remembered of it; undefined without a GPU. */
  gpu(): Promise<(Adapter & { readonly tuning: Tuning }) | undefined>;
  /** Starts the other threads, for an engine that uses them. */
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
