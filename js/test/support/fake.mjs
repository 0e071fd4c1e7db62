// A fake runtime whose steps the test decides, behind the real protocol over a MessageChannel.

import { createHash } from 'node:crypto';
import { webAddress } from '../../dist/common/source.js';
import { Connection } from '../../dist/page/connection.js';
import { createLlm } from '../../dist/page/llm.js';
import { serve } from '../../dist/worker/serve.js';
import { tuningOf } from '../../dist/worker/tuning.js';

export const INFO = {
  prompts: {},
  name: 'fake',
  basename: null,
  sizeLabel: null,
  architecture: 'llama',
  parameters: 1,
  quantization: 'F32',
  fingerprint: '0123456789abcdef',
  layers: 1,
  kvWidth: 1,
  hiddenSize: 1,
  vocabularySize: 1,
  vocabularyFingerprint: 'fedcba9876543210',
  contextLength: 8,
  trainedContextLength: 16,
  hasChatTemplate: true,
  engine: { kind: 'cpu', description: 'SIMD', notes: [] },
  memoryBytes: 7,
};

/**
 * Answers with the words of the prompt, one token each, after one event for the prompt.
 * `before(event, name)` may wait or throw before each event. `log` records the calls that change
 * something. For several generations see {@link withHandles}.
 */
export class FakeLlm {
  log = [];
  /** Words by their ids. A generation that goes on after a lost GPU begins with its own words. */
  spelled = new WeakMap();
  cached = 0;
  /** Drafted and accepted tokens. */
  drafts = [0, 0];
  info = () => INFO;
  engine_reason = () => 'asked for';
  detokenize = (ids) => String.fromCodePoint(...ids);
  /** A template with tools and without reasoning. */
  template = '{{ tools }}';
  chat_template = () => this.template;
  /** Each token is less likely than the one before. */
  score = async (ids, from, end) => {
    this.log.push(['score', ids.length, from, end, ...(this.adapters?.length ? [this.adapters] : [])]);
    const scored = Array.from(ids.slice(from), (_, i) => -(from + i));
    return Float32Array.from(end ? [...scored, -0.5] : scored);
  };
  chat_prompt = (conversation) => {
    this.conversation = JSON.parse(conversation);
    return this.tokenize(`chat ${this.conversation.messages.at(-1).content}`);
  };

  constructor(before = () => {}) {
    this.before = before;
  }

  tokenize(text, addSpecial, parseSpecial) {
    this.log.push(['tokenize', text, addSpecial, parseSpecial]);
    this.words = text.split(' ');
    const ids = Uint32Array.from(this.words.keys());
    this.spelled.set(ids, this.words);
    return ids;
  }

  start(ids, options, entropy) {
    // only what drafts has it
    if (options.ignoreEos) return this.restart(ids, options.maxTokens);
    this.entropy = entropy;
    this.words = this.spelled.get(ids) ?? this.words;
    const [name] = this.words;
    this.name = name;
    this.ids = [...ids];
    this.options = options;
    this.log.push(['start', name, ...(this.adapters?.length ? [this.adapters] : [])]);
    this.events = [
      { type: 'prompt', done: ids.length, total: ids.length },
      ...this.words.map((text, id) => ({ type: 'token', id, text })),
      { type: 'end', reason: 'stop', text: '.' },
    ];
  }

  async next() {
    this.given = undefined;
    const event = this.events.shift();
    await this.before(event, this.name);
    return event;
  }

  resume(generated) {
    this.events = this.events.filter(({ id }) => id === undefined || id >= generated.length);
  }

  reuse = (known, prompt) => prompt;

  cached_tokens() {
    return this.cached;
  }

  dropped_tokens() {
    return 0;
  }

  speculated() {
    return Uint32Array.from(this.drafts);
  }

  /** Wants two tokens before each event, until there are none. */
  wanted_draft() {
    return Uint32Array.from(this.options.speculate?.given && !this.given ? [2, ...this.ids] : []);
  }

  give_draft(ids) {
    this.log.push(['give', ...ids]);
    this.given = ids;
    if (ids.length === 0) this.options = { ...this.options, speculate: undefined };
  }

  /** Drafts the ids that follow the last one. Its events have the name `draft`. */
  restart(ids, most) {
    this.log.push(['draft', ...ids]);
    this.name = 'draft';
    this.events = [
      { type: 'prompt', done: ids.length, total: ids.length },
      ...Array.from({ length: most }, (_, i) => ({ type: 'token', id: ids.at(-1) + 1 + i, text: '' })),
      { type: 'end', reason: 'length', text: '' },
    ];
  }

  vocabulary_bytes = () => new TextEncoder().encode('abc');
  vocabulary_ends = () => Uint32Array.of(1, 2, 3);
  end_id = () => 2;
  /** Has no special tokens. */
  special_id = () => undefined;

  allow(mask) {
    this.log.push(['allow', ...mask]);
  }

  force(text) {
    this.log.push(['force', text]);
    return 0;
  }

  /** Adapters of what begins next: name and scale, one after the other. */
  use_adapters(names, scales) {
    this.adapters = names.flatMap((name, i) => [name, scales[i]]);
  }
  /** What each loaded adapter adds, by its name: another file of that name adds something else. */
  loaded = new Map();
  adapter_fingerprint(name) {
    if (this.loaded.has(name)) return this.loaded.get(name);
    throw Object.assign(new Error(`\`adapter\` must be one that was loaded before, got ${name}`), {
      code: 'INVALID_OPTION',
    });
  }
  adapters_fingerprint() {
    const one = (each, i) => (i % 2 === 0 ? (this.loaded.get(each) ?? each) : each);
    return [...(this.adapters ?? []).map(one), ...this.merged].join();
  }
  merged = [];
  begin_adapter(name, config) {
    this.adapter = { name, config, bytes: [] };
  }
  async feed_adapter(bytes) {
    this.adapter.bytes.push(...bytes);
  }
  async finish_adapter() {
    this.log.push(['adapter', this.adapter]);
    this.loaded.set(this.adapter.name, `${this.adapter.bytes}`);
  }
  unload_adapter(name) {
    this.log.push(['unload', name]);
    this.loaded.delete(name);
  }
  merge_adapter(name, scale) {
    this.log.push(['merge', name, scale]);
    this.merged = scale === 0 ? [] : [name, scale];
  }

  finish() {
    this.events = [{ type: 'end', reason: 'stop', text: '' }];
  }

  stop() {
    this.log.push(['stop', this.name]);
  }

  free() {
    this.log.push(['free']);
  }
}

/**
 * What the module gives for a fake: generations by their handles. Each is an object that inherits
 * from the fake, so that what it changes is its own; the fake has what the last one began with.
 */
function withHandles(llm) {
  const generations = new Map();
  let handles = 0;
  let busy = false;
  /** The module lends itself to one call at a time, and to none after a crash. */
  const alone = (work) => {
    if (busy) throw new Error('recursive use of an object detected');
    const result = work();
    if (!(result instanceof Promise)) return result;
    busy = true;
    const over = (error) => (busy = error instanceof WebAssembly.RuntimeError);
    result.then(over, over);
    return result;
  };
  const own = {
    start(...given) {
      const generation = Object.create(llm);
      generation.start(...given);
      Object.assign(llm, generation);
      generations.set((handles += 1), generation);
      return handles;
    },
    stop(handle) {
      const generation = generations.get(handle);
      generations.delete(handle);
      generation?.stop();
    },
  };
  for (const name of [
    ...['resume', 'next', 'allow', 'force', 'finish', 'cached_tokens', 'dropped_tokens', 'speculated'],
    ...['wanted_draft', 'give_draft', 'restart'],
  ]) {
    own[name] = (handle, ...args) => generations.get(handle)[name](...args);
  }
  return new Proxy(llm, {
    get(_, name) {
      const value = own[name] ?? llm[name];
      return typeof value === 'function' ? (...args) => alone(() => value.apply(llm, args)) : value;
    },
  });
}

/** Storage in a Map. */
export class FakeStore {
  entries = new Map();
  get = async (key) => this.entries.get(key);
  set = async (key, value) => void this.entries.set(key, value);
}

/** A load call as the page sends it. */
export const loadCall = (files, more = {}) => ({
  type: 'load',
  files: files.map((file) =>
    typeof file === 'string' ? webAddress(new URL(file)) : file instanceof Blob ? { type: 'blob', blob: file } : file,
  ),
  device: 'cpu',
  contextLength: null,
  threads: null,
  sha256: [],
  quantize: null,
  ropeScaling: null,
  kvCache: null,
  prefixCache: { maxBytes: null, persist: false },
  store: null,
  fetchPort: null,
  projector: null,
  ...more,
});

/** Node's SHA-256 instead of the module's. */
export class FakeSha256 {
  #hash = createHash('sha256');
  update = (bytes) => void this.#hash.update(bytes);
  digest = () => this.#hash.digest('hex');
}

/**
 * A runtime with a loader that records what it is fed, and before that the length of the stream if
 * it gets one.
 */
export function fakeRuntime(llm, total) {
  const fed = [];
  const { kind } = llm.info().engine;
  const runtime = {
    fed,
    build: 'fake-build',
    store: new FakeStore(),
    found: undefined,
    others: 0,
    /** Number of files that ended before the last one. */
    ended: 0,
    /** Bytes of each file that an estimate was fed. */
    estimated: [],
    estimate: {},
    note: undefined,
    memoryBytes: () => 65536,
    gpu: async () => ({ name: 'fake adapter', tuning: tuningOf(runtime.store, '1.0', 'adapter') }),
    startThreads: () => (runtime.others = 3),
    threads: () => 1 + runtime.others,
    grammars: async () => {
      throw new Error('this test has no grammars');
    },
    Sha256: FakeSha256,
    Estimator: class {
      constructor(options) {
        runtime.options = options;
        runtime.estimated = [];
      }
      feed(bytes) {
        runtime.estimated.push(bytes.length);
        return true;
      }
      end_file() {}
      finish = () => runtime.estimate;
    },
    Loader: {
      async create(options, files) {
        runtime.options = options;
        runtime.files = files;
        return {
          engine_kind: () => kind,
          tuning: () => runtime.found,
          set_stream_bytes: (bytes) => fed.push(bytes),
          feed: async (bytes) => void fed.push(bytes.slice()),
          end_file: () => (runtime.ended += 1),
          total_bytes: () => total,
          finish: async () => withHandles(llm),
        };
      },
    },
  };
  return runtime;
}

/** Connects a page to `runtime` over a channel that `t` closes. */
export function connect(t, runtime) {
  const { port1, port2 } = new MessageChannel();
  const closed = { times: 0 };
  const close = () => {
    closed.times += 1;
    port1.close();
  };
  t.after(() => port1.close());
  serve(port2, async () => runtime);
  return { connection: new Connection(port1, close), closed };
}

export async function loadFake(t, llm = new FakeLlm(), more = {}) {
  const { connection, closed } = connect(t, Object.assign(fakeRuntime(llm), more));
  const info = await connection.request(loadCall([new Blob(['x'])], { device: 'auto' }));
  return { llm: createLlm(connection, info), fake: llm, connection, closed };
}

/** Collects all pieces of a generation. */
export async function collect(pieces) {
  const all = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

export const textOf = (pieces) => pieces.map((piece) => piece.text).join(' ');

/** A promise that the test resolves. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { open, opened };
}

/** Lets sent messages arrive, several times in both directions. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
}
