/**
 * The worker's end of the protocol. Takes the calls of one page or of several and runs them at
 * once, one step of each in turn. It does not depend on wasm or on workers: tests run it over a
 * MessageChannel with a fake runtime.
 */

import { serializeError, WeftError, type SerializedError } from '../common/errors.js';
import type { Call, LoadCall, Port, Reply, Request } from '../common/protocol.js';
import { browserDownloads, type Downloads } from '../download/browser.js';
import type { Progress } from '../types/index.js';
import { readAdapter } from './adapters.js';
import { Constraints } from './constraints.js';
import { prepare } from './conversation.js';
import { draft } from './drafting.js';
import { encode } from './encoding.js';
import { estimate } from './estimate.js';
import { generate, unstarted, type Listener } from './generation.js';
import { inspect, nearestTokens, transfersOf } from './inspecting.js';
import { load } from './load.js';
import { Model } from './model.js';
import { FairQueue } from './queue.js';
import { Prefixes } from './prefixes.js';
import { readCache, remember } from './read-cache.js';
import type { RuntimeLlm, Start } from './runtime.js';
import { score } from './scoring.js';
import { once, run } from './steps.js';
import { Turns, type Turn } from './turns.js';

/** The page at the other end of a port. */
interface Client {
  readonly port: Port<Reply, Request>;
  /** Cancels a call, by its number. */
  readonly cancels: Map<number, () => void>;
  /** Receives the progress of the load that the client waits for. */
  onProgress: ((progress: Progress) => void) | undefined;
}

/**
 * Generations that run at once. More would not be faster, and each needs memory for its context.
 */
const MOST_GENERATIONS = 8;

/**
 * Generations of one client that run at once, so that a client with many leaves places for others.
 */
const MOST_OF_ONE_CLIENT = 4;

/**
 * Scores that run at once, and of one client. Between their steps, more would drop each other's
 * prefixes from the KV cache, which keeps two full contexts, and compute them again and again.
 */
const MOST_SCORES = 2;
const SCORES_OF_ONE_CLIENT = 1;

/** The same for inspections, which hold large results. */
const MOST_INSPECTIONS = 2;
const INSPECTIONS_OF_ONE_CLIENT = 1;

/** Has what the worker does of its own accord. */
const NOBODY: Client = {
  port: { postMessage: () => undefined, onmessage: null },
  cancels: new Map(),
  onProgress: undefined,
};

/** A model and its clients. */
export class Service {
  readonly #start: Start;
  readonly #downloads: Downloads;
  readonly #onUnused: () => void;
  readonly #clients = new Set<Client>();
  readonly #turns = new Turns<Client>(() => this.#check());
  /** Limits the generations that run at once; the others wait. */
  readonly #places = new FairQueue<Client>(MOST_GENERATIONS, MOST_OF_ONE_CLIENT);
  readonly #scores = new FairQueue<Client>(MOST_SCORES, SCORES_OF_ONE_CLIENT);
  readonly #inspections = new FairQueue<Client>(MOST_INSPECTIONS, INSPECTIONS_OF_ONE_CLIENT);
  readonly #constraints: Constraints;
  /** One wasm module, even if the model is loaded several times. */
  #runtime: ReturnType<Start> | undefined;
  #model: Promise<Model> | undefined;
  /** Where prompts are stored; undefined where none is. */
  #prefixes: Prefixes | undefined;
  #progress: Progress | undefined;
  #end: WeftError | undefined;

  /** `onUnused`: called when the last client has gone. */
  constructor(start: Start, downloads: Downloads, onUnused: () => void) {
    this.#start = (...wanted) => (this.#runtime ??= start(...wanted));
    // Constraints are used only after loading, so the runtime has started.
    this.#constraints = new Constraints(async () => (await this.#runtime!).grammars());
    this.#downloads = downloads;
    this.#onUnused = onUnused;
  }

  /** Whether the model has ended; nothing runs any more. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Whether the model is in use. */
  get used(): boolean {
    return !this.ended && this.#clients.size > 0;
  }

  /** Takes calls from a port. Returns a function that removes the client and cancels its calls. */
  connect(port: Port<Reply, Request>): () => void {
    const client: Client = { port, cancels: new Map(), onProgress: undefined };
    this.#clients.add(client);
    port.onmessage = ({ data }) => {
      if (data.type === 'call') this.#take(client, data.id, data.call);
      else client.cancels.get(data.id)?.();
    };
    return () => this.#drop(client);
  }

  /** Tells every client that the model has ended. They then disconnect. */
  end(error: SerializedError): void {
    if (this.#end) return;
    this.#end = new WeftError(error.code, error.message);
    this.#tellAll({ type: 'end', error });
  }

  #drop(client: Client): void {
    if (!this.#clients.delete(client)) return;
    // a call that is still on its way would run for nobody
    client.port.onmessage = null;
    for (const cancel of client.cancels.values()) cancel();
    if (this.#clients.size === 0) this.#onUnused();
  }

  #tellAll(reply: Reply): void {
    for (const { port } of this.#clients) port.postMessage(reply);
  }

  #check(): void {
    if (this.#end) throw this.#end;
  }

  #take(client: Client, id: number, call: Call): void {
    const controller = new AbortController();
    const turn = this.#turns.of(client);
    const work = async () => {
      try {
        this.#check();
        await this.#run(client, id, call, controller.signal, turn);
      } catch (error) {
        const serialized = serializeError(error);
        // The module cannot be used after these errors.
        if (serialized.code === 'CRASHED' || serialized.code === 'DEVICE_LOST') this.end(serialized);
        client.port.postMessage({ type: 'error', id, error: serialized });
      } finally {
        turn.end();
        client.cancels.delete(id);
      }
    };
    client.cancels.set(id, () => {
      // A call that waits for its place ends at once.
      if (!leave()) return controller.abort();
      client.cancels.delete(id);
      client.port.postMessage({ type: 'piece', id, piece: unstarted('abort') });
    });
    const leave = this.#placesFor(call)?.add(client, work) ?? (void work(), () => false);
  }

  /** Where a call waits before it begins; undefined if it does not. */
  #placesFor(call: Call | undefined): FairQueue<Client> | undefined {
    switch (call?.type) {
      case 'generate':
      case 'readCache':
      case 'remember':
        return this.#places;
      case 'score':
        return this.#scores;
      case 'inspect':
      case 'nearest':
        return this.#inspections;
      default:
        return undefined;
    }
  }

  async #run(client: Client, id: number, call: Call, signal: AbortSignal, turn: Turn): Promise<void> {
    const { port } = client;
    if (call.type === 'load') {
      client.onProgress = (progress) => port.postMessage({ type: 'progress', id, progress });
      if (this.#progress) client.onProgress(this.#progress);
      const model = await (this.#model ??= this.#open(call));
      client.onProgress = undefined;
      return port.postMessage({ type: 'result', id, value: await model.info() });
    }
    if (call.type === 'estimate') {
      const value = await estimate(this.#start, this.#downloads, call);
      return port.postMessage({ type: 'result', id, value });
    }
    const model = await this.#model;
    this.#check();
    if (!model) throw new WeftError('INTERNAL', 'a call came before the model was loaded');
    const reply = (value: Extract<Reply, { type: 'result' }>['value'] | undefined, transfer?: Transferable[]) =>
      value === undefined
        ? port.postMessage({ type: 'piece', id, piece: unstarted('abort') })
        : port.postMessage({ type: 'result', id, value }, transfer);
    switch (call.type) {
      case 'generate': {
        const listener: Listener = {
          started: (of) => port.postMessage({ type: 'started', id, of }),
          piece: (piece) => port.postMessage({ type: 'piece', id, piece }),
        };
        return generate(model, call, this.#constraints, turn, signal, listener, this.#prefixes);
      }
      case 'draft':
        await draft(model, call, turn, signal);
        return reply(null);
      case 'prompt': {
        const known = Uint32Array.from(call.known);
        const work = (llm: RuntimeLlm) => Array.from(llm.reuse(known, prepare(llm, call.conversation).ids));
        return reply(await once(model, turn, signal, work));
      }
      case 'readCache': {
        const value = await readCache(model, call, this.#constraints, turn, signal);
        return reply(
          value,
          value?.layers.map(({ buffer }) => buffer as ArrayBuffer),
        );
      }
      case 'remember':
        return reply(await remember(model, call, this.#prefixes, this.#constraints, turn, signal));
      case 'encode':
        return reply(await encode(model, call, turn, signal));
      case 'score':
        return reply(await score(model, call, turn, signal));
      case 'inspect': {
        const value = await inspect(model, call, turn, signal);
        return reply(value, value && transfersOf(value));
      }
      case 'nearest':
        return reply(await nearestTokens(model, call, turn, signal));
      case 'adapter': {
        const held = await readAdapter(call, this.#downloads, async () => new (await this.#runtime!).Sha256());
        const step = (llm: RuntimeLlm) => model.adapters.add(llm, call.name, held).then(() => true);
        return reply((await run(model, turn, signal, step)) ? null : undefined);
      }
      case 'unloadAdapter':
        return reply(await once(model, turn, signal, (llm) => (model.adapters.remove(llm, call.name), null)));
      case 'adapterFingerprints': {
        const work = (llm: RuntimeLlm) => call.names.map((name) => llm.adapter_fingerprint(name));
        return reply(await once(model, turn, signal, work));
      }
      case 'mergeAdapter': {
        const { name, scale } = call;
        return reply(await once(model, turn, signal, (llm) => (model.adapters.merge(llm, name, scale), null)));
      }
      case 'tokenize': {
        const { text, addSpecial, parseSpecial } = call;
        const work = (llm: RuntimeLlm) => Array.from(llm.tokenize(text, addSpecial, parseSpecial));
        return reply(await once(model, turn, signal, work));
      }
      case 'detokenize': {
        const ids = Uint32Array.from(call.ids);
        return reply(await once(model, turn, signal, (llm) => llm.detokenize(ids)));
      }
      default:
        throw new WeftError('INTERNAL', 'the worker does not know such a call');
    }
  }

  /** A failed load ends the service: its memory is freed with the worker. */
  async #open(call: LoadCall): Promise<Model> {
    const tell = (progress: Progress) => {
      this.#progress = progress;
      for (const { onProgress } of this.#clients) onProgress?.(progress);
    };
    if (call.prefixCache.persist) this.#prefixes = new Prefixes(this.#downloads, call, this.#turns.of(NOBODY));
    const model = new Model(
      (device) => load(this.#start, this.#downloads, { ...call, device }, tell),
      call.device,
      (info) => this.#tellAll({ type: 'reload', info }),
    );
    try {
      await model.info();
      return model;
    } catch (error) {
      this.end(serializeError(error));
      throw error;
    }
  }
}

/** Serves one page, which ends the worker itself. */
export function serve(port: Port<Reply, Request>, start: Start, downloads: Downloads = browserDownloads): void {
  new Service(start, downloads, () => {}).connect(port);
}
