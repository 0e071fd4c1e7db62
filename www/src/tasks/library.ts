/** The files that were given to the page, as passages. They stay in its memory. */

import type { Llm } from 'weft-llm';
import { embedAll } from './code/search.js';
import { passagesOf, type Passage } from './passages.js';
import { t, type Said } from '../text/text.js';
import { Unreadable } from './unreadable.js';

/** What a file gave, in words. */
export interface Read {
  name: string;
  says: Said;
}

export class Library {
  passages: readonly Passage[] = [];
  read: readonly Read[] = [];
  /** Vectors of the first passages, by the model that gave them. */
  #vectors = new WeakMap<Llm, Float32Array[]>();

  get empty(): boolean {
    return this.passages.length === 0;
  }

  clear(): void {
    this.passages = [];
    this.read = [];
    this.#vectors = new WeakMap();
  }

  /** A file that cannot be read says so in `read`. */
  async add(files: readonly File[], signal: AbortSignal, onFile: (name: string) => void): Promise<void> {
    for (const file of files) {
      signal.throwIfAborted();
      const name = file.webkitRelativePath || file.name;
      if (this.read.some((other) => other.name === name)) continue;
      onFile(name);
      const { passages, says } = await readFile(file, name, signal);
      this.passages = [...this.passages, ...passages];
      this.read = [...this.read, { name, says }];
    }
  }

  /** The vectors of all passages; those of earlier calls are kept. */
  async vectors(encoder: Llm, signal: AbortSignal, onDone: (count: number) => void): Promise<Float32Array[]> {
    const { passages } = this;
    const known = this.#vectors.get(encoder) ?? [];
    const texts = passages.slice(known.length).map(({ text }) => text);
    const vectors = [...known, ...(await embedAll(encoder, texts, signal, (done) => onDone(known.length + done)))];
    this.#vectors.set(encoder, vectors);
    return vectors;
  }
}

async function readFile(file: File, name: string, signal: AbortSignal): Promise<{ passages: Passage[]; says: Said }> {
  try {
    const bytes = await file.arrayBuffer();
    const paged = isPdf(bytes);
    const { pages, note } = paged
      ? await (await import('./pdf.js')).textsOfPages(bytes, signal)
      : { pages: [textOf(bytes)], note: null };
    const passages = pages.flatMap((text, index) =>
      passagesOf(text).map((text) => ({ file: name, page: paged ? index + 1 : null, text })),
    );
    if (passages.length === 0) return { passages, says: () => t('file-has-no-text') };
    const count = passages.length;
    if (note === null) return { passages, says: () => t('file-passages', { count }) };
    return { passages, says: () => t('file-passages-note', { passages: t('file-passages', { count }), note: note() }) };
  } catch (error) {
    if (signal.aborted) throw error;
    const message = () =>
      error instanceof Unreadable ? error.says() : error instanceof Error ? error.message : String(error);
    return { passages: [], says: () => t('file-cannot-be-read', { error: message() }) };
  }
}

const isPdf = (bytes: ArrayBuffer) => new TextDecoder('latin1').decode(bytes.slice(0, 1024)).includes('%PDF-');

function textOf(bytes: ArrayBuffer): string {
  const text = new TextDecoder('utf-8', { fatal: true });
  try {
    const decoded = text.decode(bytes);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // Said below.
  }
  throw new Unreadable(() => t('file-is-no-text'));
}

/**
 * The files of a drop, those in folders too. Must be called during the event: what was dropped is
 * gone after it.
 */
export function droppedFiles({ items, files }: DataTransfer): Promise<File[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry());
  if (entries.some((entry) => entry === null)) return Promise.resolve([...files]);
  return Promise.all(entries.map((entry) => filesOf(entry!))).then((all) => all.flat());
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.name.startsWith('.')) return [];
  if (entry.isFile) return [await new Promise<File>((...settle) => (entry as FileSystemFileEntry).file(...settle))];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // Each call gives some of the entries, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((...settle) => reader.readEntries(...settle));
    if (entries.length === 0) return files;
    for (const one of entries) files.push(...(await filesOf(one)));
  }
}
