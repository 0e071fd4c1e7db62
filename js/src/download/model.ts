/** Reads all files of a model as one stream. */

import { invalidOption, messageOf, WeftError } from '../common/errors.js';
import { nameOf, partsOf, type Address, type FileSource } from '../common/source.js';
import { answered } from '../store/answer.js';
import { answering } from '../store/answering.js';
import type { StoredFile } from '../store/file.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import type { DownloadInfo } from '../types/index.js';
import { AddressReader, type Surroundings } from './address.js';
import { MODEL, readFolder, type Folder, type FolderKind } from './folder.js';
import { compareHash } from './hash.js';
import { readPieces } from './memory.js';
import { receive } from './port.js';

/** Sources that are read once, in order, and not stored. */
type Plain = Extract<FileSource, { type: 'blob' | 'stream' }>;

export interface ModelPiece {
  readonly bytes: Uint8Array;
  /** Index of its file. */
  readonly file: number;
  /**
   * Total bytes of all files; null while one size is unknown, and for a folder, which has other
   * files too.
   */
  readonly total: number | null;
}

/** What is known before the first byte is read. */
export interface Opened {
  /** Undefined for GGUF files. */
  readonly folder: Folder | undefined;
  readonly files: readonly (Address | Plain)[];
}

const NOTHING = { size: 0, etag: null, lastModified: null };

/** Reads the files of a model one after the other. */
export class ModelReader {
  readonly #files: readonly FileSource[];
  readonly #sha256: readonly string[];
  readonly #around: Surroundings;
  readonly #kind: FolderKind;
  readonly #readers: AddressReader[] = [];
  readonly #stored = new Map<string, StoredFile>();
  #opened: Promise<Opened> | undefined;

  /** `sha256`: one for each file, or none. */
  constructor(
    files: readonly FileSource[],
    sha256: readonly string[],
    { answerMs, ...around }: Omit<Surroundings, 'opened'> & { readonly answerMs?: number },
    kind: FolderKind = MODEL,
  ) {
    this.#kind = kind;
    this.#files = files;
    this.#sha256 = sha256;
    let storage: ReturnType<Surroundings['storage']> | undefined;
    const open = async () => {
      const found = await answered(around.storage(), 'the store', answerMs);
      return found && answering(found, answerMs);
    };
    // do not wait again for a store that did not answer
    this.#around = { ...around, storage: () => (storage ??= open()), opened: this.#stored };
  }

  /** Finds the files, and reads the small files of a folder. */
  open(): Promise<Opened> {
    return (this.#opened ??= this.#open());
  }

  async #open(): Promise<Opened> {
    const { meter } = this.#around;
    const folder = await readFolder(this.#files, this.#around, this.#kind);
    const files = folder?.weights ?? (await Promise.all(this.#files.map(filesOf))).flat();
    if (this.#sha256.length > 0 && (folder || this.#sha256.length !== files.length)) {
      const expected = folder ? 'none for a folder' : `one for each of the ${files.length} files`;
      throw invalidOption('sha256', expected, `${this.#sha256.length} of them`);
    }
    meter.files(files.map((file) => (file.type === 'blob' ? file.blob.size : null)));
    if (folder?.weightBytes) meter.about(folder.weightBytes);
    return { folder, files };
  }

  /**
   * Reads pieces of at most 1 MiB: each is copied into the memory of the wasm module, which never
   * shrinks.
   */
  async *pieces(): AsyncGenerator<ModelPiece> {
    const { folder, files } = await this.open();
    const { meter } = this.#around;
    let done = false;
    try {
      for (const [index, file] of files.entries()) {
        meter.file(index, nameOf(file));
        for await (const bytes of this.#read(file, this.#sha256[index] ?? null, folder)) {
          yield { bytes, file: index, total: folder ? null : meter.total };
        }
      }
      done = true;
    } finally {
      // If one file fails, the others are still stored; nothing waits for that.
      if (!done) await this.settle().catch(() => undefined);
    }
  }

  /** Resolves when nothing is left to store. */
  async settle(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.settle()));
    const { folder } = (await this.#opened) ?? {};
    for (const source of folder?.absent ?? []) {
      // if this is not recorded, the file is requested again the next time
      await this.#stored
        .get(source)
        ?.begin(NOTHING, { absent: true })
        .catch(() => undefined);
    }
  }

  /**
   * Must be called when the engine refuses the files. A file that cannot be a model is deleted. If
   * the engine does not know the model, or it is unclear which file is wrong, the next load asks
   * the server again.
   */
  async refused(code: string): Promise<void> {
    // otherwise chunks still being stored would follow
    await this.settle().catch(() => undefined);
    const broken = code === 'INVALID_FILE' || code === 'TRUNCATED_FILE';
    const files = [...this.#stored.values()];
    for (const file of files) {
      const gone = (broken && files.length === 1) || file.manifest?.absent;
      await (gone ? file.remove() : file.note({ doubted: true })).catch(() => undefined);
    }
  }

  /** Where files with a URL are stored. */
  get storage(): DownloadInfo['storage'] {
    return this.#readers.find(({ storage }) => storage !== 'none')?.storage ?? 'none';
  }

  #read(file: Address | Plain, sha256: string | null, folder: Folder | undefined): AsyncIterable<Uint8Array> {
    if (file.type !== 'address') return this.#readPlain(file, sha256);
    const form = folder ? 'safetensors' : 'gguf';
    const reader = new AddressReader(file, { form, sha256 }, this.#around);
    this.#readers.push(reader);
    return reader.chunks();
  }

  async *#readPlain(file: Plain, sha256: string | null): AsyncGenerator<Uint8Array> {
    const hash = sha256 === null ? undefined : await this.#around.hasher();
    const name = nameOf(file);
    let received = 0;
    try {
      for await (const bytes of streamOf(file)) {
        for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
          const piece = bytes.subarray(start, start + CHUNK_BYTES);
          received += piece.length;
          this.#around.meter.received(piece.length);
          hash?.update(piece);
          yield piece;
        }
      }
    } catch (cause) {
      const message = `reading the file ${name} broke off after ${received} bytes: ${messageOf(cause)}`;
      throw new WeftError('NETWORK', message, { cause });
    }
    if (hash) compareHash(name, sha256, hash.digest());
  }
}

async function* streamOf(file: Plain): AsyncGenerator<Uint8Array> {
  const stream = file.type === 'stream' ? receive(file.port) : file.blob.stream();
  const reader = readPieces(stream);
  try {
    for (let piece = await reader.read(); piece; piece = await reader.read()) yield piece;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Resolves a handle to files: a file itself, or the model in a folder. */
async function filesOf(file: FileSource): Promise<(Address | Plain)[]> {
  if (file.type === 'folder') throw invalidOption('model', 'one folder, and nothing beside it', file.name);
  if (file.type !== 'handle') return [file];
  const { handle } = file;
  const handles = handle.kind === 'file' ? [handle] : await modelIn(handle);
  return Promise.all(handles.map(async (found) => ({ type: 'blob' as const, blob: await found.getFile() })));
}

/** Finds the only GGUF file of a folder, or all parts of a split one. */
async function modelIn(folder: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> {
  const found = new Map<string, FileSystemFileHandle>();
  for await (const entry of folder.values()) {
    if (entry.kind === 'file' && entry.name.endsWith('.gguf')) found.set(entry.name, entry);
  }
  const names = [...found.keys()].sort();
  const parts = partsOf(names[0] ?? '');
  if (names.length === 0 || parts.join() !== names.join()) {
    const expected = 'a folder with config.json, with one GGUF file, or with all parts of one and no other';
    throw invalidOption('model', expected, names.length === 0 ? `none in ${folder.name}` : names.join(', '));
  }
  return names.map((name) => found.get(name)!);
}
