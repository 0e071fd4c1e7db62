/** Checks what an inspection is asked for. */

import type { InspectOptions as EngineOptions } from '../../generated/weft-types.js';
import { invalidOption } from '../common/errors.js';
import type { InspectOptions, NearestOptions, SamplingOptions, StepInspectOptions } from '../types/index.js';
import { checkNames, checkNumber, checkSignal, isRecord, U32_MAX, type FieldsOf } from './check.js';
import { checkSampling, OF_SAMPLING } from './sampling.js';

const OF_STEPS: FieldsOf<StepInspectOptions> = {
  ...{ attention: 1, hiddenStates: 1, lens: 1, next: 1, experts: 1, rotations: 1, timing: 1 },
};

const OF_INSPECTIONS: FieldsOf<InspectOptions> = { ...OF_SAMPLING, ...OF_STEPS, logprobs: 1, adapter: 1, signal: 1 };

/** Returns what the worker is told. */
export function checkInspect(options: InspectOptions): EngineOptions {
  checkNames(options, Object.keys(OF_INSPECTIONS));
  const { signal, adapter: _, ...rest } = options;
  checkSignal(signal);
  const [looks, sampling] = [{}, {}] as [StepInspectOptions, SamplingOptions];
  for (const [name, value] of Object.entries(rest))
    Object.assign(name in OF_SAMPLING ? sampling : looks, { [name]: value });
  return { ...checkLooks('', looks), sampling: checkSampling(sampling) };
}

/** The same for the steps of an answer: `inspect` of its options. */
export function checkStepInspect(options: StepInspectOptions): EngineOptions {
  if (!isRecord(options)) throw invalidOption('inspect', 'an object', options);
  checkNames(options, Object.keys(OF_STEPS));
  return checkLooks('inspect.', options);
}

/** `at`: what the names begin with in errors. */
function checkLooks(at: string, options: StepInspectOptions & { logprobs?: boolean }): EngineOptions {
  const { attention, hiddenStates, lens, next, logprobs, experts, rotations, timing } = options;
  const attends = part(`${at}attention`, attention, ['layers']);
  const looks = part(`${at}lens`, lens, ['top', 'positions', 'layers']);
  const explains = part(`${at}next`, next, ['top']);
  const layers = numbers(`${at}attention.layers`, attends?.['layers']);
  const ofLens = numbers(`${at}lens.layers`, looks?.['layers']);
  const positions = numbers(`${at}lens.positions`, looks?.['positions']);
  return {
    // an empty list means all layers to the engine, and none to the caller
    ...(attends && layers?.length !== 0 && { attention: layers ?? [] }),
    ...(looks &&
      ofLens?.length !== 0 && {
        lens: { top: count(`${at}lens.top`, looks['top'] ?? 5), layers: ofLens ?? [], ...(positions && { positions }) },
      }),
    ...(explains && { next: count(`${at}next.top`, explains['top'] ?? 20) }),
    ...flags(at, { hiddenStates, logprobs, experts, rotations, timing }),
  };
}

/** An option that is a boolean, or an object with these fields. Undefined if it is off. */
function part(name: string, value: unknown, fields: readonly string[]): Record<string, unknown> | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return {};
  if (!isRecord(value)) throw invalidOption(name, `a boolean, or an object with ${fields.join(', ')}`, value);
  checkNames(value, fields);
  return value as Record<string, unknown>;
}

function flags<Name extends string>(at: string, values: Record<Name, unknown>): Record<Name, boolean> {
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && typeof value !== 'boolean') throw invalidOption(at + name, 'a boolean', value);
  }
  const entries = Object.entries(values).map(([name, value]) => [name, value === true]);
  return Object.fromEntries(entries) as Record<Name, boolean>;
}

function numbers(name: string, values: unknown): number[] | undefined {
  if (values === undefined) return undefined;
  if (!Array.isArray(values)) throw invalidOption(name, 'an array of numbers', values);
  return Array.from(values as readonly unknown[], (value, index) => {
    checkNumber(`${name}[${index}]`, value, { min: 0, max: U32_MAX, integer: true });
    return value as number;
  });
}

function count(name: string, value: unknown): number {
  checkNumber(name, value, { min: 1, max: U32_MAX, integer: true });
  return value as number;
}

/** Returns how many tokens are asked for. */
export function checkNearest(options: NearestOptions): number {
  checkNames(options, ['top', 'signal']);
  checkSignal(options.signal);
  return count('top', options.top ?? 10);
}

/** A token's id, or a text that is one token. */
export function checkToken(token: unknown): number | string {
  if (typeof token === 'string' && token !== '') return token;
  const isId = Number.isInteger(token) && Number(token) >= 0 && Number(token) <= U32_MAX;
  if (!isId) throw invalidOption('token', 'a token id, or a text that is one token', token);
  return token as number;
}
