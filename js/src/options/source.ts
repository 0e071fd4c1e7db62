/** Checks the sources of a model. */

import { invalidOption, invalidSecret } from '../common/errors.js';
import {
  HUB,
  hubAddress,
  partsOf,
  webAddress,
  webFolder,
  type Address,
  type FileSource,
  type FolderAddress,
} from '../common/source.js';
import { give } from '../download/port.js';
import type { FileLike, LoadOptions } from '../types/index.js';

export function checkModel({ model, hub, token }: LoadOptions): FileSource[] {
  const files = Array.isArray(model) ? (model as readonly FileLike[]) : [model as FileLike];
  if (files.length === 0) throw invalidOption('model', 'at least one file', model);
  const expected = 'a URL, a File or Blob, a handle of a file or folder, a ReadableStream, or an array of files';
  const kinds = Array.isArray(model) ? ['file'] : ['file', 'directory'];
  const checked = files.map((file) => checkFile('model', file, { hub, token }, { expected, kinds }));
  const [first] = checked;
  return checked.length === 1 && first?.type === 'address' ? allParts(first) : checked;
}

/** The file of a projector; null without one. */
export function checkProjector({ projector, hub, token }: LoadOptions): FileSource | null {
  if (projector === undefined) return null;
  const expected = 'a URL, a File or Blob, a handle of a file, or a ReadableStream';
  const checked = checkFile('projector', projector, { hub, token }, { expected, kinds: ['file'] });
  if (checked.type === 'folder') throw invalidOption('projector', 'the address of a file', projector);
  return checked;
}

/** `kinds`: of handles. */
function checkFile(
  option: string,
  file: FileLike,
  { hub, token }: { readonly hub: string | undefined; readonly token: string | undefined },
  { expected, kinds }: { expected: string; kinds: readonly string[] },
): FileSource {
  if (file instanceof Blob) {
    const path = 'webkitRelativePath' in file ? String(file.webkitRelativePath) : '';
    return { type: 'blob', blob: file, ...(path && { path }) };
  }
  if (typeof file === 'string' || file instanceof URL) return checkSource(option, file, hub, token);
  if (isHandle(file) && kinds.includes(file.kind)) return { type: 'handle', handle: file };
  if (!(file instanceof ReadableStream)) throw invalidOption(option, expected, file);
  if (file.locked) throw invalidOption(option, 'a stream without a reader', file);
  const { port1, port2 } = new MessageChannel();
  give(file, port1);
  return { type: 'stream', port: port2 };
}

/** A shared worker outlives the page, and may have to read the model again. */
export function checkShareable({ model, projector, fetch }: LoadOptions): void {
  const remedy = 'or no `shared`, since another tab cannot use what this one holds';
  const check = (option: string, file: unknown) => {
    const isAddress = (typeof file === 'string' || file instanceof URL) && !/^(blob|data):/i.test(String(file));
    if (!isAddress) throw invalidOption(option, `addresses of a server, ${remedy}`, file);
  };
  for (const file of Array.isArray(model) ? (model as readonly unknown[]) : [model]) check('model', file);
  if (projector !== undefined) check('projector', projector);
  if (fetch !== undefined) throw invalidOption('fetch', `none, ${remedy}`, fetch);
}

function isHandle(file: unknown): file is FileSystemFileHandle {
  const { kind } = (file ?? {}) as { kind?: unknown };
  return kind === 'file' || kind === 'directory';
}

function allParts(first: Address): Address[] {
  const urls = partsOf(first.url);
  const keys = partsOf(first.key);
  return urls.map((url, index) => ({ ...first, url, key: keys[index] ?? url }));
}

/** The URL of a file, for fetching and storing it. */
export function checkAddress(option: string, address: unknown, hub?: unknown, token?: unknown): Address {
  const found = checkSource(option, address, hub, token);
  if (found.type === 'folder') throw invalidOption(option, 'the address of a file', address);
  return found;
}

/** The URL of a file or folder. */
export function checkSource(
  option: string,
  address: unknown,
  hub: unknown = HUB,
  token?: unknown,
): Address | FolderAddress {
  if (typeof address !== 'string' && !(address instanceof URL)) throw invalidOption(option, 'a URL', address);
  // The worker has another base URL than the page.
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (typeof hub !== 'string' || !URL.canParse(hub, base)) throw invalidOption('hub', 'an address', hub);
  if (token !== undefined && (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))) {
    throw invalidSecret('token', token);
  }
  const text = String(address);
  if (text.startsWith('hf:')) {
    const found = hubAddress(text, new URL(hub, base).href, token ?? null);
    if (!found)
      throw invalidOption(
        option,
        "'hf:owner/repository/path/to/file.gguf', 'hf:owner/repository', or with @revision",
        text,
      );
    return found;
  }
  if (!URL.canParse(text, base)) throw invalidOption(option, 'an address that can be resolved', text);
  const url = new URL(text, base);
  return url.pathname.endsWith('/') && /^https?:$/.test(url.protocol) ? webFolder(url) : webAddress(url);
}
