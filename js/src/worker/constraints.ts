/** Constrained answers. A separate wasm module computes the masks; it is fetched at first use. */

import type { Thoughts } from '../answers/thoughts.js';
import { WeftError } from '../common/errors.js';
import type { StartOptions } from '../common/protocol.js';
import type { IgnoredKeyword } from '../types/index.js';
import type { GrammarModule, Grammars, RuntimeConstrained, RuntimeLlm } from './runtime.js';

/** The constraints of one model, whose vocabulary is read once. */
export class Constraints {
  readonly #load: () => Promise<GrammarModule>;
  #loading: Promise<void> | undefined;
  #module: GrammarModule | undefined;
  #grammars: Grammars | undefined;

  constructor(load: () => Promise<GrammarModule>) {
    this.#load = load;
  }

  /** Whether the module was started. */
  get ready(): boolean {
    return this.#module !== undefined;
  }

  /** Fetches and starts the module. */
  start(): Promise<void> {
    const loading = async () => {
      this.#module = await this.#load();
    };
    return (this.#loading ??= loading().catch((error: unknown) => {
      this.#loading = undefined; // the network may be back the next time
      throw error;
    }));
  }

  /**
   * Begins a constrained answer. {@link start} must have finished. Errors: `INVALID_CONSTRAINT`.
   */
  open(llm: RuntimeLlm, constraint: string, options: StartOptions['schemas']): Constrained {
    const grammars = (this.#grammars ??= this.#read(llm));
    return new Constrained(guarded(() => grammars.constrain(constraint, options)));
  }

  #read(llm: RuntimeLlm): Grammars {
    const { Grammars } = this.#module as GrammarModule;
    const end = llm.end_id();
    if (end === undefined) throw new WeftError('INVALID_CONSTRAINT', 'the model has no token that ends an answer');
    return guarded(() => new Grammars(llm.vocabulary_bytes(), llm.vocabulary_ends(), end));
  }
}

/** The generation that a mask is for. */
interface Masked {
  readonly llm: RuntimeLlm;
  readonly handle: number;
}

/** The constraint of one answer. */
export class Constrained {
  readonly #inner: RuntimeConstrained;
  /** The mask that allows all tokens, made when it is first needed. */
  #all: Uint32Array | undefined;
  /** How many of the next tokens are forced: the model draws none, and no mask is needed. */
  #forced = 0;

  constructor(inner: RuntimeConstrained) {
    this.#inner = inner;
  }

  /** Sets the mask of the next token. While the model thinks, every token is allowed. */
  begin({ llm, handle }: Masked, thoughts?: Thoughts): void {
    this.#forced = 0;
    if (thoughts?.thinking)
      return llm.allow(handle, (this.#all ??= guarded(() => this.#inner.mask()).fill(0xffffffff)));
    const mask = guarded(() => this.#inner.mask());
    const opening = thoughts?.opening ?? null;
    if (opening !== null) mask[opening >> 5] = (mask[opening >> 5] ?? 0) | (1 << (opening & 31));
    llm.allow(handle, mask);
    const forced = guarded(() => this.#inner.forced());
    // where a thought may begin instead, there is a choice
    if (forced !== '' && opening === null) this.#forced = llm.force(handle, forced);
  }

  /** Takes a token and sets the mask of the next one. */
  advance(masked: Masked, id: number): void {
    guarded(() => this.#inner.accept(id));
    this.#forced -= 1;
    if (this.#forced > 0) return;
    if (guarded(() => this.#inner.must_end())) masked.llm.finish(masked.handle);
    else this.begin(masked);
  }

  /** Parts of the schemas that are not enforced. */
  get ignored(): readonly IgnoredKeyword[] {
    return guarded(() => this.#inner.ignored());
  }

  /** Whether the text so far is a complete match. */
  get fits(): boolean {
    return guarded(() => this.#inner.may_end());
  }

  free(): void {
    try {
      this.#inner.free();
    } catch {
      // What crashed cannot be freed, and this error would hide the crash.
    }
  }
}

/** A crash of this module does not affect the engine. */
function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw error;
    const remedy = 'Simplify the constraint; before another one, load the model again.';
    throw new WeftError('INVALID_CONSTRAINT', `the module for constraints crashed: ${String(error)}. ${remedy}`, {
      cause: error,
    });
  }
}
