/** Checks what the caller gave before it crosses to the worker: names the option, what it should be and what it is. */

import { invalidOption } from './errors.js';
import type { Call, FileSource, StartOptions } from './protocol.js';
import type { GenerateOptions, LoadOptions, Message, ModelSource } from './types.js';

type LoadCall = Extract<Call, { type: 'load' }>;

const DEVICES = ['auto', 'gpu', 'cpu'] as const;

export function checkLoad(options: LoadOptions): LoadCall {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', '{ model, … }', options);
  const { device = 'auto', contextLength, onProgress } = options;
  if (!DEVICES.includes(device)) throw invalidOption('device', DEVICES.map((name) => `'${name}'`).join(', '), device);
  if (contextLength !== undefined) checkNumber('contextLength', contextLength, 1, true);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidOption('onProgress', 'a function', onProgress);
  }
  checkSignal(options.signal);
  return { type: 'load', files: checkModel(options.model), device, contextLength: contextLength ?? null };
}

function checkModel(model: ModelSource): FileSource[] {
  const files = Array.isArray(model) ? (model as readonly (string | URL | Blob)[]) : [model as string | URL | Blob];
  if (files.length === 0) throw invalidOption('model', 'at least one file', 'an empty array');
  return files.map((file) => {
    if (file instanceof Blob) return file;
    if (typeof file !== 'string' && !(file instanceof URL)) {
      throw invalidOption('model', 'a URL, a File or Blob, or an array of them', file);
    }
    // The worker has another base address than the page.
    const url = URL.parse(file, globalThis.document?.baseURI);
    if (!url) throw invalidOption('model', 'an address that can be resolved', file);
    return url.href;
  });
}

/** The ranges are checked here; what only the model can know (does the prompt fit?) is checked there. */
export function checkGenerate(options: GenerateOptions): StartOptions {
  const { signal, stop, maxTokens, ...sampling } = options;
  checkSignal(signal);
  const stops = stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop;
  if (!Array.isArray(stops) || stops.some((text) => typeof text !== 'string' || text === '')) {
    throw invalidOption('stop', 'a string, or an array of strings, none empty', stop);
  }
  if (maxTokens !== undefined) checkNumber('maxTokens', maxTokens, 0, true);
  for (const [name, { min, max, integer }] of Object.entries(RANGES)) {
    const value = sampling[name as keyof typeof RANGES];
    if (value !== undefined) checkNumber(name, value, min, integer, max);
  }
  const unknown = Object.keys(sampling).find((name) => !(name in RANGES));
  if (unknown) throw invalidOption(unknown, `one of ${Object.keys(RANGES).join(', ')}, maxTokens, stop, signal`, 'it');
  const defined = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
  const entropy = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  return { ...defined, ...(maxTokens === undefined ? {} : { maxTokens }), stop: stops, entropy };
}

const RANGES = {
  temperature: { min: 0, max: Infinity, integer: false },
  topK: { min: 0, max: 2 ** 32 - 1, integer: true },
  topP: { min: 0, max: 1, integer: false },
  minP: { min: 0, max: 1, integer: false },
  repetitionPenalty: { min: Number.MIN_VALUE, max: Infinity, integer: false },
  frequencyPenalty: { min: -Infinity, max: Infinity, integer: false },
  presencePenalty: { min: -Infinity, max: Infinity, integer: false },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
} as const;

function checkNumber(name: string, value: unknown, min: number, integer: boolean, max = Number.MAX_SAFE_INTEGER): void {
  const fits = integer ? Number.isInteger(value) : Number.isFinite(value);
  if (fits && Number(value) >= min && Number(value) <= max) return;
  const kind = integer ? 'an integer' : 'a number';
  const low = min === -Infinity ? '' : min === Number.MIN_VALUE ? ' above 0' : ` of at least ${min}`;
  const high = max === 1 ? ' and at most 1' : '';
  throw invalidOption(name, kind + low + high, value);
}

export function checkMessages(messages: readonly Message[]): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidOption('messages', 'an array of { role, content }, not empty', messages);
  }
  for (const [index, message] of (messages as readonly unknown[]).entries()) {
    const { role, content } = (message ?? {}) as Partial<Message>;
    if (typeof role !== 'string') throw invalidOption(`messages[${index}].role`, 'a string', role);
    if (typeof content !== 'string') throw invalidOption(`messages[${index}].content`, 'a string', content);
  }
}

export function checkString(name: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidOption(name, 'a string', value);
}

export function checkIds(ids: readonly number[]): void {
  const bad = Array.from(ids).find((id) => !Number.isInteger(id) || id < 0 || id > 0xffff_ffff);
  if (bad !== undefined) throw invalidOption('ids', 'token ids', bad);
}

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption('signal', 'an AbortSignal', signal);
}
