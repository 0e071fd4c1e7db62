/** What the worker needs of the wasm module; the generated glue has exactly these. Structured values are JSON. */

import type { EngineInfo, ModelInfo } from './types.js';

export interface Runtime {
  readonly Loader: { create(options: string): Promise<RuntimeLoader> };
  /** Bytes of the module's linear memory. */
  memoryBytes(): number;
  /** What the browser tells of the GPU: wgpu passes on only a field that browsers leave empty. */
  adapterName(): Promise<string | undefined>;
}

export interface RuntimeLoader {
  /** How long the stream will be, before the first `feed`, where it is known. */
  set_stream_bytes(total: number): void;
  feed(bytes: Uint8Array): void;
  /** What the header says of its own file, once it was read. */
  total_bytes(): number | undefined;
  finish(): Promise<RuntimeLlm>;
}

export interface RuntimeLlm {
  info(): string;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array;
  detokenize(ids: Uint32Array): string;
  chat_prompt(messages: string): Uint32Array;
  start(ids: Uint32Array, options: string): void;
  next(): Promise<string>;
  stop(): void;
  cached_tokens(): number;
}

/** What `next` gives. */
export type RuntimeEvent =
  | { readonly type: 'prompt'; readonly done: number; readonly total: number }
  | { readonly type: 'token'; readonly id: number; readonly text: string }
  | { readonly type: 'end'; readonly reason: 'stop' | 'length'; readonly text: string };

/** What `info` gives: the worker puts what concerns the engine together, and adds what only it knows. */
export interface RuntimeInfo extends Omit<ModelInfo, 'engine'>, Pick<EngineInfo, 'reason' | 'memoryBytes'> {
  readonly engine: Pick<EngineInfo, 'kind' | 'description'>;
}
