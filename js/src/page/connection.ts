/**
 * The page's end of the protocol: sends calls as messages, and turns replies into promises and
 * iterations.
 */

import { WeftError } from '../common/errors.js';
import type { Call, LoadedInfo, Port, Reply, Request, Started } from '../common/protocol.js';
import type { ThreadsAsked } from '../common/threads.js';
import { transfersOf } from '../options/load.js';
import type { Piece, Progress } from '../types/index.js';

/** Receives the replies to a call. */
interface Listener {
  progress?(progress: Progress): void;
  started?(of: Started): void;
  piece?(piece: Piece): void;
  result?(value: unknown): void;
  error(error: WeftError): void;
}

/**
 * Calls over a port. After {@link Connection.fail}, which calls `close`, every call fails with the
 * same error.
 */
export class Connection {
  readonly #port: Port<Request, Reply>;
  readonly #close: () => void;
  readonly #listeners = new Map<number, Listener>();
  #nextId = 0;
  #failure: WeftError | undefined;
  #heard = false;
  /** Called when the model was loaded again. */
  onReload: ((info: LoadedInfo) => void) | undefined;
  /** Called when the worker asks for threads. */
  onThreads: ((asked: ThreadsAsked) => void) | undefined;

  constructor(port: Port<Request, Reply>, close: () => void) {
    this.#port = port;
    this.#close = close;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  /** Whether the worker has ever replied. */
  get heard(): boolean {
    return this.#heard;
  }

  /**
   * Starts a call and returns its id for {@link Connection.cancel}. Throws the error that the
   * connection failed with.
   */
  open(call: Call, listener: Listener): number {
    if (this.#failure) throw this.#failure;
    const id = this.#nextId++;
    this.#port.postMessage({ type: 'call', id, call }, transferred(call));
    this.#listeners.set(id, listener);
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

  /** Cancels a call and drops its listener. */
  leave(id: number): void {
    this.cancel(id);
    this.#listeners.delete(id);
  }

  fail(error: WeftError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#close();
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.error(error);
  }

  #receive(reply: Reply): void {
    this.#heard = true;
    if (this.#failure) return; // sent before the worker ended
    if (reply.type === 'threads') return this.onThreads?.(reply.asked);
    if (reply.type === 'reload') return this.onReload?.(reply.info);
    if (reply.type === 'end') return this.fail(new WeftError(reply.error.code, reply.error.message));
    if (!('id' in reply)) return; // a late answer to entering
    const listener = this.#listeners.get(reply.id);
    if (!listener) return;
    switch (reply.type) {
      case 'progress':
        return listener.progress?.(reply.progress);
      case 'started':
        return listener.started?.(reply.of);
      case 'piece':
        if (reply.piece.finish) this.#listeners.delete(reply.id);
        return listener.piece?.(reply.piece);
      case 'result':
        this.#listeners.delete(reply.id);
        return listener.result?.(reply.value);
      case 'error':
        this.#listeners.delete(reply.id);
        return listener.error(new WeftError(reply.error.code, reply.error.message));
    }
  }
}

/** Objects of a call that must be transferred because they cannot be copied. */
function transferred(call: Call): Transferable[] {
  if ('fetchPort' in call) return transfersOf(call);
  if (call.type === 'draft') return [call.asks];
  return call.type === 'generate' && call.draft ? [call.draft.asks, call.draft.over] : [];
}

/**
 * Returns the result of a call. Rejects with the signal's reason as soon as it is aborted, whatever
 * the worker still does.
 */
export function promised(connection: Connection, call: Call, signal?: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const done = () => signal?.removeEventListener('abort', abort);
    const id = connection.open(call, {
      result(value) {
        done();
        resolve(value);
      },
      error(error) {
        done();
        reject(error);
      },
    });
    const abort = () => {
      done();
      connection.cancel(id);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort);
  });
}
