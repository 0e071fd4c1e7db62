/**
 * A session as bytes: `weft session` and a line feed, the length of the header (u32, little-endian), the header (JSON), zeros up to a multiple
 * of four, then the keys and values of each layer as f32, little-endian: (layers, 2, kv_heads, tokens, head_dim). They are exact, so that a
 * session goes on as it would have.
 */

import { invalidOption, serializeError, WeftError } from '../errors.js';
import type { KvCache } from '../protocol.js';
import { digest } from '../store/digest.js';
import type { ModelInfo } from '../types.js';
import { promptOf, type State } from './context.js';
import { checkSession, type Settings } from './options.js';
import type { SessionOptions } from './types.js';

const MAGIC = new TextEncoder().encode('weft session\n');
const VERSION = 1;
const FLOAT = 4;

interface Header {
  readonly version: number;
  readonly model: Pick<ModelInfo, 'name' | 'fingerprint'>;
  readonly options: SessionOptions;
  readonly ids: readonly number[];
  readonly dropped: State['dropped'];
  readonly behind: number | null;
  /** How many layers of how many tokens follow. */
  readonly layers: number;
  readonly tokens: number;
  /** Of what follows; null where the page could not compute it, not being in a secure context. */
  readonly sha256: string | null;
}

export async function encodeSession(
  { name, fingerprint }: ModelInfo,
  { overflow, keep, template: { tools, ...template }, generate }: Settings,
  { messages, ids, dropped, behind }: State,
  cache: KvCache | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const { layers, ids: cached }: KvCache = cache ?? { layers: [], ids: [] };
  const values = new Uint8Array(layers.reduce((sum, layer) => sum + layer.byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of layers) {
    values.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  const header: Header = {
    version: VERSION,
    model: { name, fingerprint },
    options: { ...generate, ...(tools ? { tools } : {}), ...template, messages, overflow, keep },
    ids,
    dropped,
    behind: behind ?? null,
    layers: layers.length,
    tokens: cached.length,
    sha256: await hashOf(values),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(valuesAt(json.length) + values.length);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, json.length, true);
  bytes.set(json, MAGIC.length + FLOAT);
  bytes.set(values, valuesAt(json.length));
  return bytes;
}

/** Errors: `INVALID_SESSION`, which says what is wrong with it. */
export async function decodeSession(
  saved: Uint8Array | ArrayBuffer,
  info: ModelInfo,
): Promise<{ settings: Settings; state: State }> {
  if (!(saved instanceof Uint8Array || saved instanceof ArrayBuffer)) {
    throw invalidOption('saved', 'the bytes that save() gave', saved);
  }
  // a copy: the session reads it later
  const { header, values } = split(new Uint8Array(saved instanceof ArrayBuffer ? saved.slice(0) : saved));
  const { version, model, layers, tokens, sha256 } = header;
  if (version !== VERSION) throw invalid(`it is of version ${version}, and this weft reads version ${VERSION}`);
  if (model.fingerprint !== info.fingerprint) {
    const named = (other: Header['model']) => `\`${other.name}\` (${other.fingerprint})`;
    throw invalid(`it is of the model ${named(model)}, and this one is ${named(info)}; restore it with that one`);
  }
  const found = await hashOf(values);
  const layerBytes = layers === 0 ? 0 : values.length / layers;
  const whole = layers === 0 ? values.length === 0 : layerBytes % (2 * tokens * FLOAT) === 0 && layerBytes > 0;
  if (!whole || (sha256 !== null && found !== null && found !== sha256)) {
    throw invalid('its keys and values are damaged; what was saved without them has none');
  }
  const { settings, state } = checked(header, info.roles);
  const ids = promptOf(state).slice(0, tokens);
  // in a shorter context they are computed again, as far as they fit
  if (layers === 0 || ids.length !== tokens || tokens >= info.contextLength) return { settings, state };
  const layer = (_: unknown, index: number) =>
    new Float32Array(values.buffer, values.byteOffset + index * layerBytes, layerBytes / FLOAT);
  return { settings, state: { ...state, cache: { ids, layers: Array.from({ length: layers }, layer) } } };
}

/** The header, and what follows it. */
function split(bytes: Uint8Array<ArrayBuffer>): { header: Header; values: Uint8Array<ArrayBuffer> } {
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) throw invalid('it does not begin like one');
  const start = MAGIC.length + FLOAT;
  const length = bytes.length < start ? Infinity : new DataView(bytes.buffer).getUint32(MAGIC.length, true);
  if (valuesAt(length) > bytes.length) throw invalid('it ends too early');
  try {
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(start, start + length))) as Header;
    if (typeof header.model.fingerprint === 'string') return { header, values: bytes.subarray(valuesAt(length)) };
  } catch {
    // said below
  }
  throw invalid('its header is damaged');
}

/** What the header says, as if the caller had said it. */
function checked(
  { options, ids, dropped, behind }: Header,
  roles: readonly string[],
): { settings: Settings; state: State } {
  try {
    const { settings, state } = checkSession(options, roles);
    const counts = [...ids, dropped.messages, dropped.tokens, behind ?? 0];
    if (counts.some((count) => !Number.isInteger(count) || count < 0)) throw new Error('a number is none');
    return { settings, state: { ...state, ids, dropped, ...(behind === null ? {} : { behind }) } };
  } catch (error) {
    throw invalid(`its header is damaged: ${serializeError(error).message}`);
  }
}

/** Where keys and values begin, behind a header of so many bytes. */
function valuesAt(header: number): number {
  return Math.ceil((MAGIC.length + FLOAT + header) / FLOAT) * FLOAT;
}

async function hashOf(values: Uint8Array<ArrayBuffer>): Promise<string | null> {
  return globalThis.crypto?.subtle ? digest(values) : null;
}

function invalid(what: string): WeftError {
  return new WeftError('INVALID_SESSION', `this is no session that can be restored: ${what}.`);
}
