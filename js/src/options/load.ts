/** Checks the options of `load` and `estimate`. */

import { moduleAddresses } from '../assets.js';
import { BUILDS } from '../common/builds.js';
import { invalidOption } from '../common/errors.js';
import type { EstimateCall, LoadCall } from '../common/protocol.js';
import { giveFetch } from '../download/port.js';
import type {
  BuildAddresses,
  EstimateOptions,
  KvFormat,
  LoadOptions,
  ModelSource,
  PrefixCacheOptions,
  Quantize,
  RopeScaling,
  StoreOptions,
} from '../types/index.js';
import { U32_MAX, checkNames, checkNumber, checkSignal, isRecord, type FieldsOf } from './check.js';
import { checkModel, checkProjector, checkShareable } from './source.js';

const DEVICES = ['auto', 'gpu', 'cpu'] as const;

const OF_ESTIMATES: FieldsOf<EstimateOptions> = {
  ...{ contextLength: 1, ropeScaling: 1, quantize: 1, kvCache: 1 },
  ...{ signal: 1, store: 1, fetch: 1, token: 1, hub: 1, builds: 1 },
};

const OF_LOADS: FieldsOf<LoadOptions> = {
  ...{ model: 1, projector: 1, device: 1, threads: 1, onProgress: 1, prefixCache: 1, sha256: 1, shared: 1 },
  ...OF_ESTIMATES,
};

const LOAD_OPTIONS = Object.keys(OF_LOADS);

const ESTIMATE_OPTIONS = Object.keys(OF_ESTIMATES);

const KV_FORMATS = ['f32', 'f16', 'q8', 'q4'] as const;

const SCALINGS = ['linear', 'yarn', 'dynamic'] as const;

const QUANTIZE = ['q8_0', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0', 'f16', 'bf16', 'none'] as const;

/** Each thread is a worker, whose number browsers limit. More than any machine can use. */
const MAX_THREADS = 64;

/** Returns the call for the worker. From now on, the caller's stream or `fetch` is served. */
export function checkLoad(options: LoadOptions): LoadCall {
  const isModel = typeof (options as unknown) === 'string' || options instanceof URL || options instanceof Blob;
  if (isModel) throw invalidOption('options', 'an object: load({ model })', options);
  checkNames(options, LOAD_OPTIONS);
  const { device = 'auto', contextLength, threads, onProgress, fetch } = options;
  if (!DEVICES.includes(device)) throw invalidOption('device', DEVICES.map(quoted).join(' or '), device);
  checkContext(contextLength);
  if (threads !== undefined) checkNumber('threads', threads, { min: 1, max: MAX_THREADS, integer: true });
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidOption('onProgress', 'a function', onProgress);
  }
  checkSignal(options.signal);
  const { shared = false } = options;
  if (typeof shared !== 'boolean') throw invalidOption('shared', 'a boolean', shared);
  if (shared) checkShareable(options);
  const store = checkStore(options.store);
  const sha256 = checkSha256(options.sha256);
  const quantize = checkQuantize(options.quantize);
  const kvCache = checkKvCache(options.kvCache);
  const prefixCache = checkPrefixCache(options.prefixCache, store !== null);
  checkFetch(fetch);
  const files = checkModel(options);
  const projector = checkProjector(options);
  const fetchPort = portOf(fetch);
  return {
    type: 'load',
    files,
    projector,
    device,
    contextLength: contextLength ?? null,
    ropeScaling: checkScaling(options.ropeScaling),
    threads: threads ?? null,
    sha256,
    quantize,
    kvCache,
    prefixCache,
    store,
    fetchPort,
    modules: moduleAddresses(checkBuilds(options.builds)),
  };
}

/** The same for {@link estimate}. */
export function checkEstimate(model: ModelSource, options: EstimateOptions): EstimateCall {
  checkNames(options, ESTIMATE_OPTIONS);
  const { contextLength, fetch } = options;
  checkContext(contextLength);
  checkSignal(options.signal);
  checkFetch(fetch);
  const quantize = checkQuantize(options.quantize);
  const kvCache = checkKvCache(options.kvCache);
  const store = checkStore(options.store);
  const files = checkModel({ ...options, model });
  return {
    type: 'estimate',
    files,
    contextLength: contextLength ?? null,
    ropeScaling: checkScaling(options.ropeScaling),
    quantize,
    kvCache,
    store,
    fetchPort: portOf(fetch),
    modules: moduleAddresses(checkBuilds(options.builds)),
  };
}

function checkBuilds(builds: unknown): BuildAddresses {
  if (builds === undefined) return {};
  const addresses = builds as Record<string, unknown>;
  const known = (name: string) => BUILDS.some((build) => build === name);
  const isAddress = (address: unknown) => typeof address === 'string' && URL.canParse(address);
  const isBuilds = typeof builds === 'object' && builds !== null;
  if (isBuilds && Object.entries(addresses).every(([name, address]) => known(name) && isAddress(address))) {
    return addresses;
  }
  throw invalidOption('builds', `what \`allBuilds()\` gives: absolute addresses of ${BUILDS.join(', ')}`, builds);
}

function checkContext(contextLength: unknown): void {
  if (contextLength !== undefined) checkNumber('contextLength', contextLength, { min: 1, max: U32_MAX, integer: true });
}

function checkScaling(scaling: unknown): RopeScaling | null {
  if (scaling === undefined) return null;
  const expected = "{ type: 'linear', 'yarn' or 'dynamic', factor }";
  if (!isRecord(scaling)) throw invalidOption('ropeScaling', expected, scaling);
  checkNames(scaling, ['type', 'factor']);
  const { type, factor } = scaling as RopeScaling;
  if (!SCALINGS.includes(type)) throw invalidOption('ropeScaling.type', SCALINGS.map(quoted).join(' or '), type);
  checkNumber('ropeScaling.factor', factor, { min: 1, max: 1024, integer: false });
  return { type, factor };
}

const quoted = (name: string) => `'${name}'`;

function checkQuantize(quantize: unknown): Quantize | null {
  if (quantize === undefined) return null;
  const found = QUANTIZE.find((name) => name === quantize);
  if (!found) throw invalidOption('quantize', QUANTIZE.map(quoted).join(' or '), quantize);
  return found;
}

function checkKvCache(kvCache: unknown): KvFormat | null {
  if (kvCache === undefined) return null;
  const found = KV_FORMATS.find((name) => name === kvCache);
  if (!found) throw invalidOption('kvCache', KV_FORMATS.map(quoted).join(' or '), kvCache);
  return found;
}

function checkPrefixCache(prefixCache: unknown = {}, stores: boolean): LoadCall['prefixCache'] {
  if (!isRecord(prefixCache)) throw invalidOption('prefixCache', 'an object: { maxBytes, persist }', prefixCache);
  checkNames(prefixCache, ['maxBytes', 'persist']);
  const { maxBytes, persist = false } = prefixCache as PrefixCacheOptions;
  if (typeof persist !== 'boolean') throw invalidOption('prefixCache.persist', 'a boolean', persist);
  if (persist && !stores) throw invalidOption('prefixCache.persist', 'false beside `store: false`', persist);
  if (maxBytes !== undefined) {
    checkNumber('prefixCache.maxBytes', maxBytes, { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true });
  }
  return { maxBytes: maxBytes ?? null, persist };
}

export function checkFetch(fetch: unknown): void {
  if (fetch !== undefined && typeof fetch !== 'function') throw invalidOption('fetch', 'a function', fetch);
}

/** A port to the caller's `fetch`, if there is one. */
export function portOf(fetch: LoadOptions['fetch']): MessagePort | null {
  if (!fetch) return null;
  const { port1, port2 } = new MessageChannel();
  giveFetch(fetch, port1);
  return port2;
}

/** Objects of a call that must be transferred because they cannot be copied. */
export function transfersOf({
  files,
  projector = null,
  fetchPort,
}: Pick<LoadCall, 'files' | 'fetchPort'> & Partial<Pick<LoadCall, 'projector'>>): Transferable[] {
  const all = projector ? [...files, projector] : files;
  const streams = all.flatMap((file) => (file.type === 'stream' ? [file.port] : []));
  return fetchPort ? [...streams, fetchPort] : streams;
}

export function checkStore(store: unknown): StoreOptions | null {
  if (store === false) return null;
  if (store === undefined || store === true) return checkStore({});
  if (typeof store !== 'object' || store === null)
    throw invalidOption('store', 'a boolean, or { evict, required, revalidate }', store);
  checkNames(store, ['evict', 'required', 'revalidate']);
  const { evict = 'never', required = false, revalidate = false } = store as StoreOptions;
  if (evict !== 'never' && evict !== 'least-recently-used') {
    throw invalidOption('store.evict', "'never' or 'least-recently-used'", evict);
  }
  for (const [name, value] of Object.entries({ required, revalidate })) {
    if (typeof value !== 'boolean') throw invalidOption(`store.${name}`, 'a boolean', value);
  }
  return { evict, required, revalidate };
}

function checkSha256(sha256: unknown): string[] {
  if (sha256 === undefined) return [];
  const all: unknown[] = Array.isArray(sha256) ? sha256 : [sha256];
  return all.map((hash) => {
    if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/i.test(hash))
      throw invalidOption('sha256', '64 hexadecimal digits', hash);
    return hash.toLowerCase();
  });
}
