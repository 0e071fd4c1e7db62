/**
 * Remembers prompts beyond the page: restores what is stored of them before they are computed, and
 * stores what several prompts begin with, or what the app asks for. Trouble with the store never
 * fails an answer.
 */

import { serializeError, WeftError } from '../common/errors.js';
import type { AdapterUse, LoadCall } from '../common/protocol.js';
import { orAborted } from '../common/signals.js';
import { nameOf } from '../common/source.js';
import type { Downloads } from '../download/browser.js';
import { answered } from '../store/answer.js';
import { answering } from '../store/answering.js';
import { BLOCK, StoredPrefixes, type Block } from '../store/prefixes.js';
import { useAdapters } from './adapters.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import { once, run } from './steps.js';
import type { Turn } from './turns.js';

/** Version of what is stored. */
const VERSION = 1;

/** Milliseconds that an answer waits for the store. */
const RECALL_MS = 3000;

/** Milliseconds without an answer under way before anything is stored. */
const IDLE_MS = 1000;

/** Prompts that wait for that at most. */
const WAITING = 4;

/** Tokens under certain adapters. */
interface Text {
  readonly ids: readonly number[];
  readonly adapters: readonly AdapterUse[];
}

export class Prefixes {
  readonly #downloads: Downloads;
  /** The source that stored prompts are named after. */
  readonly #source: string;
  readonly #key: string;
  readonly #turn: Turn;
  #store: Promise<StoredPrefixes | undefined> | undefined;
  #waiting: Text[] = [];
  #working = false;

  /** `turn`: for what is stored in idle time. */
  constructor(downloads: Downloads, { files: [first], quantize }: LoadCall, turn: Turn) {
    this.#downloads = downloads;
    this.#turn = turn;
    this.#source = first && 'key' in first ? first.key : `file:${first ? nameOf(first) : ''}`;
    this.#key = `${VERSION} ${quantize ?? ''}`;
  }

  /** What keys and values depend on beside tokens, for what begins next in this turn. */
  keyOf(llm: RuntimeLlm): string {
    return `${this.#key} ${llm.kv_key()}`;
  }

  /** The stored blocks of a prompt behind `cached` tokens; none where there is trouble. */
  async *recall(key: string, ids: ArrayLike<number>, cached: number): AsyncGenerator<Block> {
    try {
      const stored = await this.#opened();
      if (!stored) return;
      const blocks = stored.read(key, ids, cached);
      for (;;) {
        const next = await answered(blocks.next(), 'the store', RECALL_MS);
        if (next.done) return;
        yield next.value;
      }
    } catch {
      // it is computed instead, and the store is asked no more
      this.#store = Promise.resolve(undefined);
    }
  }

  /** To be called after an answer: stores its prompt's beginning later, if others share it. */
  used(model: Model, text: Text): void {
    if (text.ids.length < BLOCK) return;
    this.#waiting = [...this.#waiting, text].slice(-WAITING);
    if (!this.#working) void this.#work(model);
  }

  async #work(model: Model): Promise<void> {
    this.#working = true;
    const idle = async () => {
      do await this.#downloads.sleep(IDLE_MS, NEVER);
      while (model.contexts.busy);
    };
    try {
      for (let text = this.#waiting.shift(); text; text = this.#waiting.shift()) {
        await idle();
        // what was lost with a GPU is not computed for this
        if (model.loaded) await this.#put(model, this.#turn, NEVER, text, null, idle);
      }
    } catch {
      // nothing waits for it
    } finally {
      this.#turn.end();
      this.#working = false;
    }
  }

  /**
   * Stores a prompt that the model has computed; undefined if `signal` stopped it. `pinned`: for as
   * long as the store lasts. Errors: `INVALID_OPTION` if the KV cache does not have all of it,
   * `QUOTA_EXCEEDED`, `NOT_SUPPORTED`.
   */
  async keep(model: Model, turn: Turn, signal: AbortSignal, text: Text, pinned: boolean): Promise<number | undefined> {
    if (!(await this.#opened())) {
      throw new WeftError(
        'NOT_SUPPORTED',
        'no prompt can be kept: this browser stores nothing for this page, or its storage does not answer',
      );
    }
    return this.#put(model, turn, signal, text, { pinned }, async () => undefined);
  }

  /**
   * Returns the bytes that were written. `asked`: how an app asked for it; null for what the text
   * shares with others alone. `wait`: called between two blocks.
   */
  async #put(
    model: Model,
    turn: Turn,
    signal: AbortSignal,
    { ids, adapters }: Text,
    asked: { readonly pinned: boolean } | null,
    wait: () => Promise<void>,
  ): Promise<number | undefined> {
    const told = await once(model, turn, signal, (llm) => {
      useAdapters(llm, adapters);
      return [this.keyOf(llm), llm.remembered(Uint32Array.from(ids))[1] ?? 0] as const;
    });
    turn.end();
    if (!told) return undefined;
    const [key, shared] = told;
    const prefix = { key, ids: asked ? ids : ids.slice(0, shared), pinned: asked?.pinned ?? false };
    const stored = await this.#opened();
    if (!stored || prefix.ids.length === 0 || (await stored.has(prefix))) return 0;
    return stored.put(this.#source, prefix, async (beginning) => {
      await wait();
      let bytes: Uint8Array | undefined;
      await run(model, turn, signal, async (llm) => {
        useAdapters(llm, adapters);
        bytes = await llm.read_block(Uint32Array.from(beginning));
        return true;
      });
      turn.end();
      if (!bytes) throw new WeftError('DISPOSED', 'it was aborted');
      return bytes;
    });
  }

  #opened(): Promise<StoredPrefixes | undefined> {
    const { storage, answerMs } = this.#downloads;
    const open = async () => {
      const found = await answered(storage(), 'the store', answerMs);
      return found && new StoredPrefixes(answering(found, answerMs));
    };
    return (this.#store ??= open().catch(() => undefined));
  }
}

const NEVER: AbortSignal = new AbortController().signal;

/** Restores what is stored of one prompt, a block in each turn. */
export class Recall {
  readonly text: Text;
  readonly #prefixes: Prefixes;
  #blocks: AsyncGenerator<Block> | undefined;
  #next: Promise<IteratorResult<Block>> | undefined;
  #block: Block | undefined;
  #over = false;

  constructor(prefixes: Prefixes, text: Text) {
    this.#prefixes = prefixes;
    this.text = text;
  }

  /** Returns whether it gave up its turn; false once there is no more to restore. */
  async step(llm: RuntimeLlm, turn: Turn, signal: AbortSignal): Promise<boolean> {
    if (this.#over) return false;
    const { ids, adapters } = this.text;
    useAdapters(llm, adapters);
    if (!this.#blocks) {
      const [cached = 0] = llm.remembered(Uint32Array.from(ids));
      this.#blocks = this.#prefixes.recall(this.#prefixes.keyOf(llm), ids, cached);
      this.#next = this.#blocks.next();
    }
    if (this.#block && !(await written(llm, this.#block))) {
      this.#over = true;
      void this.#blocks.return(undefined);
      return false;
    }
    turn.end();
    const read = async () => {
      const next = await this.#next;
      this.#block = next?.done === false ? next.value : undefined;
      this.#over = this.#block === undefined;
      // read while this one is written
      if (!this.#over) this.#next = this.#blocks?.next();
    };
    await orAborted(read(), signal);
    return true;
  }
}

/** Returns false if the model has no room for it, or has dropped what was before it. */
async function written(llm: RuntimeLlm, { ids, bytes }: Block): Promise<boolean> {
  try {
    await llm.write_block(Uint32Array.from(ids), bytes);
    return true;
  } catch (error) {
    if (!['OUT_OF_MEMORY', 'INVALID_OPTION'].includes(serializeError(error).code)) throw error;
    return false;
  }
}
