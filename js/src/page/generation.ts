/** A generation as the caller sees it. */

import { Answering } from '../answers/answering.js';
import { Clock } from '../common/clock.js';
import type { WeftError } from '../common/errors.js';
import type { GenerateCall } from '../common/protocol.js';
import { anyOf } from '../common/signals.js';
import type { Piece, Usage } from '../types/index.js';
import type { Connection } from './connection.js';
import { beginDrafts } from './drafting.js';

/**
 * Starts when it is first read: an unread generation costs nothing. `drafter`: the model that
 * drafts.
 */
export function generation(
  connection: Connection,
  call: GenerateCall,
  given?: AbortSignal,
  drafter?: Connection,
): Answering<Piece> {
  return new Answering(async function* (left, started) {
    const { signal, release } = anyOf(given, left);
    try {
      yield* pieces(connection, call, signal, started, drafter);
    } finally {
      release();
    }
  });
}

/**
 * The pieces of a generation. There is no backpressure: pieces are small, and the context limits
 * their number. When the signal is aborted, it ends at once, whatever the worker still does.
 */
async function* pieces(
  connection: Connection,
  call: GenerateCall,
  signal: AbortSignal,
  started: () => void,
  drafter: Connection | undefined,
): AsyncGenerator<Piece, void, void> {
  const clock = new Clock();
  if (signal.aborted) return yield aborted(clock.usage());
  // Only the worker knows how many tokens a shift has dropped.
  const waits = call.options.shiftBehind !== undefined;
  let arrived: Piece[] = [];
  let failure: WeftError | undefined;
  let wake = () => {};

  const drafts = drafter && beginDrafts(drafter);
  const id = connection.open(drafts ? { ...call, draft: drafts.ports } : call, {
    started({ promptTokens, cachedTokens }) {
      clock.prompt(promptTokens, cachedTokens);
      started();
    },
    piece(piece) {
      if (signal.aborted && !piece.finish) return;
      if (!piece.finish) clock.token();
      arrived.push(piece);
      wake();
    },
    error(error) {
      failure = error;
      wake();
    },
  });
  const abort = () => {
    // Unread pieces are dropped, except the end, which is sent only once.
    arrived = arrived.filter((piece) => piece.finish);
    if (waits) return connection.cancel(id);
    connection.leave(id);
    if (arrived.length === 0) arrived.push(aborted(clock.usage()));
    wake();
  };
  signal.addEventListener('abort', abort);

  try {
    for (;;) {
      const piece = arrived.shift();
      if (piece) {
        if (!piece.finish) {
          yield piece;
          continue;
        }
        return yield signal.aborted ? aborted(piece.finish.usage) : piece;
      } else if (failure) {
        if (failure.code !== 'DISPOSED') throw failure;
        return yield aborted(clock.usage());
      } else {
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    signal.removeEventListener('abort', abort);
    connection.leave(id);
    drafts?.end();
  }
}

function aborted(usage: Usage): Piece {
  return { text: '', id: null, finish: { reason: 'abort', usage } };
}
