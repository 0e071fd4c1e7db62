/** Drafts that one model makes for the answers of another: both workers' ends of it. */

import type { DraftAsk, DraftCall, DraftPorts } from '../common/protocol.js';
import { orAborted } from '../common/signals.js';
import { useAdapters } from './adapters.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import { run } from './steps.js';
import { stop } from './stop.js';
import type { Turn } from './turns.js';

/** There are no more drafts. */
const NONE = Uint32Array.of();

/** The drafts for an answer, which another worker makes. */
export class Drafts {
  readonly #ports: DraftPorts;
  #isOver = false;
  #draft: Uint32Array | undefined;
  #wake = () => {};

  constructor(ports: DraftPorts) {
    this.#ports = ports;
    ports.asks.onmessage = ({ data }: MessageEvent<Uint32Array>) => this.#take(data);
    ports.over.onmessage = () => {
      this.#isOver = true;
      this.#take(NONE);
    };
  }

  /** Resolves when there is a draft to take. */
  async ask(ask: DraftAsk): Promise<void> {
    if (this.#isOver) return this.#take(NONE);
    const asked = new Promise<void>((resolve) => (this.#wake = resolve));
    this.#ports.asks.postMessage(ask);
    await asked;
  }

  /** The draft that came, once. */
  take(): Uint32Array | undefined {
    const draft = this.#draft;
    this.#draft = undefined;
    return draft;
  }

  close(): void {
    this.#ports.asks.close();
    this.#ports.over.close();
  }

  #take(draft: Uint32Array): void {
    this.#draft = draft;
    this.#wake();
  }
}

/**
 * Drafts for an answer of another worker, until `signal` says that it has ended. The first failure
 * ends it: the answer waits neither for memory nor for a model that is loaded again.
 */
export async function draft(model: Model, { asks }: DraftCall, turn: Turn, signal: AbortSignal): Promise<void> {
  const holder = {};
  let running: { readonly llm: RuntimeLlm; readonly handle: number } | undefined;
  let isOver = false;
  const end = () => {
    if (running) stop(running.llm, running.handle);
    running = undefined;
    model.contexts.yield(holder);
  };
  const fail = () => {
    end();
    isOver = true;
    asks.postMessage(NONE);
  };
  try {
    while (!isOver) {
      const ask = await next(asks, signal);
      if (!ask) return;
      if (!model.loaded) return fail();
      const { ids, most } = ask;
      const drafted: number[] = [];
      let begun = false;
      const step = async (llm: RuntimeLlm) => {
        if (isOver) return true;
        if (!running) {
          model.contexts.hold(holder);
          useAdapters(llm);
          running = { llm, handle: llm.start(ids, { temperature: 0, maxTokens: most, ignoreEos: true }, 0) };
        } else if (running.llm !== llm) {
          // lost by another call
          fail();
          return true;
        } else if (!begun) {
          llm.restart(running.handle, ids, most);
        }
        begun = true;
        const event = await llm.next(running.handle);
        if (event.type === 'token') {
          model.progressed();
          drafted.push(event.id);
        }
        // its context is full
        isOver = event.type === 'end';
        if (drafted.length < most && !isOver) return false;
        asks.postMessage(Uint32Array.from(drafted));
        return true;
      };
      if (!(await run(model, turn, signal, step, fail))) return;
      turn.end();
    }
  } finally {
    asks.close();
    // the module lends itself to one call at a time
    if (running) await turn.next().catch(() => undefined);
    end();
    model.contexts.end(holder);
  }
}

/** What is asked for next; undefined once the answer has ended. */
async function next(asks: MessagePort, signal: AbortSignal): Promise<DraftAsk | undefined> {
  let ask: DraftAsk | undefined;
  const asked = new Promise<void>((resolve) => {
    asks.onmessage = ({ data }: MessageEvent<DraftAsk>) => {
      ask = data;
      resolve();
    };
  });
  await orAborted(asked, signal);
  return ask;
}
