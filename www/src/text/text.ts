/**
 * The texts of the page in the language of the user: messages of Fluent, by their names. English
 * comes with the page and with its views; other languages are fetched when they are chosen.
 * https://projectfluent.org
 */

import { FluentBundle, FluentResource, type FluentVariable } from '@fluent/bundle';
import errors from './en/errors.ftl?raw';
import live from './en/live.ftl?raw';
import models from './en/models.ftl?raw';
import page from './en/page.ftl?raw';

export interface Language {
  /** As in `<html lang>`; its messages are the files of the folder of this name. */
  readonly id: string;
  /** In the language itself. */
  readonly name: string;
  readonly direction: 'ltr' | 'rtl';
}

export const languages: readonly Language[] = [
  { id: 'en', name: 'English', direction: 'ltr' },
  { id: 'de', name: 'Deutsch', direction: 'ltr' },
  { id: 'ar', name: 'العربية', direction: 'rtl' },
];

/** A text that is read anew whenever it is shown, since the language may have changed. */
export type Said = () => string;

export type Arguments = Readonly<Record<string, string | number | Date>>;

const STORE = 'weft-language';
const ENGLISH = languages[0]!;
const catalogues = import.meta.glob<string>(['./*/*.ftl', '!./en/*'], { query: '?raw', import: 'default' });
const english = bundleOf(ENGLISH, [page, models, live, errors]);

let language = ENGLISH;
let chosen = english;
let wanted = '';
const listeners = new Set<() => void>();
const formats = new Map<string, Intl.NumberFormat>();

/** Adds the English messages of a view, which come with its code. */
export function addEnglish(messages: string): void {
  english.addResource(new FluentResource(messages));
}

/** A message; of one with parts, a part: `name.part`. Numbers are written as in the language. */
export function t(name: string, values?: Arguments): string {
  return optional(name, values) ?? name;
}

/** A message that not each of its kind has. */
export function optional(name: string, values?: Arguments): string | undefined {
  const [id = '', part] = name.split('.');
  for (const bundle of [chosen, english]) {
    const message = bundle.getMessage(id);
    const pattern = part === undefined ? message?.value : message?.attributes[part];
    // With a list for them, errors do not throw: a gap in a text is better than no page.
    if (pattern) return bundle.formatPattern(pattern, values as Record<string, FluentVariable>, []);
  }
  return undefined;
}

/** A message with elements in it, as children for Lit. */
export function rich(name: string, values: Readonly<Record<string, unknown>>): unknown[] {
  const elements: unknown[] = [];
  const plain = Object.entries(values).map(([key, value]) => {
    if (typeof value === 'string' || typeof value === 'number') return [key, value] as const;
    elements.push(value);
    return [key, String.fromCharCode(FIRST + elements.length - 1)] as const;
  });
  const pieces = t(name, Object.fromEntries(plain)).split(/([\uE000-\uE0FF])/);
  return pieces.map((piece, at) => (at % 2 === 1 && elements[piece.charCodeAt(0) - FIRST]) || piece);
}

/** Stands for an element in a text: for private use, so that no text has it. */
const FIRST = 0xe000;

/** A number as the language writes it. */
export function number(value: number, options: Intl.NumberFormatOptions = {}): string {
  const key = JSON.stringify(options);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(localeOf(language), options)));
  return format.format(value);
}

/** The parts of a list, with commas or words between them. */
export const list = (parts: readonly string[]): string =>
  new Intl.ListFormat(localeOf(language), { type: 'unit', style: 'short' }).format(parts);

/** The name of a language in the chosen one. */
export const languageName = (code: string) =>
  new Intl.DisplayNames(localeOf(language), { type: 'language' }).of(code) ?? code;

/** Calls back when another language is shown. Returns the end of it. */
export function onLanguage(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const currentLanguage = () => language.id;

/** Shows another language, and keeps the choice. Whether its messages came. */
export async function chooseLanguage(id: string): Promise<boolean> {
  const came = await show(id);
  try {
    // Unless another one was chosen meanwhile.
    if (came && language.id === id) localStorage.setItem(STORE, id);
  } catch {
    // Storage is full or forbidden: the choice lasts until the page is closed.
  }
  return came;
}

async function show(id: string): Promise<boolean> {
  const next = languages.find((one) => one.id === id) ?? ENGLISH;
  wanted = next.id;
  try {
    const files = Object.entries(catalogues).filter(([path]) => path.startsWith(`./${next.id}/`));
    const messages = await Promise.all(files.map(([, fetch]) => fetch()));
    if (wanted !== next.id) return true; // another one was chosen meanwhile
    chosen = next === ENGLISH ? english : bundleOf(next, messages);
  } catch {
    return false;
  }
  language = next;
  formats.clear();
  document.documentElement.lang = next.id;
  document.documentElement.dir = next.direction;
  document.title = t('title');
  for (const listener of listeners) listener();
  return true;
}

function bundleOf(one: Language, messages: readonly string[]): FluentBundle {
  // Beside a text that runs to the left, a name or figure that runs to the right must stand apart.
  const bundle = new FluentBundle(localeOf(one), { useIsolating: one.direction === 'rtl' });
  for (const text of messages) bundle.addResource(new FluentResource(text));
  return bundle;
}

/** With the region of the user. Figures are 0 to 9, as in fields, code and names of models. */
function localeOf({ id }: Language): string {
  const own = languagesOfUser().find((tag) => tag.split('-')[0] === id);
  return new Intl.Locale(own ?? id, { numberingSystem: 'latn' }).toString();
}

function languagesOfUser(): readonly string[] {
  return 'navigator' in globalThis ? (navigator.languages ?? []) : [];
}

/** What was chosen here before, else the first language of the user that the page has. */
function first(): string {
  const has = (id: string | undefined) => languages.some((one) => one.id === id);
  try {
    const stored = localStorage.getItem(STORE);
    if (stored !== null && has(stored)) return stored;
  } catch {
    // Storage is forbidden.
  }
  return (
    languagesOfUser()
      .map((tag) => tag.split('-')[0])
      .find(has) ?? ENGLISH.id
  );
}

/** So long a first visit shows nothing while its language is on the way; then it is English. */
const PATIENCE_MS = 2000;

/** When the first texts can be shown. */
export const ready: Promise<unknown> =
  'document' in globalThis
    ? Promise.race([show(first()), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))])
    : Promise.resolve();
