/** Generates an answer: events of the runtime become pieces. */

import { Clock } from '../common/clock.js';
import type { GenerateCall, Prompt, Started } from '../common/protocol.js';
import { orAborted } from '../common/signals.js';
import type { Finish, FinishReason, Piece, TokenLogprobs } from '../types/index.js';
import { useAdapters } from './adapters.js';
import type { Constrained, Constraints } from './constraints.js';
import type { Contexts } from './contexts.js';
import { prepare, type Prepared } from './conversation.js';
import { Drafts } from './drafting.js';
import { writeCache } from './kv-cache.js';
import type { Model } from './model.js';
import { Pictures } from './pictures.js';
import { Recall, type Prefixes } from './prefixes.js';
import { inspectionOf } from './seen.js';
import type { RuntimeLlm, RuntimeLogprobs, RuntimeToken } from './runtime.js';
import { run } from './steps.js';
import { stop } from './stop.js';
import type { Turn } from './turns.js';

/** Receives the events of a generation. */
export interface Listener {
  /**
   * The prompt and the constraint were accepted; nothing was computed yet. Called again when the
   * generation starts again, after a lost GPU for example.
   */
  started(of: Started): void;
  piece(piece: Piece): void;
}

/**
 * Runs one generation until it ends, or until `signal` stops it between two steps. After a lost
 * GPU, and after waiting for memory, it continues from the ids generated so far. `remembered`:
 * where earlier visits stored prompts.
 */
export async function generate(
  model: Model,
  call: GenerateCall,
  constraints: Constraints,
  turn: Turn,
  signal: AbortSignal,
  { started, piece: tell }: Listener,
  remembered?: Prefixes,
): Promise<void> {
  const answer = new Answer(call, model.contexts, {
    started,
    piece(piece) {
      if (piece.id !== null) model.progressed();
      tell(piece);
    },
  });
  const step = async (llm: RuntimeLlm) => {
    const ready = answer.prepare(llm).constraint === null || constraints.ready;
    const waits = ready ? (answer.see(llm) ?? answer.draft(llm)) : constraints.start();
    if (!waits) return answer.step(llm, constraints);
    // Other calls run while the module is fetched, pictures are decoded, or the other model drafts.
    turn.end();
    await orAborted(waits, signal);
    return false;
  };
  const { adapters = [], restored } = call.options;
  // what a session restored is its own
  const prefixes = restored === undefined ? remembered : undefined;
  let recall: Recall | undefined;
  const recalling = async (llm: RuntimeLlm) => {
    // what is stored is known by its tokens
    const { pictures } = answer.prepare(llm);
    if (prefixes && pictures.length === 0)
      recall ??= new Recall(prefixes, { ids: [...answer.prepare(llm).ids], adapters });
    return (await recall?.step(llm, turn, signal)) ? false : step(llm);
  };
  try {
    const ended = await run(model, turn, signal, recalling, () => answer.stop());
    if (!ended) answer.abort();
    else if (recall) prefixes?.used(model, recall.text);
  } finally {
    answer.free();
  }
}

type TokenPiece = Extract<Piece, { finish: null }>;

/** A generation of the runtime. */
interface Running {
  readonly llm: RuntimeLlm;
  readonly handle: number;
}

/** The state of one answer. It outlives the model that it runs on. */
class Answer {
  readonly #call: GenerateCall;
  readonly #contexts: Contexts;
  readonly #listener: Listener;
  readonly #clock = new Clock();
  readonly #ids: number[] = [];
  #dropped = 0;
  /** Tokens that were drafted and accepted, in all and on models that are lost. */
  #drafted: readonly [drafted: number, accepted: number] = [0, 0];
  #draftedBefore = this.#drafted;
  readonly #drafts: Drafts | undefined;
  /** Whether it has all its calls: only its end is missing. */
  #complete = false;
  #prepared: Prepared | undefined;
  #pictures: Pictures | undefined;
  #constrained: Constrained | undefined;
  /** On the model that was loaded last; undefined until the first step on it. */
  #running: Running | undefined;

  constructor(call: GenerateCall, contexts: Contexts, listener: Listener) {
    this.#call = call;
    this.#contexts = contexts;
    this.#listener = listener;
    this.#drafts = call.draft && new Drafts(call.draft);
  }

  /** Prepares the prompt once: a chat template may print the time. */
  prepare(llm: RuntimeLlm): Prepared {
    const { prompt, suffix, options } = this.#call;
    return (this.#prepared ??= prepareAny(llm, prompt, suffix, options.constraint));
  }

  /** Starts on this model, or runs one step. Returns whether the answer is complete. */
  async step(llm: RuntimeLlm, constraints: Constraints): Promise<boolean> {
    if (this.#running?.llm === llm) return this.#advance(this.#running, this.prepare(llm));
    if (this.#pictures && !(await this.#pictures.see(llm))) return false;
    await this.#begin(llm, constraints, this.prepare(llm));
    return false;
  }

  /** Decodes the pictures of the prompt; undefined if they are. */
  see(llm: RuntimeLlm): Promise<void> | undefined {
    this.#pictures ??= new Pictures(this.prepare(llm).pictures);
    return this.#pictures.decode();
  }

  /** Asks another model for a draft, if one is wanted now; resolves when it has come. */
  draft(llm: RuntimeLlm): Promise<void> | undefined {
    if (!this.#drafts || this.#running?.llm !== llm) return undefined;
    const { handle } = this.#running;
    const came = this.#drafts.take();
    if (came) llm.give_draft(handle, came);
    const wanted = llm.wanted_draft(handle);
    const [most] = wanted;
    return most === undefined ? undefined : this.#drafts.ask({ ids: wanted.slice(1), most });
  }

  /** Whether the oldest tokens are dropped when the context is full. */
  get #shifts(): boolean {
    return this.#call.options.shiftBehind !== undefined;
  }

  get #speculates(): boolean {
    return this.#call.options.speculate !== undefined;
  }

  abort(): void {
    this.#listener.piece({ text: '', id: null, finish: this.#finish('abort') });
  }

  free(): void {
    this.#drafts?.close();
    this.#pictures?.free();
    this.#constrained?.free();
    this.stop();
    this.#contexts.end(this);
  }

  /** Frees the runtime's generation. The next step starts another one and continues. */
  stop(): void {
    if (this.#running) stop(this.#running.llm, this.#running.handle);
    this.#running = undefined;
    this.#contexts.yield(this);
  }

  async #begin(llm: RuntimeLlm, constraints: Constraints, prepared: Prepared): Promise<void> {
    this.stop();
    // it was for the model before
    this.#drafts?.take();
    this.#contexts.hold(this);
    const { suffix, cache } = this.#call;
    const { constraint: _, schemas, entropy, inspect, adapters, ...options } = this.#call.options;
    const { ids, constraint } = prepared;
    if (constraint !== null) this.#constrained ??= constraints.open(llm, constraint, schemas);
    useAdapters(llm, adapters);
    // under other adapters the text is computed again
    const fits = cache !== undefined && cache.adapters === llm.adapters_fingerprint();
    if (fits && options.restored !== undefined) await writeCache(llm, cache, options.restored);
    const keepSpecial = [...(options.keepSpecial ?? []), ...prepared.keepSpecial];
    const gap = suffix === undefined ? {} : { infill: true };
    const wanted = { ...options, ...gap, keepSpecial, constrained: constraint !== null };
    const placed = this.#pictures?.place(llm, ids);
    const promptTokens = placed?.ids().length ?? ids.length;
    const handle = placed
      ? llm.start_placed(placed, wanted, entropy, inspect)
      : llm.start(ids, wanted, entropy, inspect);
    const running = (this.#running = { llm, handle });
    this.#draftedBefore = this.#drafted;
    const tokens = { promptTokens, cachedTokens: llm.cached_tokens(handle) };
    if (this.#ids.length === 0) this.#clock.prompt(tokens.promptTokens, tokens.cachedTokens);
    llm.resume(handle, Uint32Array.from(this.#ids));
    if (this.#complete) llm.finish(handle);
    this.#constrained?.begin(running, prepared.thoughts);
    this.#listener.started(tokens);
  }

  async #advance(running: Running, { thoughts, calls }: Prepared): Promise<boolean> {
    const { llm, handle } = running;
    const event = await llm.next(handle);
    if (event.type === 'prompt' && this.#ids.length === 0) {
      // others may have computed some of it meanwhile
      this.#clock.prompt(event.total, llm.cached_tokens(handle));
    }
    if (this.#shifts) this.#dropped = llm.dropped_tokens(handle);
    if (this.#speculates) {
      const [drafted = 0, accepted = 0] = llm.speculated(handle);
      this.#drafted = [this.#draftedBefore[0] + drafted, this.#draftedBefore[1] + accepted];
    }
    if (event.type === 'end') {
      const told = thoughts ? thoughts.end(event.text) : { text: event.text };
      this.#listener.piece({ ...told, id: null, finish: this.#finish(event.reason) });
      return true;
    }
    if (event.type === 'token') {
      const { text, id } = event;
      this.#clock.token();
      this.#ids.push(id);
      const wasThinking = thoughts?.thinking;
      const told = thoughts ? thoughts.push(text) : { text };
      // only the answer after the thoughts is constrained
      if (wasThinking || thoughts?.thinking) this.#constrained?.begin(running, thoughts);
      else this.#constrained?.advance(running, id);
      this.#complete = calls?.isOver(told.text) ?? false;
      if (this.#complete) llm.finish(handle);
      this.#listener.piece({ ...told, id, finish: null, ...this.#seen(event) });
    }
    return false;
  }

  #seen({ logprobs, inspection }: RuntimeToken): Pick<TokenPiece, 'logprobs' | 'inspection'> {
    const { inspect } = this.#call.options;
    return {
      ...(logprobs && { logprobs: withTexts(logprobs) }),
      ...(inspect && inspection && { inspection: inspectionOf(inspect, inspection.layers, inspection.seen) }),
    };
  }

  #finish(reason: FinishReason): Finish {
    const ignored = this.#constrained?.ignored ?? [];
    const [draftedTokens, acceptedTokens] = this.#drafted;
    return {
      reason,
      usage: {
        ...this.#clock.usage(),
        ...(this.#shifts ? { droppedTokens: this.#dropped } : {}),
        ...(this.#speculates ? { draftedTokens, acceptedTokens } : {}),
      },
      ...(this.#constrained ? { fits: this.#constrained.fits } : {}),
      ...(ignored.length > 0 ? { ignored } : {}),
    };
  }
}

/** The ids of a prompt, and what is known of its answer. */
export function prepareAny(
  llm: RuntimeLlm,
  prompt: Prompt,
  suffix: string | undefined,
  constraint: string | null,
): Prepared {
  if (typeof prompt !== 'string' && 'messages' in prompt) return prepare(llm, prompt, constraint);
  const alone = suffix === undefined;
  const given = typeof prompt === 'string' ? llm.tokenize(prompt, alone, false) : Uint32Array.from(prompt);
  const ids = alone ? given : llm.infill(given, suffix);
  return { ids, pictures: [], thoughts: undefined, constraint, calls: undefined, keepSpecial: [] };
}

function withTexts({ top, ...token }: RuntimeLogprobs): TokenLogprobs {
  const withText = (of: typeof token) => ({ ...of, text: new TextDecoder().decode(Uint8Array.from(of.bytes)) });
  return { ...withText(token), top: top.map(withText) };
}

/** The only piece of a generation that was cancelled before it started. */
export function unstarted(reason: FinishReason): Piece {
  return { text: '', id: null, finish: { reason, usage: new Clock().usage() } };
}
