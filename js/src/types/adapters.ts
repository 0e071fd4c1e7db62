/** LoRA adapters: small weights beside a model's own, which teach it a task or a style. */

import type { EstimateOptions, ModelSource } from './load.js';

/** The adapters of a call: the name of one, or several with their scales, which add up. */
export type AdapterChoice = string | readonly AdapterScale[];

export interface AdapterScale {
  readonly name: string;
  /** Factor of what it adds. Default 1, as it was trained. */
  readonly scale?: number;
}

export interface AdapterOptions extends Pick<EstimateOptions, 'store' | 'fetch' | 'token' | 'hub' | 'signal'> {
  /** How calls name it. */
  name: string;
}

/**
 * The adapters of a decoder. The weights of the model never change: a call without an adapter
 * computes what it did before, and calls with different ones run at once.
 */
export interface Adapters {
  /**
   * Loads an adapter: a GGUF file of llama.cpp's (`convert_lora_to_gguf.py`), or a folder that PEFT
   * saved, with `adapter_config.json` and `adapter_model.safetensors`. Any rank, any projections.
   * Errors: `INVALID_ADAPTER` for what cannot be used or does not fit the model, with a remedy.
   */
  load(source: ModelSource, options: AdapterOptions): Promise<void>;
  /** Frees an adapter. Errors: `INVALID_OPTION` while it is merged or an answer uses it. */
  unload(name: string): Promise<void>;
  /**
   * Makes it part of every call that begins from now on, as if the model had been trained so. The
   * weights stay as they are, so that it can be undone exactly, and a token costs what it does with
   * `adapter`. Default scale 1.
   */
  merge(name: string, scale?: number): Promise<void>;
  /** Undoes `merge`. */
  unmerge(name: string): Promise<void>;
}
