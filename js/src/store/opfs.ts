/** Chunks as files of the origin private file system. */

import type { Blobs, Logs } from './blobs.js';

/** What TypeScript's library of pages lacks: workers alone have it. */
interface SyncFileHandle {
  createSyncAccessHandle?(): Promise<SyncAccess>;
}

interface SyncAccess {
  /** Goes on behind what was written last. */
  write(bytes: Uint8Array): number;
  truncate(size: number): void;
  getSize(): number;
  close(): void;
}

const absent = (error: unknown): undefined => {
  if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
  throw error;
};

function writeAll(access: SyncAccess, bytes: Uint8Array): void {
  const written = access.write(bytes);
  // Where there is no room some browsers write less instead of throwing, and Chromium's private windows return a number beyond it.
  if (written !== bytes.length) throw new DOMException(`wrote ${access.getSize()} bytes`, 'QuotaExceededError');
}

export async function opfsBlobs(): Promise<Blobs> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('weft', { create: true });

  return {
    kind: 'opfs',
    logs: opfsLogs(await root.getDirectoryHandle('weft-parts', { create: true })),
    async get(hash) {
      // Not by a sync access handle: that one is exclusive, and two tabs may read.
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
        writeAll(access, bytes);
      } finally {
        access.close();
      }
    },
    delete: (hash) => folder.removeEntry(hash).catch(absent),
    list: () => namesIn(folder),
  };
}

function opfsLogs(root: FileSystemDirectoryHandle): Logs {
  return {
    folders: () => namesIn(root),
    files: async (folder) => {
      const found = await root.getDirectoryHandle(folder).catch(absent);
      return found ? namesIn(found) : [];
    },
    async read(folder, file) {
      const handle = await (await root.getDirectoryHandle(folder)).getFileHandle(file);
      return new Uint8Array(await (await handle.getFile()).arrayBuffer());
    },
    async open(folder, file) {
      const within = await root.getDirectoryHandle(folder, { create: true });
      const handle: FileSystemFileHandle & SyncFileHandle = await within.getFileHandle(file, { create: true });
      const access = await handle.createSyncAccessHandle?.();
      if (!access) throw new DOMException('no file of this browser can grow', 'NotSupportedError');
      access.truncate(0);
      return { append: (bytes) => writeAll(access, bytes), close: () => access.close() };
    },
    async delete(folder, file) {
      if (file === undefined) return root.removeEntry(folder, { recursive: true }).catch(absent);
      const found = await root.getDirectoryHandle(folder).catch(absent);
      await found?.removeEntry(file).catch(absent);
    },
  };
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}
