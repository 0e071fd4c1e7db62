/**
 * A folder in the format of Hugging Face transformers: which of its files are read, and where from.
 */

import { invalidOption, messageOf, WeftError } from '../common/errors.js';
import { aroundPath, nameOf, type Address, type FileSource, type FolderAddress } from '../common/source.js';
import { AddressReader, type Surroundings } from './address.js';
import { formOf, mismatch } from './form.js';
import { Missing } from './http.js';
import { answeredPage } from './refusals.js';

/** The files of a folder that are read. */
export interface Folder {
  readonly name: string;
  /** Texts of the small files, by name. */
  readonly texts: ReadonlyMap<string, string>;
  /** Files of the weights, in order. */
  readonly weights: readonly (Address | Blobs)[];
  /** Bytes of all weights according to the index; null without an index. */
  readonly weightBytes: number | null;
  /** Sources of small files that the server does not have. */
  readonly absent: readonly string[];
}

type Blobs = Extract<FileSource, { type: 'blob' }>;

/** Finds a file of a folder by its name; undefined if there is none. A URL may lead nowhere. */
interface Place {
  readonly name: string;
  find(file: string): Promise<Address | Blobs | undefined>;
}

const CONFIG = 'config.json';
const INDEX = 'model.safetensors.index.json';
const POOLING = '1_Pooling/config.json';
/** Projections behind pooling, each with weights of its own. */
const DENSE = ['2_Dense', '3_Dense'];

/** What a folder of a kind has. */
export interface FolderKind {
  /** The option that names it. */
  readonly option: string;
  /** The small file without which a folder is none. */
  readonly config: string;
  /** All small files. */
  readonly texts: readonly string[];
  /** The file of the weights, where no index names others. */
  readonly weights: string;
}

const MIB = 1 << 20;

/** The small files. Only the first is required. */
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
  POOLING,
  ...DENSE.map((module) => `${module}/config.json`),
  'config_sentence_transformers.json',
];

/** A model of transformers. */
export const MODEL: FolderKind = { option: 'model', config: CONFIG, texts: TEXTS, weights: 'model.safetensors' };

const ADAPTER_CONFIG = 'adapter_config.json';

/** An adapter of PEFT. */
export const ADAPTER: FolderKind = {
  option: 'source',
  config: ADAPTER_CONFIG,
  texts: [ADAPTER_CONFIG],
  weights: 'adapter_model.safetensors',
};

/** Maximum bytes of a small file, several times those of published models. */
const LIMIT = 16 * MIB;
const LIMITS: Readonly<Record<string, number>> = {
  'tokenizer.json': 256 * MIB,
  'tokenizer_config.json': 64 * MIB,
  [INDEX]: 64 * MIB,
};

/**
 * Reads the folder that the sources stand for; undefined for model files. Errors: `NETWORK`,
 * `INVALID_OPTION`, `INVALID_MODEL`.
 */
export async function readFolder(
  sources: readonly FileSource[],
  around: Surroundings,
  kind: FolderKind = MODEL,
): Promise<Folder | undefined> {
  const place = await placeOf(sources, kind.config);
  if (!place) return undefined;
  const texts = new Map<string, string>();
  const absent: string[] = [];
  for (const name of kind.texts) {
    if (!isExpected(name, texts)) continue;
    const file = await place.find(name);
    const text = await textOf(name, file, around, kind, () => file?.type === 'address' && absent.push(file.key));
    if (text !== undefined) texts.set(name, text);
    else if (name === kind.config) {
      const expected = `a folder with ${name}, or the address of a GGUF file (of a hub: 'hf:owner/repository/file.gguf')`;
      throw invalidOption(kind.option, expected, `${place.name} without one`);
    }
  }
  const { names, bytes } = shardsOf(texts.get(INDEX), kind.weights);
  const modules = DENSE.filter((module) => texts.has(`${module}/config.json`));
  const weights: (Address | Blobs)[] = [];
  for (const name of [...names, ...modules.map((module) => `${module}/model.safetensors`)]) {
    const file = await place.find(name);
    if (!file)
      throw new WeftError(
        'INVALID_MODEL',
        `${place.name} has no ${name}, which holds weights of the model. Add the file, or use another folder.`,
      );
    weights.push(file);
  }
  return { name: place.name, texts, weights, weightBytes: bytes, absent };
}

/**
 * Whether a file can exist, given the others. Skipping those that cannot saves a round trip each.
 */
function isExpected(name: string, texts: ReadonlyMap<string, string>): boolean {
  const hasTemplate = texts.has('chat_template.jinja');
  if (DENSE.some((module) => name.startsWith(`${module}/`))) return texts.has(POOLING);
  if (name === 'config_sentence_transformers.json') return texts.has(POOLING);
  if (name.startsWith('additional_chat_templates/')) return hasTemplate;
  if (name !== 'chat_template.json') return true;
  return !hasTemplate && !texts.get('tokenizer_config.json')?.includes('"chat_template"');
}

/**
 * Reads the index: names of the weights' files, in the order that the module expects, and their
 * bytes.
 */
function shardsOf(index: string | undefined, alone: string): { names: readonly string[]; bytes: number | null } {
  if (index === undefined) return { names: [alone], bytes: null };
  try {
    const { metadata, weight_map: map } = JSON.parse(index) as {
      metadata?: { total_size?: unknown };
      weight_map: Record<string, unknown>;
    };
    const bytes = metadata?.total_size;
    // the module refuses invalid names
    const isName = (name: unknown) => typeof name === 'string' && !/^\.*$|[/\\]/.test(name);
    const names = [...new Set(Object.values(map).filter(isName))];
    return { names: (names as string[]).sort(inBytes), bytes: typeof bytes === 'number' ? bytes : null };
  } catch (cause) {
    throw new WeftError(
      'INVALID_MODEL',
      `${INDEX} cannot be read: ${messageOf(cause)}. Download the folder again, or use another.`,
      { cause },
    );
  }
}

/** Compares as Rust does: by bytes. */
function inBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function placeOf(sources: readonly FileSource[], config: string): Promise<Place | undefined> {
  const [first] = sources;
  if (sources.length === 1 && first?.type === 'folder') {
    return { name: first.name, find: async (file) => fileIn(first, file) };
  }
  if (sources.length === 1 && first?.type === 'handle' && first.handle.kind === 'directory') {
    const { handle } = first;
    return (await inHandle(handle, config)) && { name: handle.name, find: (file) => inHandle(handle, file) };
  }
  const blobs = sources.filter((source) => source.type === 'blob');
  return placeOfBlobs(blobs, config);
}

/** Files that the user chose one by one or as a folder; the path tells them apart. */
function placeOfBlobs(blobs: readonly Blobs[], file: string): Place | undefined {
  const paths = new Map(blobs.map((source) => [source.path ?? nameOf(source), source]));
  const configs = [...paths.keys()].filter((path) => path === file || path.endsWith(`/${file}`));
  const [config] = configs.sort((a, b) => a.split('/').length - b.split('/').length);
  if (config === undefined) return undefined;
  const root = config.slice(0, -file.length);
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
export function fileIn(folder: FolderAddress, file: string): Address {
  const { url, headers, isHub } = folder;
  const [start, end] = aroundPath(folder);
  const path = file.split('/').map(encodeURIComponent).join('/');
  return { type: 'address', url: url + path, headers, key: start + file + end, isHub };
}

/**
 * Reads a small file; undefined if there is none. `missing` is called if the server says so.
 * Errors: `INVALID_MODEL` if it is too large or not JSON.
 */
async function textOf(
  name: string,
  file: Address | Blobs | undefined,
  around: Surroundings,
  { config }: FolderKind,
  missing: () => void,
): Promise<string | undefined> {
  if (!file) return undefined;
  const limit = LIMITS[name] ?? LIMIT;
  if (file.type === 'blob') {
    if (file.blob.size > limit) throw tooLarge(name, limit);
    return file.blob.text();
  }
  const reader = new AddressReader(file, { form: formOf(name) }, around);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for await (const bytes of reader.chunks()) {
      length += bytes.length;
      if (length > limit || (reader.size ?? 0) > limit) throw tooLarge(name, limit);
      pieces.push(new Uint8Array(bytes));
    }
    await reader.settle();
  } catch (error) {
    if (error instanceof WeftError && error.code === 'INVALID_MODEL') await reader.forget();
    if (error instanceof Missing) missing();
    // without a network, a file that was not there before counts as missing
    else if (!reader.absent) throw error;
    return undefined;
  }
  const [first] = pieces;
  if (!first) return undefined;
  const text = await new Blob(pieces).text();
  const wrong = mismatch(formOf(name), first, length) ?? (name.endsWith('.json') ? jsonError(text) : undefined);
  if (wrong === undefined) return text;
  // the server may have a better file the next time
  await reader.forget();
  const isPage = mismatch('text', first, length) !== undefined;
  // app servers send their start page for files that they do not have
  if (isPage && name !== config) return undefined;
  throw new WeftError(
    'INVALID_MODEL',
    isPage ? answeredPage(file) : `${file.url} is not the file of a model: ${wrong}.`,
  );
}

/**
 * Checks a text for JSON. A long text is not parsed, to save memory: if it was cut off, its last
 * brace is missing.
 */
function jsonError(text: string): string | undefined {
  if (text.length > MIB) return text.trimEnd().endsWith('}') ? undefined : 'it ends too early';
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function tooLarge(name: string, limit: number): WeftError {
  return new WeftError(
    'INVALID_MODEL',
    `${name} is larger than ${limit / MIB} MiB, the limit of such a file. Is this the folder of a model?`,
  );
}
