/** The page's end of the protocol: calls → messages, replies → promises and iterations. */

import { Answering } from '../answers/answering.js';
import { Clock } from '../common/clock.js';
import { WeftError, type SerializedError } from '../common/errors.js';
import type {
  Call,
  EncodeTask,
  KvCache,
  LoadedInfo,
  Port,
  Prompt,
  Reply,
  Request,
  ScoreCall,
  ScoredText,
  Started,
} from '../common/protocol.js';
import { anyOf } from '../common/signals.js';
import { createChatCompletions } from '../openai/chat.js';
import { createCompletions } from '../openai/completions.js';
import { createEmbeddings } from '../openai/embeddings.js';
import { checkAfter, checkChat, checkLabelling, checkScored } from '../options/chat.js';
import {
  checkEmbed,
  checkEncode,
  checkGenerate,
  checkIds,
  checkNames,
  checkPrompt,
  checkString,
  checkText,
  checkTexts,
  checkTokenize,
  checkTopK,
  splitSuffix,
  transfersOf,
} from '../options/options.js';
import type { SessionModel } from '../session/context.js';
import { checkSession } from '../session/options.js';
import { decodeSession } from '../session/saved.js';
import { ChatSession } from '../session/session.js';
import type {
  Chat,
  ClassifyOptions,
  Filling,
  GenerateOptions,
  LabelOptions,
  LabelScore,
  Llm,
  Piece,
  Progress,
  RankedDocument,
  Sharing,
  TokenizeOptions,
  TokenLabel,
  Usage,
} from '../types/index.js';
import { bestOf, rankLabels, scoreOf } from './prompting.js';

/** Who waits for the replies to a call. */
interface Listener {
  progress?(progress: Progress): void;
  started?(of: Started): void;
  piece?(piece: Piece): void;
  result?(value: unknown): void;
  error(error: WeftError): void;
}

/** Calls over a port. After {@link Connection.fail} every call fails with the same error, and `close` was called. */
export class Connection {
  readonly #port: Port<Request, Reply>;
  readonly #close: () => void;
  readonly #listeners = new Map<number, Listener>();
  #nextId = 0;
  #failure: WeftError | undefined;
  #heard = false;
  /** Hears what is different after the model was loaded again. */
  onReload: ((info: LoadedInfo) => void) | undefined;

  constructor(port: Port<Request, Reply>, close: () => void) {
    this.#port = port;
    this.#close = close;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  /** Whether the worker ever said anything. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Returns the call's number, for {@link Connection.cancel}. Throws what the connection failed with. */
  open(call: Call, listener: Listener): number {
    if (this.#failure) throw this.#failure;
    const id = this.#nextId++;
    this.#port.postMessage(
      { type: 'call', id, call },
      call.type === 'load' || call.type === 'estimate' ? transfersOf(call) : [],
    );
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

  /** Cancels a call whose listener wants to hear no more. */
  leave(id: number): void {
    this.cancel(id);
    this.#listeners.delete(id);
  }

  /** What comes from this port is the end of everything: a thread crashed, and the worker may be waiting for it. */
  watch(crash: MessagePort): void {
    crash.onmessage = ({ data }: MessageEvent<SerializedError>) => this.fail(new WeftError(data.code, data.message));
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
    if (reply.type === 'thread') return this.watch(reply.crash);
    if (reply.type === 'reload') return this.onReload?.(reply.info);
    if (reply.type === 'end') return this.fail(new WeftError(reply.error.code, reply.error.message));
    if (!('id' in reply)) return; // a late answer to who entered
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

export const ALONE: Sharing = { shared: false, notShared: null };

/** Makes the public object over a connection whose model is loaded. */
export function createLlm(connection: Connection, loaded: LoadedInfo, sharing: Sharing = ALONE): Llm {
  let info = { ...loaded, ...sharing };
  connection.onReload = (reloaded) => (info = { ...reloaded, ...sharing });
  const generate = (prompt: Prompt, options: GenerateOptions = {}, suffix?: string) => {
    const behind = suffix === undefined ? {} : { suffix };
    const call = { type: 'generate', prompt, ...behind, options: checkGenerate(options) } as const;
    return generation(connection, call, options.signal);
  };
  const answer: (...args: Parameters<Chat>) => ReturnType<Chat> = (messages, options = {}) => {
    const checked = checkChat(messages, options, info.roles);
    return generate(checked.conversation, checked.options);
  };
  const score = (call: ScoreCall, signal?: AbortSignal) => promised(connection, call, signal) as Promise<ScoredText[]>;
  const ofSessions: SessionModel = {
    get info() {
      return info;
    },
    prompt: (conversation, known) => connection.request({ type: 'prompt', conversation, known }) as Promise<number[]>,
    generate: (prompt, options, signal, cache) =>
      generation(connection, { type: 'generate', prompt, options, ...(cache ? { cache } : {}) }, signal),
    readCache: (ids, restored) =>
      connection.request({ type: 'readCache', ids, restored: restored ?? null }) as Promise<KvCache['layers']>,
  };
  const llm: Llm = {
    get info() {
      return info;
    },
    generate(prompt, textOptions = {}) {
      const { suffix, options } = splitSuffix(textOptions);
      return generate(checkPrompt(prompt), options, suffix);
    },
    chat: Object.assign(answer, { completions: createChatCompletions(() => llm) }),
    session(options = {}) {
      const { settings, state } = checkSession(options, info.roles);
      return new ChatSession(ofSessions, settings, state);
    },
    async restore(saved) {
      const { settings, state } = await decodeSession(saved, info);
      return new ChatSession(ofSessions, settings, state);
    },
    completions: createCompletions(() => llm),
    embeddings: createEmbeddings(() => llm),
    async embed(texts, options = {}) {
      const { truncate } = checkEncode(options, ['pooling', 'normalize']);
      const task = {
        name: 'embed',
        texts: checkTexts('texts', texts),
        options: checkEmbed(options),
        truncate,
      } as const;
      return (await encode(connection, task, options.signal)) as Float32Array[];
    },
    async rerank(query, documents, options = {}) {
      const texts = checkTexts('documents', documents);
      const task = { name: 'rerank', query: checkText('query', query), texts, ...checkEncode(options) } as const;
      return (await encode(connection, task, options.signal)) as RankedDocument[];
    },
    async classify(
      text: string,
      labels: readonly string[] | ClassifyOptions = {},
      labelOptions: LabelOptions = {},
    ): Promise<LabelScore[]> {
      if (Array.isArray(labels)) {
        const asked = checkLabelling(checkText('text', text), labels as readonly string[], labelOptions);
        return rankLabels(score, asked, info.hasChatTemplate);
      }
      const options = labels as ClassifyOptions;
      const { truncate } = checkEncode(options, ['pair']);
      const pair = options.pair === undefined ? null : checkText('pair', options.pair);
      const task = { name: 'classify', text: checkText('text', text), pair, truncate } as const;
      return (await encode(connection, task, options.signal)) as LabelScore[];
    },
    async classifyTokens(text, options = {}) {
      const task = { name: 'classifyTokens', text: checkText('text', text), ...checkEncode(options) } as const;
      return (await encode(connection, task, options.signal)) as TokenLabel[];
    },
    async fillMask(text, options = {}) {
      const { truncate } = checkEncode(options, ['topK']);
      const task = {
        name: 'fillMask',
        text: checkText('text', text),
        topK: checkTopK(options.topK),
        truncate,
      } as const;
      return (await encode(connection, task, options.signal)) as Filling[][];
    },
    async score(text, options = {}) {
      checkNames(options, ['after', 'signal']);
      const call = {
        type: 'score',
        texts: [checkScored(text)],
        after: checkAfter(options.after, info.roles),
        end: false,
      } as const;
      const [scored] = await score(call, options.signal);
      return scoreOf(scored as ScoredText);
    },
    bestOf: (n, scorer) => bestOf(() => llm, n, scorer),
    async tokenize(text, options: TokenizeOptions = {}) {
      const call: Call = { type: 'tokenize', text: checkString('text', text), ...checkTokenize(options) };
      return (await connection.request(call)) as number[];
    },
    async detokenize(ids) {
      return (await connection.request({ type: 'detokenize', ids: checkIds('ids', ids) })) as string;
    },
    dispose() {
      connection.fail(new WeftError('DISPOSED', 'the model was disposed of; load it again'));
    },
  };
  return llm;
}

/** What an encoder makes of texts. */
function encode(connection: Connection, task: EncodeTask, signal?: AbortSignal): Promise<unknown> {
  return promised(connection, { type: 'encode', task }, signal);
}

/** A call's result. Rejects with the signal's reason once that is aborted, whatever the worker still does. */
function promised(connection: Connection, call: Call, signal?: AbortSignal): Promise<unknown> {
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

type GenerateCall = Extract<Call, { type: 'generate' }>;

/** Begins when somebody wants it: a generation that nobody reads costs nothing. */
function generation(connection: Connection, call: GenerateCall, given?: AbortSignal): Answering<Piece> {
  return new Answering((left, started) => pieces(connection, call, [given, left], started));
}

/**
 * The pieces of a generation. Nothing holds the worker back when the reader is slow: pieces are
 * small and the context bounds their number. Once a signal is aborted the end comes at once,
 * whatever the worker still does.
 */
async function* pieces(
  connection: Connection,
  call: GenerateCall,
  signals: readonly (AbortSignal | undefined)[],
  started: () => void,
): AsyncGenerator<Piece, void, void> {
  const { signal, release } = anyOf(...signals);
  const clock = new Clock();
  if (signal.aborted) {
    release();
    return yield aborted(clock.usage());
  }
  // Only the worker knows what a shift of the context dropped until then.
  const waits = call.options.shiftBehind !== undefined;
  let arrived: Piece[] = [];
  let failure: WeftError | undefined;
  let wake = () => {};

  const id = connection.open(call, {
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
    // What had arrived and was not read is not wanted any more, but for the end, which comes only
    // once.
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
    release();
    connection.leave(id);
  }
}

function aborted(usage: Usage): Piece {
  return { text: '', id: null, finish: { reason: 'abort', usage } };
}
