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
  const checked = files.map((file): FileSource => {
    if (file instanceof Blob) {
      const path = 'webkitRelativePath' in file ? String(file.webkitRelativePath) : '';
      return { type: 'blob', blob: file, ...(path && { path }) };
    }
    if (typeof file === 'string' || file instanceof URL) return checkSource('model', file, hub, token);
    if (isHandle(file) && (file.kind === 'file' || !Array.isArray(model))) return { type: 'handle', handle: file };
    if (!(file instanceof ReadableStream)) {
      const expected = 'a URL, a File or Blob, a handle of a file or folder, a ReadableStream, or an array of files';
      throw invalidOption('model', expected, file);
    }
    if (file.locked) throw invalidOption('model', 'a stream without a reader', file);
    const { port1, port2 } = new MessageChannel();
    give(file, port1);
    return { type: 'stream', port: port2 };
  });
  const [first] = checked;
  return checked.length === 1 && first?.type === 'address' ? allParts(first) : checked;
}

/** A shared worker outlives the page, and may have to read the model again. */
export function checkShareable({ model, fetch }: LoadOptions): void {
  const remedy = 'or no `shared`, since another tab cannot use what this one holds';
  for (const file of Array.isArray(model) ? (model as readonly unknown[]) : [model]) {
    const isAddress = (typeof file === 'string' || file instanceof URL) && !/^(blob|data):/i.test(String(file));
    if (!isAddress) throw invalidOption('model', `addresses of a server, ${remedy}`, file);
  }
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
