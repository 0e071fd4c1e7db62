/** What the page and the worker say to each other: one union each way, matched by `type`. */

import type { FileSource } from './download/source.js';
import type { SerializedError } from './errors.js';
import type {
  Device,
  Estimate,
  Message,
  ModelInfo,
  Piece,
  Progress,
  Quantize,
  SamplingOptions,
  Sharing,
  StoreOptions,
} from './types.js';

export interface StartOptions extends SamplingOptions {
  readonly maxTokens?: number;
  readonly stop: readonly string[];
  /** The seed where the caller gave none. */
  readonly entropy: number;
}

/** What a call wants; the worker runs one at a time. */
export type Call =
  | {
      readonly type: 'load';
      readonly files: readonly FileSource[];
      readonly device: Device;
      readonly contextLength: number | null;
      /** Null where the caller leaves it to the worker. */
      readonly threads: number | null;
      /** One for each file, or none. */
      readonly sha256: readonly string[];
      /** Null where the caller leaves it to the worker. */
      readonly quantize: Quantize | null;
      /** Null where nothing may be stored. */
      readonly store: StoreOptions | null;
      /** The page's own `fetch`, where the caller gave one. */
      readonly fetchPort: MessagePort | null;
    }
  | {
      readonly type: 'estimate';
      readonly files: readonly FileSource[];
      readonly contextLength: number | null;
      readonly quantize: Quantize | null;
      readonly store: StoreOptions | null;
      readonly fetchPort: MessagePort | null;
    }
  | { readonly type: 'generate'; readonly prompt: string | readonly Message[]; readonly options: StartOptions }
  | { readonly type: 'tokenize'; readonly text: string; readonly addSpecial: boolean; readonly parseSpecial: boolean }
  | { readonly type: 'detokenize'; readonly ids: readonly number[] };

/** What the worker knows of its model. */
export type LoadedInfo = Omit<ModelInfo, keyof Sharing>;

export type LoadCall = Extract<Call, { type: 'load' }>;
export type EstimateCall = Extract<Call, { type: 'estimate' }>;

export type Request =
  | { readonly type: 'call'; readonly id: number; readonly call: Call }
  /** Stops the generation if it runs, and forgets it if it waits; it then ends with reason `abort`. */
  | { readonly type: 'cancel'; readonly id: number };

export type Reply =
  | { readonly type: 'progress'; readonly id: number; readonly progress: Progress }
  | { readonly type: 'piece'; readonly id: number; readonly piece: Piece }
  /** The end of a call that is no generation. */
  | { readonly type: 'result'; readonly id: number; readonly value: LoadedInfo | Estimate | number[] | string }
  /** The model was loaded again. */
  | { readonly type: 'reload'; readonly info: LoadedInfo }
  | { readonly type: 'error'; readonly id: number; readonly error: SerializedError }
  /** The model is gone: its load failed, or the engine crashed. */
  | { readonly type: 'end'; readonly error: SerializedError }
  /** A port from which a {@link SerializedError} comes if a thread crashes, while the worker may be waiting for it. */
  | { readonly type: 'thread'; readonly crash: MessagePort }
  | Entered;

/** The first message to a shared worker. `life`: a lock that is held while the page uses it. */
export interface Entry {
  readonly type: 'enter';
  readonly life: string;
}

/** The answer: calls may come now, or only another worker takes them. */
export type Entered = { readonly type: 'welcome' | 'ended' };

/** An end of the wire: a Worker, its global scope, or a MessagePort. */
export interface Port<Out, In> {
  postMessage(message: Out, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<In>) => void) | null;
}
