/** The bytes of a model's files, in order, as they arrive. */

import { WeftError } from './errors.js';
import type { FileSource } from './protocol.js';

/** Pieces are at most this long: each is copied into the memory of the wasm module, which never shrinks. */
const PIECE_BYTES = 1 << 20;

export interface SourcePiece {
  readonly bytes: Uint8Array;
  readonly file: string;
  /** Bytes of all files together; null while the size of one is unknown. */
  readonly total: number | null;
}

/** Yields the files one after the other as one stream. Errors: `NETWORK`, naming the address. */
export async function* readFiles(files: readonly FileSource[]): AsyncGenerator<SourcePiece> {
  const sizes = files.map((source) => (typeof source === 'string' ? null : source.size));
  for (const [index, source] of files.entries()) {
    const file = fileName(source);
    const { body, size } =
      typeof source === 'string' ? await open(source) : { body: source.stream(), size: source.size };
    sizes[index] = size;
    const total = sizes.reduce((sum, size) => (sum === null || size === null ? null : sum + size), 0);
    for await (const bytes of read(body, source)) {
      for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
        yield { bytes: bytes.subarray(start, start + PIECE_BYTES), file, total };
      }
    }
  }
}

/** The last part of the path, or the name of the file, for people. */
export function fileName(source: FileSource): string {
  if (typeof source !== 'string') return 'name' in source && typeof source.name === 'string' ? source.name : 'file';
  const path = new URL(source).pathname;
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(name) || source;
  } catch {
    return name; // a lone `%` is legal in an address
  }
}

async function open(url: string): Promise<{ body: ReadableStream<Uint8Array>; size: number | null }> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    const hint = 'Is the address right, the network up, and does the server allow other origins (CORS)?';
    throw new WeftError('NETWORK', `cannot fetch ${url}: ${messageOf(cause)}. ${hint}`, { cause });
  }
  if (!response.ok || !response.body) {
    // An error page has a body too, which nobody will read.
    await response.body?.cancel();
    // HTTP/2 has no status text.
    const answer = `${response.status} ${response.statusText}`.trimEnd();
    throw new WeftError('NETWORK', `cannot fetch ${url}: the server answered ${answer}`);
  }
  return { body: response.body, size: sizeOf(response) };
}

/** Bytes of the body, where the answer tells them for certain: `Content-Length` counts what came compressed as such. */
function sizeOf({ headers, type }: Response): number | null {
  // From another origin, a page sees Content-Length but not Content-Encoding.
  if (type === 'cors' || headers.has('content-encoding')) return null;
  const length = headers.get('content-length') ?? '';
  return /^\d+$/.test(length) ? Number(length) : null;
}

async function* read(body: ReadableStream<Uint8Array>, source: FileSource): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let received = 0;
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received += value.length;
      yield value;
    }
    finished = true;
  } catch (cause) {
    finished = true; // a broken stream needs no cancelling
    const what = typeof source === 'string' ? source : `the file ${fileName(source)}`;
    throw new WeftError('NETWORK', `reading ${what} broke off after ${received} bytes: ${messageOf(cause)}`, { cause });
  } finally {
    if (!finished) await reader.cancel();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
