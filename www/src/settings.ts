/** The settings: the table of them, their values, and how they become options of weft. */

import type { Device, GenerateOptions, LoadOptions } from 'weft-llm';
import type { Values } from './conversations/record.js';

export interface Setting {
  /** Its label, hint and placeholder are the message `setting-` with this name. */
  name: string;
  /** What the field starts with and is reset to. */
  value: string;
  kind: 'range' | 'number' | 'text' | 'lines' | 'choice';
  min?: number;
  max?: number;
  step?: number;
  /** Their labels are the messages `setting-`, name, `-` and option. */
  options?: readonly string[];
}

interface Group {
  /** The message of its legend is this behind `settings-`. */
  legend: 'sampling' | 'length' | 'speed' | 'loading' | null;
  settings: readonly Setting[];
}

/**
 * The defaults suit SmolLM2-135M: at a temperature of 0.8, it often answers nonsense. Names are
 * those of weft's options.
 */
export const groups: readonly Group[] = [
  {
    legend: null,
    settings: [{ name: 'systemPrompt', value: '', kind: 'text' }],
  },
  {
    legend: 'sampling',
    settings: [
      range('temperature', 0, 2, 0.05, 0),
      range('topK', 0, 200, 1, 40),
      range('topP', 0.05, 1, 0.05, 0.95),
      range('minP', 0, 1, 0.01, 0.05),
      range('repetitionPenalty', 1, 2, 0.05, 1.1),
      range('frequencyPenalty', -2, 2, 0.1, 0),
      range('presencePenalty', -2, 2, 0.1, 0),
      number('seed', 0, 4294967295),
    ],
  },
  {
    legend: 'length',
    settings: [number('maxTokens', 1, 131072), { name: 'stop', value: '', kind: 'lines' }],
  },
  {
    legend: 'speed',
    settings: [{ name: 'speculate', value: 'lookup', kind: 'choice', options: ['lookup', 'off'] }],
  },
  {
    legend: 'loading',
    settings: [
      { name: 'device', value: 'auto', kind: 'choice', options: ['auto', 'gpu', 'cpu'] },
      number('contextLength', 16, 131072),
    ],
  },
];

function range(name: string, min: number, max: number, step: number, value: number): Setting {
  return { name, kind: 'range', min, max, step, value: String(value) };
}

/** Empty: weft's own default, which the placeholder describes. */
function number(name: string, min: number, max: number): Setting {
  return { name, kind: 'number', min, max, step: 1, value: '' };
}

const STORE = 'weft-settings';
export const settings = groups.flatMap(({ settings }) => settings);
const ofPage = new Set(groups.at(-1)?.settings);
/** Those that each chat has values of its own for: all but how a model is loaded. */
export const ofChat = settings.filter((one) => !ofPage.has(one));
const values = new Map(settings.map(({ name, value }) => [name, value]));

/** The value in a chat; without one, the value for new chats. */
export function setting(name: string, chat?: Values | null): string {
  const own = chat?.[name];
  const valid = own !== undefined && ofChat.some((one) => one.name === name && isValid(one, own));
  return valid ? own : (values.get(name) ?? '');
}

/** What a new chat begins with. */
export const chatDefaults = (): Values => Object.fromEntries(ofChat.map(({ name }) => [name, setting(name)]));

/** Whether a field may have this value. */
export function isValid({ kind, min = 0, max = 0, options }: Setting, value: string): boolean {
  if (kind === 'choice') return options?.includes(value) ?? false;
  if (kind === 'text' || kind === 'lines') return true;
  if (value === '') return kind === 'number';
  const figure = Number(value);
  return figure >= min && figure <= max && (kind === 'range' || Number.isInteger(figure));
}

/** Sets what is valid, and keeps it for the next visit. */
export function change(changes: Readonly<Record<string, unknown>>): void {
  for (const one of settings) {
    const value = changes[one.name];
    if (typeof value === 'string' && isValid(one, value)) values.set(one.name, value);
  }
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(values)));
  } catch {
    // Storage is full or forbidden: the settings last until the page is closed.
  }
}

export function reset(): void {
  change(Object.fromEntries(settings.map(({ name, value }) => [name, value])));
}

function restore(): void {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORE) ?? 'null');
    if (typeof stored === 'object' && stored !== null) change(stored as Record<string, unknown>);
  } catch {
    // forbidden or not ours: use the defaults
  }
}

export const systemPrompt = (chat: Values | null) => setting('systemPrompt', chat);

export type LoadSettings = Pick<LoadOptions, 'device' | 'contextLength'>;

export function loadSettings(): LoadSettings {
  const contextLength = setting('contextLength');
  const device = setting('device') as Device;
  return contextLength === '' ? { device } : { device, contextLength: Number(contextLength) };
}

export function generateSettings(chat: Values | null = null): GenerateOptions {
  const figures = ofChat.filter(({ kind }) => kind === 'range' || kind === 'number');
  const given = figures.map(({ name }) => [name, setting(name, chat)] as const).filter(([, value]) => value !== '');
  const options: GenerateOptions = Object.fromEntries(given.map(([name, value]) => [name, Number(value)]));
  const stop = setting('stop', chat)
    .split('\n')
    .filter((line) => line !== '');
  if (stop.length > 0) options.stop = stop;
  if (setting('speculate', chat) === 'lookup') options.speculate = 'lookup';
  return options;
}

restore();
