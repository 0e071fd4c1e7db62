// A fake runtime with a KV cache, whose tokens are words. `told` records the prompts; the test
// chooses the answers.

import { collect, FakeLlm, INFO, loadFake } from './fake.mjs';

const LAYERS = 2;
const WIDTHS = { kvWidth: 2, vocabularySize: 1000 };

/**
 * Renders `<role word word >` for a message and `<assistant` for the start of an answer. `answers`:
 * its answers in order, then `yes`; an undefined one never ends. `before(event)` may wait or throw
 * before each event.
 */
export class Talker extends FakeLlm {
  words = [];
  /** Prompts as text. */
  told = [];
  /** Tokens of each prompt that were in the KV cache. */
  reused = [];
  /** The KV cache, shared by all generations. */
  cache = { kv: [], owner: undefined };
  dropped = 0;

  constructor({ context = 100, answers = [], before, name = 'talker', fingerprint = INFO.fingerprint } = {}) {
    super(before);
    this.context = context;
    this.answers = answers;
    this.info = () => ({ ...INFO, name, fingerprint, contextLength: context, layers: LAYERS, ...WIDTHS });
  }

  get kv() {
    return this.cache.kv;
  }

  set kv(ids) {
    this.cache.kv = ids;
  }

  id(word) {
    if (!this.words.includes(word)) this.words.push(word);
    return this.words.indexOf(word);
  }

  ids = (text) =>
    text
      .split(' ')
      .filter(Boolean)
      .map((word) => this.id(word));
  text = (ids) => Array.from(ids, (id) => this.words[id]).join(' ');

  tokenize = (text) => Uint32Array.from(this.ids(text));

  chat_prompt = (conversation) => {
    const { messages, complete, prefix } = JSON.parse(conversation);
    this.refuses?.(messages);
    const told = messages.map(({ role, content }) => `<${role} ${content} >`);
    return this.tokenize([...told, complete ? '' : `<assistant ${prefix ?? ''}`].join(' '));
  };

  start(ids, options) {
    this.options = options;
    if (ids.length >= this.context) throw Object.assign(new Error('too long'), { code: 'CONTEXT_OVERFLOW' });
    this.told.push(this.text(ids));
    if (this.cache.owner !== undefined && this.cache.owner !== this.options.restored) this.kv = [];
    if (this.kv.length === 0) this.cache.owner = undefined;
    const differs = this.kv.findIndex((id, index) => id !== ids[index]);
    this.cached = Math.min(differs < 0 ? this.kv.length : differs, ids.length - 1);
    this.reused.push(this.cached);
    this.sequence = [...ids];
    this.generated = 0;
    this.dropped = 0;
    if (!this.options.prefill) this.saying = this.answers.length > 0 ? this.answers.shift() : 'yes';
  }

  async next() {
    const event = this.event();
    await this.before(event);
    return event;
  }

  event() {
    const { prefill, shiftBehind, maxTokens = Infinity } = this.options;
    this.kv = [...this.sequence];
    const end = (reason) => ({ type: 'end', reason, text: '' });
    if (prefill || this.generated >= maxTokens) return end('length');
    if (this.sequence.length >= this.context) {
      if (shiftBehind === undefined) return end('length');
      const drop = Math.ceil((this.sequence.length - shiftBehind) / 2);
      this.sequence.splice(shiftBehind, drop);
      this.dropped += drop;
    }
    const words = this.saying === undefined ? [`w${this.generated}`] : this.saying.split(' ').slice(this.generated);
    const [word] = words.filter(Boolean);
    if (word === undefined) return end('stop');
    const text = this.generated === 0 ? word : ` ${word}`;
    this.generated += 1;
    this.sequence.push(this.id(word));
    return { type: 'token', id: this.id(word), text };
  }

  resume(generated) {
    this.sequence.push(...generated);
    this.generated += generated.length;
  }

  dropped_tokens() {
    return this.dropped;
  }

  async read_kv(ids, layer) {
    const isCached = ids.every((id, at) => id === this.kv[at]);
    if (!isCached) throw Object.assign(new Error('not cached'), { code: 'INVALID_OPTION' });
    return Float32Array.from({ length: 2 * ids.length }, (_, at) => layer + this.kv[at % ids.length] / 1000);
  }

  restore(ids, owner) {
    this.restoring = { ids: [...ids], owner };
    this.kv = [];
    return -1;
  }

  async write_kv(_restoring, layer, values) {
    this.log.push(['write_kv', layer, this.restoring.ids.length, values.length]);
  }

  restored() {
    const { ids, owner } = this.restoring;
    this.kv = ids;
    this.cache.owner = owner;
  }

  free() {
    super.free();
    this.kv = [];
  }
}

/** A session on this fake. */
export async function begin(t, fake, options) {
  const { llm } = await loadFake(t, fake);
  return { llm, session: llm.session(options), fake };
}

/** The whole answer to a turn. */
export async function say(session, turn, options) {
  const pieces = await collect(session.send(turn, options));
  return { text: pieces.map(({ text }) => text).join(''), ...pieces.at(-1).finish };
}
