/** Constrained answers: which tokens may come next, told by a module of its own, which is fetched when it is first needed. */

import type { Thoughts } from '../answers/thoughts.js';
import { WeftError } from '../common/errors.js';
import type { IgnoredKeyword } from '../types/index.js';
import type { GrammarModule, Grammars, RuntimeConstrained, RuntimeLlm } from './runtime.js';

/** Of one model, whose vocabulary is read once. */
export class Constraints {
  readonly #start: () => Promise<GrammarModule>;
  #grammars: Promise<Grammars> | undefined;

  constructor(start: () => Promise<GrammarModule>) {
    this.#start = start;
  }

  /** At the start of an answer. Errors: `INVALID_CONSTRAINT`. */
  async open(llm: RuntimeLlm, constraint: string, options: string): Promise<Constrained> {
    this.#grammars ??= this.#read(llm).catch((error: unknown) => {
      this.#grammars = undefined; // the network may be back the next time
      throw error;
    });
    const grammars = await this.#grammars;
    return new Constrained(guarded(() => grammars.constrain(constraint, options)));
  }

  async #read(llm: RuntimeLlm): Promise<Grammars> {
    const { Grammars } = await this.#start();
    const end = llm.end_id();
    if (end === undefined) throw new WeftError('INVALID_CONSTRAINT', 'the model has no token that ends an answer');
    return guarded(() => new Grammars(llm.vocabulary_bytes(), llm.vocabulary_ends(), end));
  }
}

/** An answer under way. */
export class Constrained {
  readonly #inner: RuntimeConstrained;
  /** The mask of all tokens, once it is needed. */
  #all: Uint32Array | undefined;

  constructor(inner: RuntimeConstrained) {
    this.#inner = inner;
  }

  /** Says what may come first: anything among `thoughts`, with which the answer may begin. */
  begin(llm: RuntimeLlm, generation: number, thoughts?: Thoughts): void {
    if (thoughts?.thinking)
      return llm.allow(generation, (this.#all ??= guarded(() => this.#inner.mask()).fill(0xffffffff)));
    const mask = guarded(() => this.#inner.mask());
    const opening = thoughts?.opening ?? null;
    if (opening !== null) mask[opening >> 5] = (mask[opening >> 5] ?? 0) | (1 << (opening & 31));
    llm.allow(generation, mask);
  }

  /** Takes the token that was drawn, and says what may follow. */
  advance(llm: RuntimeLlm, generation: number, id: number): void {
    guarded(() => this.#inner.accept(id));
    if (this.#inner.must_end()) llm.finish(generation);
    else this.begin(llm, generation);
  }

  /** The parts of its schemas that are not enforced. */
  get ignored(): readonly IgnoredKeyword[] {
    return JSON.parse(this.#inner.ignored()) as IgnoredKeyword[];
  }

  /** Whether what was said fits as a whole. */
  get fits(): boolean {
    return guarded(() => this.#inner.may_end());
  }

  free(): void {
    this.#inner.free();
  }
}

/** A crash in here is one of this module, not of the engine, which goes on. */
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
