/** A model that outlives its GPU: after a lost device it is loaded again from its source. */

import { serializeError, WeftError } from '../common/errors.js';
import type { LoadedInfo } from '../common/protocol.js';
import type { Device } from '../types/index.js';
import { Adapters } from './adapters.js';
import { Contexts } from './contexts.js';
import type { RuntimeLlm } from './runtime.js';

export interface Loaded {
  readonly llm: RuntimeLlm;
  readonly info: LoadedInfo;
}

/** After so many losses without a token in between, the CPU takes over. */
const LOSSES = 2;

export class Model {
  readonly contexts: Contexts = new Contexts();
  readonly adapters: Adapters = new Adapters();
  readonly #load: (device: Device) => Promise<Loaded>;
  readonly #device: Device;
  readonly #onReload: (info: LoadedInfo) => void;
  #loading: Promise<RuntimeLlm> | undefined;
  #llm: RuntimeLlm | undefined;
  #info: LoadedInfo | undefined;
  #losses = 0;
  #lossesInRow = 0;
  /** Why the CPU took over, as a sentence. */
  #gaveUp: string | undefined;

  /** `device`: the one that the caller asked for. `onReload` gets the new info after a reload. */
  constructor(load: (device: Device) => Promise<Loaded>, device: Device, onReload: (info: LoadedInfo) => void) {
    this.#load = load;
    this.#device = device;
    this.#onReload = onReload;
  }

  /** The model, if it is loaded now. */
  get loaded(): RuntimeLlm | undefined {
    return this.#llm;
  }

  /** The model; loads it if necessary. */
  get(): Promise<RuntimeLlm> {
    this.#loading ??= this.#open().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Info of the loaded model. */
  async info(): Promise<LoadedInfo> {
    await this.get();
    return this.#info as LoadedInfo;
  }

  /** To be called for every token: the GPU works. */
  progressed(): void {
    this.#lossesInRow = 0;
  }

  /**
   * To be called for every error. Throws it, unless the work can be repeated on the model that
   * {@link get} gives.
   */
  failed(error: unknown): void {
    const { code, message } = serializeError(error);
    if (code === 'DEVICE_LOST') {
      this.#losses += 1;
      this.#lossesInRow += 1;
      this.#discard();
      if (this.#lossesInRow < LOSSES) return;
    } else if (code !== 'GPU_UNAVAILABLE') {
      throw error;
    }
    if (this.#device !== 'auto' || this.#gaveUp) throw error;
    this.#gaveUp = `The GPU was given up: ${message}`;
  }

  /** Frees the model. A load that is under way goes on. */
  #discard(): void {
    if (!this.#llm) return;
    this.#llm.free();
    this.#llm = undefined;
    this.#loading = undefined;
  }

  async #open(): Promise<RuntimeLlm> {
    for (;;) {
      try {
        const { llm, info } = await this.#load(this.#gaveUp ? 'cpu' : this.#device);
        await this.adapters.restore(llm);
        const reason = this.#gaveUp ?? info.engine.reason;
        const again = this.#info !== undefined;
        this.#info = { ...info, engine: { ...info.engine, reason, deviceLosses: this.#losses } };
        if (again) this.#onReload(this.#info);
        this.#llm = llm;
        return llm;
      } catch (error) {
        this.failed(this.#info ? notReloaded(error) : error);
      }
    }
  }
}

function notReloaded(error: unknown): WeftError {
  const { code, message } = serializeError(error);
  const what = 'the GPU device was lost, and the model could not be loaded again';
  return new WeftError(code, code === 'DEVICE_LOST' ? message : `${what}: ${message}`, { cause: error });
}
