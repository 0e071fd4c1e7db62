/** The page's end of the protocol: calls → messages, replies → promises and iterations. */

import { WeftError } from './errors.js';
import { checkGenerate, checkIds, checkMessages, checkString } from './options.js';
import type { Call, Port, Reply, Request } from './protocol.js';
import type { GenerateOptions, Llm, Message, ModelInfo, Piece, Progress, TokenizeOptions } from './types.js';

/** Who waits for the replies to a call. */
interface Listener {
  progress?(progress: Progress): void;
  piece?(piece: Piece): void;
  result?(value: unknown): void;
  error(error: WeftError): void;
}

/** Calls over a port. After {@link Connection.fail} every call fails with the same error. */
export class Connection {
  readonly #port: Port<Request, Reply>;
  readonly #listeners = new Map<number, Listener>();
  #nextId = 0;
  #failure: WeftError | undefined;

  constructor(port: Port<Request, Reply>) {
    this.#port = port;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  /** Returns the call's number, for {@link Connection.cancel}. */
  open(call: Call, listener: Listener): number {
    const id = this.#nextId++;
    if (this.#failure) {
      listener.error(this.#failure);
      return id;
    }
    this.#listeners.set(id, listener);
    this.#port.postMessage({ type: 'call', id, call });
    return id;
  }

  request(call: Call, progress?: (progress: Progress) => void): Promise<unknown> {
    return new Promise((result, error) => {
      this.open(call, { result, error, ...(progress ? { progress } : {}) });
    });
  }

  cancel(id: number): void {
    if (this.#listeners.has(id)) this.#port.postMessage({ type: 'cancel', id });
  }

  fail(error: WeftError): void {
    this.#failure ??= error;
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.error(this.#failure);
  }

  #receive(reply: Reply): void {
    const listener = this.#listeners.get(reply.id);
    if (!listener) return;
    switch (reply.type) {
      case 'progress':
        return listener.progress?.(reply.progress);
      case 'piece':
        if (reply.piece.finish) this.#listeners.delete(reply.id);
        return listener.piece?.(reply.piece);
      case 'result':
        this.#listeners.delete(reply.id);
        return listener.result?.(reply.value);
      case 'error': {
        this.#listeners.delete(reply.id);
        const error = new WeftError(reply.error.code, reply.error.message);
        listener.error(error);
        // The module is in no state to go on after these.
        if (error.code === 'CRASHED' || error.code === 'DEVICE_LOST') this.fail(error);
      }
    }
  }
}

/** Makes the public object over a connection whose model is loaded. `close` ends the worker. */
export function createLlm(connection: Connection, info: ModelInfo, close: () => void): Llm {
  const generate = (prompt: string | readonly Message[], options: GenerateOptions = {}) => {
    const call: Call = { type: 'generate', prompt, options: checkGenerate(options) };
    return pieces(connection, call, options.signal);
  };
  return {
    info,
    generate(prompt, options) {
      checkString('prompt', prompt);
      return generate(prompt, options);
    },
    chat(messages, options) {
      checkMessages(messages);
      return generate(messages, options);
    },
    async tokenize(text, { addSpecial = true, parseSpecial = false }: TokenizeOptions = {}) {
      checkString('text', text);
      return (await connection.request({ type: 'tokenize', text, addSpecial, parseSpecial })) as number[];
    },
    async detokenize(ids) {
      checkIds(ids);
      return (await connection.request({ type: 'detokenize', ids: Array.from(ids) })) as string;
    },
    dispose() {
      close();
      connection.fail(new WeftError('DISPOSED', 'the model was disposed of; load it again'));
    },
  };
}

/**
 * The pieces of a generation, which begins when the iteration does. Nothing holds the worker back when the reader is
 * slow: pieces are small and the context bounds their number.
 */
async function* pieces(connection: Connection, call: Call, signal?: AbortSignal): AsyncGenerator<Piece, void, void> {
  const arrived: Piece[] = [];
  let failure: WeftError | undefined;
  let wake = () => {};
  let over = false;

  const id = connection.open(call, {
    piece(piece) {
      // What was under way when the caller said stop is not wanted any more.
      if (!signal?.aborted || piece.finish) arrived.push(piece);
      wake();
    },
    error(error) {
      failure = error;
      wake();
    },
  });
  const abort = () => {
    arrived.length = 0;
    connection.cancel(id);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort);

  try {
    for (;;) {
      const piece = arrived.shift();
      if (piece) {
        over = piece.finish !== null;
        yield piece;
        if (over) return;
      } else if (failure) {
        over = true;
        if (failure.code !== 'DISPOSED') throw failure;
        yield disposed;
        return;
      } else {
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    // The reader left the loop.
    if (!over) connection.cancel(id);
  }
}

/** The end of a generation whose model was disposed of. */
const disposed: Piece = {
  text: '',
  id: null,
  finish: {
    reason: 'abort',
    usage: {
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
      timeToFirstTokenMs: 0,
      promptTokensPerSecond: 0,
      tokensPerSecond: 0,
    },
  },
};
