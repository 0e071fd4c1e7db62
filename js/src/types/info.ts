/** Properties of a loaded model. */

import type * as wasm from '../../generated/weft-types.js';

export type { Task } from '../../generated/weft-types.js';

export interface Sharing {
  /** Whether other tabs can use this loaded model. */
  readonly shared: boolean;
  /** If `shared` was asked for in vain: why, as a sentence. Else null. */
  readonly notShared: string | null;
}

export interface ModelInfo extends Omit<wasm.Info, 'engine' | 'memoryBytes'>, Sharing {
  /** Roles that a message can have: the common ones and those in the model's chat template. */
  readonly roles: readonly string[];
  /** What messages may hold. */
  readonly inputs: readonly ('text' | 'image')[];
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

export interface EngineInfo extends wasm.EngineInfo {
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
