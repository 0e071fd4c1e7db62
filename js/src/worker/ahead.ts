/** Reads ahead while something else takes its time, so that a download goes on meanwhile. */

/** Bytes that are read ahead at most, but for the last piece. */
const MOST = 32 << 20;

export class ReadAhead<T extends { readonly bytes: Uint8Array }> {
  readonly #pieces: AsyncIterator<T, undefined>;
  readonly #most: number;
  /** What was begun and not taken, in order. */
  readonly #begun: Promise<IteratorResult<T, undefined>>[] = [];

  constructor(pieces: AsyncIterator<T, undefined>, most: number = MOST) {
    this.#pieces = pieces;
    this.#most = most;
  }

  /** The next piece, or the error of reading it. */
  next(): Promise<IteratorResult<T, undefined>> {
    return this.#begun.shift() ?? this.#pieces.next();
  }

  /** Reads the next piece without taking it. */
  begin(): Promise<IteratorResult<T, undefined>> {
    return this.#begin(this.#pieces.next());
  }

  #begin(piece: Promise<IteratorResult<T, undefined>>): Promise<IteratorResult<T, undefined>> {
    piece.catch(() => undefined); // whoever takes it hears of it
    this.#begun.push(piece);
    return piece;
  }

  /** The next piece, as a copy: it would be valid until the next read only. */
  async #copy(): Promise<IteratorResult<T, undefined>> {
    const piece = await this.#pieces.next();
    return piece.done ? piece : { done: false, value: { ...piece.value, bytes: piece.value.bytes.slice() } };
  }

  /** Waits for `work` and reads ahead meanwhile, one piece after the other. */
  async during<R>(work: Promise<R>): Promise<R> {
    let isDone = false;
    const done = work.then(
      () => void (isDone = true),
      () => void (isDone = true),
    );
    const fill = async () => {
      let bytes = 0;
      while (!isDone && bytes < this.#most) {
        const piece = await Promise.race([this.#begin(this.#copy()), done]);
        if (!piece || piece.done) return;
        bytes += piece.value.bytes.length;
      }
    };
    // an error of reading ends it, and is told in its turn
    void fill().catch(() => undefined);
    return work;
  }
}
