/** The worker's generation loop: events of the runtime → pieces with timings. */

import { Clock } from '../common/clock.js';
import type { GenerateCall, Prompt, Started } from '../common/protocol.js';
import { aborted } from '../common/signals.js';
import type { Finish, FinishReason, Piece, TokenLogprobs } from '../types/index.js';
import type { Constrained, Constraints } from './constraints.js';
import { prepare, type Prepared } from './conversation.js';
import { writeCache } from './kv-cache.js';
import type { Model } from './model.js';
import type { RuntimeEvent, RuntimeLlm, RuntimeLogprobs } from './runtime.js';
import { Turns } from './turns.js';

/** Who hears of a generation. */
export interface Listener {
  /**
   * The prompt and the constraint were accepted, and nothing was computed yet. Once more after a
   * lost GPU.
   */
  started(of: Started): void;
  piece(piece: Piece): void;
}

/** Runs one generation to its end, or until `signal` stops it between two steps. A lost GPU interrupts it only. */
export async function generate(
  model: Model,
  { prompt, suffix, options: { constraint, schemas, ...options }, cache }: GenerateCall,
  constraints: Constraints,
  signal: AbortSignal,
  { started, piece: emit }: Listener,
): Promise<void> {
  const clock = new Clock();
  const generated: number[] = [];
  let prepared: Prepared | undefined;
  let constrained: Constrained | undefined;
  try {
    for (;;) {
      try {
        const llm = await Promise.race([model.get(), aborted(signal)]);
        if (!llm) return emit({ text: '', id: null, finish: { reason: 'abort', usage: clock.usage() } });
        // a chat template may print the time, which goes on
        prepared ??= prepareAny(llm, prompt, suffix, constraint);
        const { ids, constraint: wanted } = prepared;
        if (wanted !== null) constrained ??= await constraints.open(llm, wanted, schemas);
        if (cache && options.restored !== undefined) await writeCache(llm, cache, options.restored);
        const keepSpecial = [...options.keepSpecial, ...prepared.keepSpecial];
        const gap = suffix === undefined ? {} : { infill: true };
        const generation = llm.start(
          ids,
          JSON.stringify({ ...options, ...gap, keepSpecial, constrained: wanted !== null }),
        );
        if (generated.length === 0) clock.prompt(ids.length, llm.cached_tokens(generation));
        llm.resume(generation, Uint32Array.from(generated));
        return await run(llm, generation, constrained, prepared, options.shiftBehind !== undefined, signal, clock, {
          started: () => started({ promptTokens: ids.length, cachedTokens: llm.cached_tokens(generation) }),
          piece(piece) {
            if (piece.id !== null) {
              generated.push(piece.id);
              model.progressed();
            }
            emit(piece);
          },
        });
      } catch (error) {
        model.failed(error);
      }
    }
  } finally {
    constrained?.free();
  }
}

function prepareAny(llm: RuntimeLlm, prompt: Prompt, suffix: string | undefined, constraint: string | null): Prepared {
  if (typeof prompt !== 'string' && 'messages' in prompt) return prepare(llm, prompt, constraint);
  const alone = suffix === undefined;
  const given = typeof prompt === 'string' ? llm.tokenize(prompt, alone, false) : Uint32Array.from(prompt);
  const ids = alone ? given : llm.infill(given, suffix);
  return { ids, thoughts: undefined, constraint, calls: undefined, keepSpecial: [] };
}

/** Takes the steps of what was started. */
async function run(
  llm: RuntimeLlm,
  generation: number,
  constrained: Constrained | undefined,
  { thoughts, calls }: Pick<Prepared, 'thoughts' | 'calls'>,
  shifts: boolean,
  signal: AbortSignal,
  clock: Clock,
  { started, piece: emit }: { started(): void; piece(piece: Piece): void },
): Promise<void> {
  const ignored = constrained?.ignored ?? [];
  const finish = (reason: FinishReason): Finish => ({
    reason,
    usage: { ...clock.usage(), ...(shifts ? { droppedTokens: llm.dropped_tokens(generation) } : {}) },
    ...(constrained ? { fits: constrained.fits } : {}),
    ...(ignored.length > 0 ? { ignored } : {}),
  });
  const turns = new Turns();
  let crashed = false;
  try {
    constrained?.begin(llm, generation, thoughts);
    started();
    for (;;) {
      await turns.next();
      if (signal.aborted) return emit({ text: '', id: null, finish: finish('abort') });
      const event = JSON.parse(await llm.next(generation)) as RuntimeEvent;
      if (event.type === 'token') {
        clock.token();
        const { text, id, logprobs } = event;
        const wasThinking = thoughts?.thinking;
        const told = thoughts ? thoughts.push(text) : { text };
        // what is constrained is the answer behind the thoughts
        if (wasThinking || thoughts?.thinking) constrained?.begin(llm, generation, thoughts);
        else constrained?.advance(llm, generation, id);
        if (calls?.isOver(told.text)) llm.finish(generation);
        emit({ ...told, id, finish: null, ...(logprobs ? { logprobs: withTexts(logprobs) } : {}) });
      } else if (event.type === 'end') {
        const told = thoughts ? thoughts.end(event.text) : { text: event.text };
        return emit({ ...told, id: null, finish: finish(event.reason) });
      }
    }
  } catch (error) {
    crashed = error instanceof WebAssembly.RuntimeError;
    throw error;
  } finally {
    turns.close();
    // A crashed module refuses further calls, and its complaint would hide the crash.
    if (!crashed) llm.stop(generation);
  }
}

function withTexts({ top, ...token }: RuntimeLogprobs): TokenLogprobs {
  const withText = (of: typeof token) => ({ ...of, text: new TextDecoder().decode(Uint8Array.from(of.bytes)) });
  return { ...withText(token), top: top.map(withText) };
}

/** A generation that was cancelled before it began. */
export function unstarted(reason: FinishReason): Piece {
  return { text: '', id: null, finish: { reason, usage: new Clock().usage() } };
}
