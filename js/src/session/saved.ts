/**
 * A session as bytes:
 *
 * - `weft session 3` and a line feed;
 * - length of the header (u32, little-endian);
 * - SHA-256 of all that follows, or zeros outside of secure contexts, where pages cannot compute
 *   it;
 * - header (JSON), then zeros up to a multiple of four;
 * - keys and values of each layer, f32, little-endian: (layers, 2, kv_heads, tokens, head_dim).
 *
 * The values are exact, so that a restored session continues as the saved one would have.
 */

import { invalidOption, serializeError, WeftError } from '../common/errors.js';
import type { KvCache } from '../common/protocol.js';
import { checkAdapter } from '../options/adapters.js';
import { checkNumber } from '../options/check.js';
import type { AdapterChoice, ModelInfo } from '../types/index.js';
import type { SessionOptions } from '../types/session.js';
import { promptOf, type SessionModel, type State } from './context.js';
import { checkSession, type Settings } from './options.js';

const MAGIC = new TextEncoder().encode('weft session 3\n');
/** Start of all versions. */
const NAME = 'weft session';
const FLOAT = 4;
const HASH = 32;
const START = MAGIC.length + FLOAT + HASH;

interface Header {
  readonly model: Pick<ModelInfo, 'name' | 'fingerprint'>;
  /** Those that the options name, and what identifies each by what it adds. */
  readonly adapters: readonly { readonly name: string; readonly fingerprint: string }[];
  /** Of the keys and values: see {@link KvCache}. */
  readonly computedWith: string;
  readonly options: SessionOptions;
  readonly ids: readonly number[];
  readonly dropped: State['dropped'];
  readonly behind: number | null;
  /** Layers and tokens of the keys and values that follow. */
  readonly layers: number;
  readonly tokens: number;
}

export async function encodeSession(
  model: SessionModel,
  { overflow, keep, template: { tools, ...template }, generate }: Settings,
  { messages, ids, dropped, behind }: State,
  cache: KvCache | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const { name, fingerprint } = model.info;
  const { layers, ids: cached, adapters: computedWith }: KvCache = cache ?? { layers: [], ids: [], adapters: '' };
  const { speculate, ...others } = generate;
  // a loaded model is of this page
  const kept = typeof speculate === 'string' ? generate : others;
  const header: Header = {
    model: { name, fingerprint },
    adapters: await adaptersNow(model, generate.adapter),
    computedWith,
    options: {
      ...kept,
      ...(tools ? { tools } : {}),
      ...template,
      messages,
      overflow,
      ...(overflow === 'sinks' ? {} : { keep }),
    },
    ids,
    dropped,
    behind: behind ?? null,
    layers: layers.length,
    tokens: cached.length,
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  let at = valuesAt(json.length);
  const bytes = new Uint8Array(at + layers.reduce((sum, layer) => sum + layer.byteLength, 0));
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, json.length, true);
  bytes.set(json, START);
  for (const { buffer, byteOffset, byteLength } of layers) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  bytes.set((await hashOf(bytes)) ?? [], START - HASH);
  return bytes;
}

/** Errors: `INVALID_SESSION`, with the reason. */
export async function decodeSession(
  saved: Uint8Array | ArrayBuffer,
  current: SessionModel,
): Promise<{ settings: Settings; state: State }> {
  if (!(saved instanceof Uint8Array || saved instanceof ArrayBuffer)) {
    throw invalidOption('saved', 'the bytes that save() returned', saved);
  }
  // copied, because the session reads it later
  const { header, values } = await split(new Uint8Array(saved instanceof ArrayBuffer ? saved.slice(0) : saved));
  const { model, computedWith: adapters } = header;
  const { info } = current;
  if (model.fingerprint !== info.fingerprint) {
    const named = (other: Header['model']) => `\`${other.name}\` (${other.fingerprint})`;
    throw invalid(`it is of the model ${named(model)}, and this one is ${named(info)}; restore it with that one`);
  }
  const { settings, state } = checked(header, info);
  await checkAdapters(header.adapters, current, settings.generate.adapter);
  const { layers, tokens } = header;
  const perLayer = tokens * info.kvWidth;
  if (values.length !== layers * perLayer * FLOAT) {
    throw invalid(`its keys and values have ${values.length} bytes, and should have ${layers * perLayer * FLOAT}`);
  }
  const all = new Float32Array(values.buffer, values.byteOffset, values.length / FLOAT);
  if (!all.every(Number.isFinite)) throw invalid('not all of its keys and values are numbers');
  // in a shorter context they are computed again, as far as they fit
  if (layers === 0 || tokens >= info.contextLength) return { settings, state };
  const layer = (_: unknown, index: number) => all.subarray(index * perLayer, (index + 1) * perLayer);
  const ids = promptOf(state).slice(0, tokens);
  const cache = { ids, adapters, layers: Array.from({ length: layers }, layer) };
  const [restored = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { settings, state: { ...state, cache, restored } };
}

/** The adapters of a choice, as they are loaded now. */
async function adaptersNow(model: SessionModel, choice: AdapterChoice | undefined): Promise<Header['adapters']> {
  const names = (checkAdapter(choice) ?? []).map(({ name }) => name);
  if (names.length === 0) return [];
  const fingerprints = await model.fingerprints(names);
  return names.map((name, at) => ({ name, fingerprint: fingerprints[at] ?? '' }));
}

/** Errors: `INVALID_SESSION` unless the adapters of these names are those that were saved. */
async function checkAdapters(
  saved: Header['adapters'],
  model: SessionModel,
  choice: AdapterChoice | undefined,
): Promise<void> {
  const known = new Map(saved.map(({ name, fingerprint }) => [name, fingerprint]));
  const loaded = await adaptersNow(model, choice).catch((error: unknown) => {
    const { code, message } = serializeError(error);
    if (code !== 'INVALID_OPTION') throw error;
    const names = [...known.keys()].map((name) => `\`${name}\``).join(', ');
    throw invalid(`it answers with the adapters ${names}: load them with \`llm.adapters.load\` first (${message})`);
  });
  for (const { name, fingerprint } of loaded) {
    const before = known.get(name) ?? 'none';
    if (fingerprint === before) continue;
    const which = `${before}, and the one of this name that is loaded is ${fingerprint}`;
    throw invalid(`its adapter \`${name}\` is ${which}; load that one under this name, or begin another session`);
  }
}

/** Splits the bytes into the header and what follows. */
async function split(bytes: Uint8Array<ArrayBuffer>): Promise<{ header: Header; values: Uint8Array<ArrayBuffer> }> {
  const begins = (name: Uint8Array) => name.every((byte, index) => bytes[index] === byte);
  if (!begins(MAGIC)) {
    const other = begins(new TextEncoder().encode(NAME));
    throw invalid(other ? 'another version of weft saved it' : 'it does not begin like one');
  }
  const length = bytes.length < START ? Infinity : new DataView(bytes.buffer).getUint32(MAGIC.length, true);
  if (valuesAt(length) > bytes.length) throw invalid('it ends too early');
  const told = bytes.subarray(START - HASH, START);
  const found = told.some((byte) => byte !== 0) ? await hashOf(bytes) : null;
  if (found?.some((byte, index) => byte !== told[index])) throw invalid('it is damaged: its SHA-256 is another');
  try {
    const json = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(START, START + length));
    const header = JSON.parse(json) as Header;
    const { name, fingerprint } = header.model;
    const { adapters, computedWith } = header;
    const named = adapters.every((one) => typeof one.name === 'string' && typeof one.fingerprint === 'string');
    if (typeof name === 'string' && typeof fingerprint === 'string' && named && typeof computedWith === 'string') {
      return { header, values: bytes.subarray(valuesAt(length)) };
    }
  } catch {
    // reported below
  }
  throw invalid('its header is damaged');
}

/**
 * Checks the header like options of a caller, and that its numbers agree with each other and the
 * model.
 */
function checked(header: Header, info: ModelInfo): { settings: Settings; state: State } {
  const { options, ids, dropped, behind, layers, tokens } = header;
  const count = (name: string, value: unknown, most: number, least = 0) =>
    checkNumber(name, value, { min: least, max: most, integer: true });
  try {
    const { settings, state } = checkSession(options, info);
    if (!Array.isArray(ids)) throw invalidOption('ids', 'an array of token ids', ids);
    for (const id of ids as unknown[]) count('ids', id, info.vocabularySize - 1);
    count('dropped.messages', dropped.messages, state.messages.length - settings.keep);
    if (behind !== null) count('behind', behind, Number.MAX_SAFE_INTEGER);
    count('dropped.tokens', dropped.tokens, behind === null ? 0 : Math.max(0, ids.length - behind));
    const told = { ...state, ids, dropped: { messages: dropped.messages, tokens: dropped.tokens } };
    const restored: State = behind === null ? told : { ...told, behind };
    count('layers', layers, info.layers);
    count('tokens', tokens, layers === 0 ? 0 : promptOf(restored).length, layers === 0 ? 0 : 1);
    if (layers !== 0) count('layers', layers, info.layers, info.layers);
    return { settings, state: restored };
  } catch (error) {
    throw invalid(`its header is damaged: ${serializeError(error).message}`);
  }
}

/** Offset of the keys and values after a header of this length. */
function valuesAt(header: number): number {
  return Math.ceil((START + header) / FLOAT) * FLOAT;
}

/** Hash of what follows the hash itself. */
async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null> {
  if (!globalThis.crypto?.subtle) return null;
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.subarray(START)));
}

function invalid(what: string): WeftError {
  return new WeftError('INVALID_SESSION', `this is not a session that can be restored: ${what}.`);
}
