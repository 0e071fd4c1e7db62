/** A folder as Hugging Face's transformers save it: which of its files are read, wherever they are. */

import { invalidOption, WeftError } from '../errors.js';
import { StoredFile } from '../store/file.js';
import { AddressReader, type Surroundings } from './address.js';
import { Missing } from './http.js';
import { nameOf, type Address, type FileSource, type FolderAddress } from './source.js';

/** What is read of a folder. */
export interface Folder {
  readonly name: string;
  /** Name → text, of the small files. */
  readonly texts: ReadonlyMap<string, string>;
  /** Those of the weights, in order. */
  readonly weights: readonly (Address | Blobs)[];
  /** Bytes of the weights by the index; null without one. */
  readonly weightBytes: number | null;
}

type Blobs = Extract<FileSource, { type: 'blob' }>;

/** Finds a file of a folder by its name; undefined where there is none. An address may turn out to lead nowhere. */
interface Place {
  readonly name: string;
  find(file: string): Promise<Address | Blobs | undefined>;
}

const CONFIG = 'config.json';
const INDEX = 'model.safetensors.index.json';

/** The small files; only the first must be there. */
const TEXTS = [
  CONFIG,
  'tokenizer.json',
  'tokenizer_config.json',
  'generation_config.json',
  'chat_template.jinja',
  'chat_template.json',
  'additional_chat_templates/rag.jinja',
  'additional_chat_templates/tool_use.jinja',
  INDEX,
  '1_Pooling/config.json',
];

/** The folder that the sources are; undefined where they are model files. Errors: `NETWORK`, `INVALID_OPTION`, `INVALID_MODEL`. */
export async function readFolder(sources: readonly FileSource[], around: Surroundings): Promise<Folder | undefined> {
  const place = await placeOf(sources);
  if (!place) return undefined;
  const texts = new Map<string, string>();
  for (const name of TEXTS) {
    if (!isExpected(name, texts)) continue;
    const text = await textOf(await place.find(name), around);
    if (text !== undefined) texts.set(name, text);
    else if (name === CONFIG) {
      const expected = `a folder with ${CONFIG}, or the address of a GGUF file`;
      throw invalidOption('model', expected, `${place.name} without one`);
    }
  }
  const { names, bytes } = shardsOf(texts.get(INDEX));
  const weights: (Address | Blobs)[] = [];
  for (const name of names) {
    const file = await place.find(name);
    if (!file) throw new WeftError('INVALID_MODEL', `${place.name} has no ${name}, which holds weights of the model.`);
    weights.push(file);
  }
  return { name: place.name, texts, weights, weightBytes: bytes };
}

/** Whether a file may be there, by those that are: a request for one that never is would cost every load a round trip. */
function isExpected(name: string, texts: ReadonlyMap<string, string>): boolean {
  const hasTemplate = texts.has('chat_template.jinja');
  if (name.startsWith('additional_chat_templates/')) return hasTemplate;
  if (name !== 'chat_template.json') return true;
  return !hasTemplate && !texts.get('tokenizer_config.json')?.includes('"chat_template"');
}

/** The files of the weights by their index, in the order that the module expects, and their bytes. */
function shardsOf(index: string | undefined): { names: readonly string[]; bytes: number | null } {
  if (index === undefined) return { names: ['model.safetensors'], bytes: null };
  try {
    const { metadata, weight_map: map } = JSON.parse(index) as {
      metadata?: { total_size?: unknown };
      weight_map: Record<string, unknown>;
    };
    const bytes = metadata?.total_size;
    // what is no name, the module refuses
    const names = [...new Set(Object.values(map).filter((name) => typeof name === 'string' && !/[/\\]/.test(name)))];
    return { names: (names as string[]).sort(inBytes), bytes: typeof bytes === 'number' ? bytes : null };
  } catch (cause) {
    throw new WeftError('INVALID_MODEL', `${INDEX} is not what it should be: ${String(cause)}`, { cause });
  }
}

/** As Rust sorts strings. */
function inBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function placeOf(sources: readonly FileSource[]): Promise<Place | undefined> {
  const [first] = sources;
  if (sources.length === 1 && first?.type === 'folder') {
    return { name: first.name, find: async (file) => fileIn(first, file) };
  }
  if (sources.length === 1 && first?.type === 'handle' && first.handle.kind === 'directory') {
    const { handle } = first;
    return (await inHandle(handle, CONFIG)) && { name: handle.name, find: (file) => inHandle(handle, file) };
  }
  return placeOfBlobs(sources.filter((source) => source.type === 'blob'));
}

/** Files that the user chose one by one, or with a folder, by whose path they are told apart. */
function placeOfBlobs(blobs: readonly Blobs[]): Place | undefined {
  const paths = new Map(blobs.map((source) => [source.path ?? nameOf(source), source]));
  const configs = [...paths.keys()].filter((path) => path === CONFIG || path.endsWith(`/${CONFIG}`));
  const [config] = configs.sort((a, b) => a.split('/').length - b.split('/').length);
  if (config === undefined) return undefined;
  const root = config.slice(0, -CONFIG.length);
  return { name: root.split('/').at(-2) ?? 'model', find: async (file) => paths.get(root + file) };
}

async function inHandle(folder: FileSystemDirectoryHandle, file: string): Promise<Blobs | undefined> {
  const path = file.split('/');
  const name = path.pop()!;
  try {
    let inner = folder;
    for (const part of path) inner = await inner.getDirectoryHandle(part);
    return { type: 'blob', blob: await (await inner.getFileHandle(name)).getFile() };
  } catch (error) {
    if (error instanceof DOMException && (error.name === 'NotFoundError' || error.name === 'TypeMismatchError')) {
      return undefined;
    }
    throw error;
  }
}

/** The address of a file in a folder. */
export function fileIn({ url, headers, key, isHub }: FolderAddress, file: string): Address {
  const path = file.split('/').map(encodeURIComponent).join('/');
  return { type: 'address', url: url + path, headers, key: key.replace('*', () => file), isHub };
}

async function textOf(file: Address | Blobs | undefined, around: Surroundings): Promise<string | undefined> {
  if (!file) return undefined;
  if (file.type === 'blob') return file.blob.text();
  const reader = new AddressReader(file, null, around);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  try {
    for await (const bytes of reader.chunks()) pieces.push(new Uint8Array(bytes));
    await reader.settle();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    await noteAbsent(file, around);
  }
  // what is not there is stored as empty
  return pieces.length > 0 ? new Blob(pieces).text() : undefined;
}

/** So that it is known without a network too. A store that fails is no reason to fail here. */
async function noteAbsent({ key }: Address, { storage, store }: Surroundings): Promise<void> {
  if (!store) return;
  try {
    const found = await storage();
    if (!found) return;
    const file = await StoredFile.open(found, key);
    await file.begin({ size: 0, etag: null, lastModified: null });
  } catch {
    // it is asked for again the next time
  }
}
