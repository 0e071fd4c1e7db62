/**
 * The settings dialog. The form in index.html defines the settings; this module reads, stores and
 * restores them.
 */

import type { Device, GenerateOptions, LoadOptions, SamplingOptions } from 'weft-llm';
import { byId } from './dom.js';

const STORE = 'weft-settings';

const dialog = byId('settings', HTMLDialogElement);
const form = byId('settings-form', HTMLFormElement);
const reloadHint = byId('reload-hint', HTMLElement);

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
const fields = [...form.querySelectorAll<Field>('input[name], textarea[name], select[name]')];

/** The last valid value of each field, which applies while the user is typing. */
const valid = new Map<Field, string>();

type LoadSettings = Pick<LoadOptions, 'device' | 'contextLength'>;
let loadedWith: string | null = null;

export function systemPrompt(): string {
  return text('systemPrompt');
}

export function loadSettings(): LoadSettings {
  const contextLength = number('contextLength');
  return { device: text('device') as Device, ...(contextLength === undefined ? {} : { contextLength }) };
}

export function generateSettings(): GenerateOptions {
  const sampling = ['temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'frequencyPenalty', 'presencePenalty'];
  const options: GenerateOptions = {};
  for (const name of [...sampling, 'seed', 'maxTokens'] as (
    Exclude<keyof SamplingOptions, 'logitBias'> | 'maxTokens'
  )[]) {
    const value = number(name);
    if (value !== undefined) options[name] = value;
  }
  const stop = text('stop')
    .split('\n')
    .filter((line) => line !== '');
  return stop.length > 0 ? { ...options, stop } : options;
}

export function setDevice(device: Device): void {
  field('device').value = device;
  changed();
}

/** Compares the settings with those of the loaded model, to offer loading it again. */
export function noteLoaded(settings: LoadSettings): void {
  loadedWith = JSON.stringify(settings);
  changed();
}

export function openSettings(): void {
  dialog.showModal();
}

/** `onReload`: called when the user wants to load the model again with the new settings. */
export function startSettings(onReload: () => void): void {
  restore();
  changed();
  form.addEventListener('input', changed);
  byId('open-settings', HTMLElement).addEventListener('click', openSettings);
  byId('reset-settings', HTMLElement).addEventListener('click', () => {
    form.reset();
    changed();
  });
  byId('reload', HTMLElement).addEventListener('click', () => {
    dialog.close();
    onReload();
  });
  // A click on the backdrop closes the dialog; only then is the dialog itself the event's target.
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  // "Done" refuses a number out of range. Escape and the backdrop do not, so the last valid value
  // is restored.
  dialog.addEventListener('close', () => {
    for (const field of fields) if (!field.checkValidity()) field.value = valid.get(field) ?? '';
    changed();
  });
}

function changed(): void {
  for (const field of fields) if (field.checkValidity()) valid.set(field, field.value);
  for (const range of fields) {
    if (range.type !== 'range') continue;
    const value = range.previousElementSibling;
    if (value) value.textContent = range.value;
  }
  reloadHint.hidden = loadedWith === null || loadedWith === JSON.stringify(loadSettings());
  const values = [...valid].map(([field, value]) => [field.name, value]);
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(values)));
  } catch {
    // Storage is full or forbidden: the settings last until the page is closed.
  }
}

function restore(): void {
  let stored: unknown;
  try {
    stored = JSON.parse(localStorage.getItem(STORE) ?? 'null');
  } catch {
    return; // forbidden or not ours: use the defaults
  }
  if (typeof stored !== 'object' || stored === null) return;
  for (const field of fields) {
    const value: unknown = Reflect.get(stored, field.name);
    if (typeof value !== 'string') continue;
    const before = field.value;
    field.value = value;
    // A select without this option becomes empty.
    if (!field.checkValidity() || (field.type === 'select-one' && field.value === '')) field.value = before;
  }
}

function field(name: string): Field {
  const found = fields.find((field) => field.name === name);
  if (!found) throw new TypeError(`index.html has no setting ${name}`);
  return found;
}

const text = (name: string) => field(name).value;

/** Undefined if the field is empty. */
function number(name: string): number | undefined {
  const value = valid.get(field(name)) ?? '';
  return value === '' ? undefined : Number(value);
}
