/**
 * A loaded model with a server for what it cannot do. Nothing leaves the device unless the caller
 * allows it.
 */

import { Answering } from '../answers/answering.js';
import { invalidOption, WeftError, type ErrorCode } from '../common/errors.js';
import { beginning, leaving } from '../common/signals.js';
import { checkNames } from '../options/check.js';
import { estimate, load } from '../page/load.js';
import type { Generation, Llm, LoadOptions } from '../types/index.js';
import type { RequestOptions } from '../types/openai.js';
import { mapped, remote as connect } from './remote.js';
import type { AnyPiece, Cause, HybridLlm, HybridOptions, RanOn, RemoteLlm, RemoteOptions } from './types.js';

/** Errors of loading that are caused by the device. */
const UNFIT: readonly ErrorCode[] = [
  ...(['OUT_OF_MEMORY', 'GPU_UNAVAILABLE', 'NOT_SUPPORTED', 'UNSUPPORTED_MODEL'] as const),
  ...(['UNSUPPORTED_TENSOR_TYPE', 'UNSUPPORTED_TOKENIZER', 'QUOTA_EXCEEDED'] as const),
];

/** Errors that another model would not avoid: of the call, or of the caller. */
const OF_THE_CALL: readonly ErrorCode[] = [
  ...(['INVALID_OPTION', 'TOKENIZE', 'CHAT_TEMPLATE', 'INVALID_CONSTRAINT', 'UNSUPPORTED_TASK', 'DISPOSED'] as const),
  ...(['NOT_STORED', 'INTEGRITY'] as const),
];

/**
 * Loads a model, or uses a server if the device is not sufficient and `when` allows it. A model
 * that does not fit according to its estimate is not loaded. Rejects as {@link load} and {@link
 * connect} do.
 */
export async function hybrid(options: HybridOptions): Promise<HybridLlm> {
  checkNames(options, ['local', 'remote', 'when']);
  const { local, remote, when } = options;
  const allows = permission(when);
  const permit = async (error: unknown, loading: boolean): Promise<string> => {
    const cause = causeOf(error, loading);
    if (!cause || !(await allows(cause, error as WeftError))) throw error;
    return `${cause}: ${(error as WeftError).message}`;
  };
  let llm: Llm | null = null;
  let reason: string | null = null;
  if (isModel<LoadOptions, Llm>(local)) llm = local;
  else {
    try {
      await checkFit(local);
      llm = await load(local);
    } catch (error) {
      reason = await permit(error, true);
    }
  }
  let server = isModel<RemoteOptions, RemoteLlm>(remote) ? remote : null;
  const connected = async () => (server ??= await connect(remote as RemoteOptions));
  if (!llm) await connected();
  const places = { local: llm, reason, server: () => server, connect: connected };
  return new Router({ ...places, permit: (error) => permit(error, false) }).llm();
}

function permission(when: HybridOptions['when']): (cause: Cause, error: WeftError) => boolean | Promise<boolean> {
  if (typeof when === 'function') return when;
  const causes: readonly unknown[] = ['unfit', 'too-long', 'failed'];
  if (Array.isArray(when) && when.every((cause) => causes.includes(cause))) return (cause) => when.includes(cause);
  throw invalidOption('when', `a function, or an array of ${causes.join(', ')}`, when);
}

function isModel<Options, Model extends { chat: unknown }>(given: Options | Model): given is Model {
  return typeof (given as Partial<Model> | null)?.chat === 'function';
}

/** Checks the estimate. A stream can be read only once, so it has none. */
async function checkFit(options: LoadOptions): Promise<void> {
  const { model, device = 'auto', signal, store, fetch, token, hub } = options;
  const { contextLength, ropeScaling, quantize, kvCache } = options;
  if ((Array.isArray(model) ? model : [model]).some((file) => file instanceof ReadableStream)) return;
  const given = { contextLength, ropeScaling, quantize, kvCache, signal, store, fetch, token, hub };
  const about = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { cpu, gpu } = await estimate(model, about);
  const fits = { cpu: cpu.fits, gpu: gpu?.fits ?? false, auto: cpu.fits || (gpu?.fits ?? false) }[device];
  if (fits) return;
  if (device === 'gpu' && !gpu)
    throw new WeftError('GPU_UNAVAILABLE', "there is no GPU, and `device: 'gpu'` requires one");
  throw new WeftError('OUT_OF_MEMORY', (device === 'gpu' ? gpu?.reason : cpu.reason) ?? 'it does not fit');
}

function causeOf(error: unknown, loading: boolean): Cause | null {
  if (!(error instanceof WeftError) || OF_THE_CALL.includes(error.code)) return null;
  if (error.code === 'CONTEXT_OVERFLOW') return 'too-long';
  return loading && UNFIT.includes(error.code) ? 'unfit' : 'failed';
}

type Create = (request: { readonly stream?: boolean | null }, options?: RequestOptions) => Promise<object>;

interface Places {
  readonly local: Llm | null;
  /** Why there is no local model. */
  readonly reason: string | null;
  readonly server: () => RemoteLlm | null;
  readonly connect: () => Promise<RemoteLlm>;
  /**
   * Returns the reason to use the server after an error; throws the error if that is not allowed.
   */
  readonly permit: (error: unknown) => Promise<string>;
}

class Router {
  readonly #places: Places;

  constructor(places: Places) {
    this.#places = places;
  }

  llm(): HybridLlm {
    const { local, reason, server } = this.#places;
    const info = () => {
      const about = local?.info ?? server()?.info;
      const { name = '', contextLength = null } = about ?? {};
      return {
        name,
        contextLength,
        tasks: ['generate', 'chat'] as const,
        local: local?.info ?? null,
        remote: server()?.info ?? null,
        reason,
      };
    };
    const chat: (...args: Parameters<Llm['chat']>) => Generation<AnyPiece> = (...args) =>
      this.#pieces((llm) => llm.chat(...args));
    const creates = (of: (llm: Llm | RemoteLlm) => { create: unknown }): { create: Create } => ({
      create: (request, options) => this.#create((llm) => (of(llm).create as Create)(request, options), request),
    });
    return {
      get info() {
        return info();
      },
      generate: (...args) => this.#pieces((llm) => llm.generate(...args)),
      chat: Object.assign(chat, {
        completions: creates((llm) => llm.chat.completions),
      }) as unknown as HybridLlm['chat'],
      completions: creates((llm) => llm.completions) as unknown as HybridLlm['completions'],
      dispose() {
        local?.dispose();
        server()?.dispose();
      },
    };
  }

  #here(): RanOn {
    return { where: 'local', model: this.#places.local?.info.name ?? '', reason: null };
  }

  #there(model: string, reason: string | null): RanOn {
    return { where: 'remote', model, reason };
  }

  /** Invalid arguments throw at once, as with a loaded model. */
  #pieces(ask: (llm: Llm | RemoteLlm) => Generation<AnyPiece>): Generation<AnyPiece> {
    const place = (piece: AnyPiece, ranOn: RanOn) =>
      piece.finish ? { ...piece, finish: { ...piece.finish, ranOn } } : piece;
    // at least one of the two exists
    const first = (this.#places.local ?? this.#places.server()) as Llm | RemoteLlm;
    const answer = ask(first);
    return new Answering((left, started) => {
      const begin = (answer: Generation<AnyPiece>) => {
        answer.started.then(started, () => undefined); // the iteration fails too
        return leaving(answer, left);
      };
      return this.#route(
        () => begin(answer),
        (llm) => begin(llm === first ? answer : ask(llm)),
        () => true,
        place,
      );
    });
  }

  async #create(ask: (llm: Llm | RemoteLlm) => Promise<object>, request: { readonly stream?: boolean | null }) {
    const place = (answer: object, ran_on: RanOn) => ({ ...answer, ran_on });
    if (request?.stream) {
      const chunks = (llm: Llm | RemoteLlm) => lazily(() => ask(llm) as Promise<AsyncIterable<object>>);
      // the first chunk holds only the role, and comes before the model does anything
      return beginning(this.#route(() => chunks(this.#places.local as Llm), chunks, saysSomething, place));
    }
    let reason = this.#places.reason;
    if (this.#places.local) {
      try {
        return place(await ask(this.#places.local), this.#here());
      } catch (error) {
        reason = await this.#places.permit(error);
      }
    }
    const llm = await this.#places.connect();
    return place(await ask(llm).catch((error: unknown) => fail(error, reason)), this.#there(llm.info.name, reason));
  }

  /**
   * An answer that has given something continues where it started, or fails: it cannot be taken
   * back.
   */
  async *#route<T>(
    here: () => AsyncIterable<T>,
    there: (llm: RemoteLlm) => AsyncIterable<T>,
    begins: (item: T) => boolean,
    place: (item: T, ranOn: RanOn) => T,
  ): AsyncGenerator<T, void, void> {
    let reason = this.#places.reason;
    if (this.#places.local) {
      const held: T[] = [];
      let begun = false;
      try {
        for await (const item of here()) {
          held.push(place(item, this.#here()));
          if (!(begun ||= begins(item))) continue;
          yield* held.splice(0);
        }
        return yield* held;
      } catch (error) {
        if (begun) throw error;
        reason = await this.#places.permit(error);
      }
    }
    const llm = await this.#places.connect();
    const ranOn = this.#there(llm.info.name, reason);
    try {
      yield* mapped(there(llm), (item) => place(item, ranOn));
    } catch (error) {
      fail(error, reason);
    }
  }
}

/** The server was used because something else had failed: the error names both. */
function fail(error: unknown, reason: string | null): never {
  if (!(error instanceof WeftError) || reason === null) throw error;
  throw new WeftError(error.code, `${error.message} (the server was used because of ${reason})`, { cause: error });
}

async function* lazily<T>(open: () => Promise<AsyncIterable<T>>): AsyncGenerator<T> {
  yield* await open();
}

function saysSomething(chunk: object): boolean {
  const { choices = [] } = chunk as {
    choices?: readonly { text?: string; delta?: Record<string, unknown>; finish_reason?: unknown }[];
  };
  return choices.some(
    ({ text, delta = {}, finish_reason: end }) =>
      Boolean(text) || Boolean(end) || Object.entries(delta).some(([name, value]) => name !== 'role' && Boolean(value)),
  );
}
