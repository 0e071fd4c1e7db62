/** Checks adapters and the choice of them. */

import { invalidOption } from '../common/errors.js';
import type { AdapterCall, AdapterUse } from '../common/protocol.js';
import type { AdapterChoice, AdapterOptions, ModelSource } from '../types/index.js';
import { checkNames, checkNumber, checkSignal, isRecord, wellFormed, type FieldsOf } from './check.js';
import { checkFetch, checkStore, portOf } from './load.js';
import { checkModel } from './source.js';

const OF_ADAPTERS: FieldsOf<AdapterOptions> = { name: 1, store: 1, fetch: 1, token: 1, hub: 1, signal: 1 };

const SCALE = { min: -1e6, max: 1e6, integer: false } as const;

/** The adapters of a call; undefined where it names none. */
export function checkAdapter(choice: AdapterChoice | undefined): AdapterUse[] | undefined {
  if (choice === undefined) return undefined;
  if (typeof choice === 'string') return [{ name: checkAdapterName('adapter', choice), scale: 1 }];
  if (!Array.isArray(choice)) throw invalidOption('adapter', 'a name, or an array of { name, scale }', choice);
  return Array.from(choice as readonly unknown[], (one, index) => {
    const at = `adapter[${index}]`;
    if (!isRecord(one)) throw invalidOption(at, 'an object { name, scale }', one);
    checkNames(one, ['name', 'scale']);
    const { name, scale = 1 } = one as { name?: unknown; scale?: unknown };
    return { name: checkAdapterName(`${at}.name`, name), scale: checkScale(`${at}.scale`, scale) };
  });
}

/** The same as a part of a call. */
export function adaptersOf({ adapter }: { readonly adapter?: AdapterChoice | undefined }): {
  readonly adapters?: readonly AdapterUse[];
} {
  const adapters = checkAdapter(adapter);
  return adapters ? { adapters } : {};
}

export function checkAdapterName(option: string, name: unknown): string {
  if (typeof name !== 'string' || name === '') throw invalidOption(option, 'the name of an adapter', name);
  return wellFormed(name);
}

export function checkScale(option: string, scale: unknown): number {
  checkNumber(option, scale, SCALE);
  return scale as number;
}

/** The call that loads one. From now on, the caller's stream or `fetch` is served. */
export function checkAdapterLoad(source: ModelSource, options: AdapterOptions): AdapterCall {
  checkNames(options, Object.keys(OF_ADAPTERS));
  const { name, fetch, signal } = options;
  const checked = checkAdapterName('name', name);
  checkSignal(signal);
  checkFetch(fetch);
  const store = checkStore(options.store);
  const files = checkModel({ ...options, model: source });
  return { type: 'adapter', name: checked, files, store, fetchPort: portOf(fetch) };
}
