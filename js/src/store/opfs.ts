/** Stores chunks as files in the origin private file system. */

import type { Blobs } from './blobs.js';

/** Missing in TypeScript's DOM library, because only workers have it. */
interface SyncFileHandle {
  createSyncAccessHandle?(): Promise<{
    write(bytes: Uint8Array): number;
    truncate(size: number): void;
    getSize(): number;
    close(): void;
  }>;
}

export async function opfsBlobs(): Promise<Blobs> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('weft', { create: true });

  const absent = (error: unknown): undefined => {
    if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
    throw error;
  };

  return {
    kind: 'opfs',
    async get(hash) {
      // Not by a sync access handle, which is exclusive: two tabs may read.
      const file = await folder.getFileHandle(hash).then((handle) => handle.getFile(), absent);
      return file && new Uint8Array(await file.arrayBuffer());
    },
    async put(hash, bytes) {
      const handle: FileSystemFileHandle & SyncFileHandle = await folder.getFileHandle(hash, { create: true });
      if (!handle.createSyncAccessHandle) {
        const writable = await handle.createWritable();
        await writable.write(bytes);
        return writable.close();
      }
      const access = await handle.createSyncAccessHandle();
      try {
        access.truncate(0);
        const written = access.write(bytes);
        // Without space, some browsers write less instead of throwing, and private windows of
        // Chromium return a number beyond it.
        if (written !== bytes.length) throw new DOMException(`wrote ${access.getSize()} bytes`, 'QuotaExceededError');
      } finally {
        access.close();
      }
    },
    delete: (hash) => folder.removeEntry(hash).catch(absent),
    async list() {
      const names = [];
      for await (const name of folder.keys()) names.push(name);
      return names;
    },
  };
}
