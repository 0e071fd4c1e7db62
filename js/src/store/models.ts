/** The models that the browser keeps, for the page: to list them, to delete them, to take them elsewhere. */

import { browserDownloads, type Downloads } from '../downloads.js';
import { WeftError } from '../errors.js';
import { checkAddress, checkSource } from '../options.js';
import type { Models, StoredModel } from '../types.js';
import { digest } from './digest.js';
import { StoredFile, type Storage } from './file.js';
import { CHUNK_BYTES } from './manifest.js';
import { makeRoom } from './room.js';
import { sweep } from './sweep.js';

/** Of this browser. */
export const models: Models = storedModels(browserDownloads);

export function storedModels({ storage: open, locks }: Downloads): Models {
  async function storage(): Promise<Storage> {
    const found = await open();
    if (!found)
      throw new WeftError(
        'NOT_SUPPORTED',
        'this browser stores nothing for this page: see its settings, or leave the private window',
      );
    return found;
  }

  const file = async (source: unknown, option = 'source'): Promise<StoredFile> => {
    const { key } = checkAddress(option, source);
    return StoredFile.open(await storage(), key);
  };

  return {
    async list() {
      const found = await open();
      const all = (await found?.manifests.all()) ?? [];
      const files = await Promise.all(all.map(([source]) => StoredFile.open(found!, source)));
      return files.flatMap((file) => describe(file) ?? []);
    },

    async delete(source) {
      const { type, key } = checkSource('source', source);
      const found = await storage();
      // that of a folder is any of its files
      const [start = '', end = ''] = key.split('*');
      const all = (await found.manifests.all()).map(([stored]) => stored);
      const own = type === 'folder' ? all.filter((stored) => stored.startsWith(start) && stored.endsWith(end)) : [key];
      const files = await Promise.all(own.map((stored) => StoredFile.open(found, stored)));
      const there = files.filter(({ manifest }) => manifest);
      for (const each of there) await each.remove();
      if (there.length > 0) await sweep(found);
      return there.length > 0;
    },

    async usage() {
      const found = await open();
      const stored = (await found?.manifests.storedBytes()) ?? 0;
      // Node has no such object in its older versions.
      const { storage } = globalThis.navigator ?? {};
      const { usage = null, quota = null } = (await storage?.estimate?.()) ?? {};
      return { stored, used: usage, quota, persisted: (await storage?.persisted?.()) ?? false };
    },

    persist: async () => (await globalThis.navigator?.storage?.persist?.()) ?? false,

    async export(source) {
      const found = await file(source);
      const size = found.manifest?.size;
      if (size === undefined || size === null || !found.complete) throw notStored(found.source);
      let index = 0;
      return new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (index * CHUNK_BYTES >= size) return controller.close();
          const bytes = await found.read(index);
          if (!(bytes instanceof Uint8Array)) throw notStored(found.source);
          controller.enqueue(bytes);
          index += 1;
        },
      });
    },

    async import(given, { as }) {
      const found = await file(as, 'as');
      const release = await locks?.hold(found.source);
      try {
        const stream = given instanceof Blob ? given.stream() : given;
        const size = given instanceof Blob ? given.size : null;
        await found.begin({ size, etag: null, lastModified: null });
        await makeRoom(await storage(), found.source, size ?? 0, 'never');
        await fill(found, stream);
        return describe(found)!;
      } catch (error) {
        await found.remove();
        throw error;
      } finally {
        release?.();
      }
    },
  };
}

async function fill(file: StoredFile, stream: ReadableStream<Uint8Array>): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let filled = 0;
  let index = 0;
  const flush = async () => {
    const bytes = chunk.slice(0, filled);
    await file.put(index, bytes, await digest(bytes));
    index += 1;
    filled = 0;
  };
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      for (let used = 0; used < next.value.length;) {
        const part = next.value.subarray(used, used + CHUNK_BYTES - filled);
        chunk.set(part, filled);
        filled += part.length;
        used += part.length;
        if (filled === CHUNK_BYTES) await flush();
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  const size = index * CHUNK_BYTES + filled;
  if (filled > 0) await flush();
  await file.note({ size });
}

function describe(file: StoredFile): StoredModel | undefined {
  const { source, manifest, storedBytes, complete } = file;
  // an empty one says that a folder has no such file
  if (!manifest || manifest.size === 0) return undefined;
  return {
    source,
    size: manifest.size,
    storedBytes,
    complete,
    lastUsed: new Date(manifest.lastUsed),
    sha256: manifest.sha256,
  };
}

function notStored(source: string): WeftError {
  return new WeftError('NOT_STORED', `${source} is not stored as a whole: load it, which fetches what is missing`);
}
