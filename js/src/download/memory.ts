/**
 * Memory of what comes, used again or given back at once: V8 let much of it lie until it looked for what nobody needs, up to
 * 70 MiB at the peak of a load of 94.
 */

/** Bytes of a read. */
const PIECE = 256 * 1024;

export interface PieceReader {
  /** Undefined at the end. A piece is there until the next is read. */
  read(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
}

/** Reads all pieces into the same memory, where the stream can do that: those of networks and files can. */
export function readPieces(stream: ReadableStream<Uint8Array>): PieceReader {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: 'byob' });
  } catch {
    const reader = stream.getReader();
    return { read: async () => (await reader.read()).value, cancel: () => reader.cancel() };
  }
  let memory = new ArrayBuffer(PIECE);
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(memory));
      if (value) memory = value.buffer;
      return done ? undefined : value;
    },
    cancel: () => reader.cancel(),
  };
}

/** Gives back the memory of bytes that nobody looks at any more. Older browsers do so in their own time. */
export function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) (buffer as { transfer?(length: number): ArrayBuffer }).transfer?.(0);
}
