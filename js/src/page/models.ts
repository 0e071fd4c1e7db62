/** Lets the page list, delete, export and import stored models. */

import { invalidOption, WeftError } from '../common/errors.js';
import { aroundPath } from '../common/source.js';
import { browserDownloads, type Downloads } from '../download/browser.js';
import { formOf, mismatch } from '../download/form.js';
import { checkAddress, checkSource } from '../options/source.js';
import { answered } from '../store/answer.js';
import { answering } from '../store/answering.js';
import { digest } from '../store/digest.js';
import { dropping, StoredFile, type Storage } from '../store/file.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import { isPrompt } from '../store/prefixes.js';
import { explain, makeRoom } from '../store/room.js';
import { sweep } from '../store/sweep.js';
import type { Models, StoredModel } from '../types/index.js';

/** The models that are stored in this browser. */
export const models: Models = storedModels(browserDownloads);

export function storedModels({ storage: open, locks, answerMs }: Downloads): Models {
  async function opened(): Promise<Storage | undefined> {
    const found = await answered(open(), 'the store', answerMs);
    return found && answering(found, answerMs);
  }

  async function storage(): Promise<Storage> {
    const found = await opened();
    if (!found)
      throw new WeftError(
        'NOT_SUPPORTED',
        'this browser stores nothing for this page: see its settings, or leave the private window',
      );
    return found;
  }

  return {
    async list() {
      const found = await opened();
      const all = (await found?.manifests.all()) ?? [];
      const files = await Promise.all(all.map(([source]) => StoredFile.open(found!, source)));
      return files.flatMap((file) => describe(file) ?? []);
    },

    async delete(source, { hub } = {}) {
      const given = checkSource('source', source, hub);
      const found = await storage();
      const all = (await found.manifests.all()).map(([stored]) => stored);
      let own = [given.key];
      if (isPrompt(String(source))) {
        own = [String(source)];
      } else if (given.type === 'folder') {
        const [start, end] = aroundPath(given);
        own = all.filter((stored) => stored.startsWith(start) && stored.endsWith(end));
      }
      own.push(...all.filter((stored) => isPrompt(stored, given.key)));
      let deleted = false;
      for (const stored of own) {
        const gone = await dropping(found, () => found.manifests.delete(stored));
        deleted ||= gone.deleted;
      }
      if (deleted) await sweep(found);
      return deleted;
    },

    async usage() {
      const found = await opened();
      const stored = (await found?.manifests.storedBytes()) ?? 0;
      // Older versions of Node have no `navigator`.
      const { storage } = globalThis.navigator ?? {};
      const ask = async () => [(await storage?.estimate?.()) ?? {}, (await storage?.persisted?.()) ?? false] as const;
      const [{ usage = null, quota = null }, persisted] = await answered(ask(), 'the quota', answerMs);
      return { stored, used: usage, quota, persisted };
    },

    persist: async () => (await globalThis.navigator?.storage?.persist?.()) ?? false,

    async export(source, { hub } = {}) {
      const { key } = checkAddress('source', source, hub);
      const found = await StoredFile.open(await storage(), key);
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

    async import(given, { as, hub, onProgress }) {
      if (onProgress !== undefined && typeof onProgress !== 'function') {
        throw invalidOption('onProgress', 'a function', onProgress);
      }
      const { key } = checkAddress('as', as, hub);
      const found = await storage();
      const file = await StoredFile.open(found, key);
      const release = await locks?.hold(key);
      try {
        await file.beginImport();
        try {
          const stream = given instanceof Blob ? given.stream() : given;
          if (given instanceof Blob) await makeRoom(found, key, given.size, 'never', new Set([key]));
          await file.finishImport(await fill(file, stream, onProgress));
        } catch (error) {
          await file.abandonImport().catch(() => undefined);
          throw await explain(found, key, error);
        }
        return describe(file)!;
      } finally {
        release?.();
      }
    },
  };
}

/**
 * Stores a stream and returns its length in bytes. Errors: `INVALID_FILE` if it does not start like
 * a model file.
 */
async function fill(
  file: StoredFile,
  stream: ReadableStream<Uint8Array>,
  onProgress?: (storedBytes: number) => void,
): Promise<number> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let filled = 0;
  let index = 0;
  const flush = async () => {
    const bytes = chunk.slice(0, filled);
    const wrong = index === 0 ? mismatch(formOf(file.source), bytes, null) : undefined;
    if (wrong !== undefined) throw new WeftError('INVALID_FILE', `${file.source} cannot be imported: ${wrong}.`);
    await file.put(index, bytes, await digest(bytes));
    onProgress?.(index * CHUNK_BYTES + filled);
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
  if (filled > 0 || size === 0) await flush();
  return size;
}

function describe(file: StoredFile): StoredModel | undefined {
  const { source, manifest, storedBytes, complete } = file;
  if (!manifest || manifest.absent) return undefined;
  return {
    source,
    size: manifest.size,
    storedBytes,
    complete,
    lastUsed: new Date(manifest.lastUsed),
    sha256: manifest.sha256,
    ...(manifest.prefix && { promptTokens: manifest.prefix.ids.length }),
  };
}

function notStored(source: string): WeftError {
  return new WeftError('NOT_STORED', `${source} is not stored completely: load it to download the rest`);
}
