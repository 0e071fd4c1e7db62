/**
 * Reads text while it arrives. A reader is a generator: it yields when it needs more text, and
 * continues when there is some. So the size of the pieces does not affect the result.
 */

/** Yields when it waits for text. */
export type Reading<T> = Generator<undefined, T, undefined>;

export class Cursor {
  /**
   * Text read since the last flush. JavaScript engines concatenate it lazily, so do not index it in
   * a loop.
   */
  #read = '';
  #rest = '';
  #ended = false;

  /** Adds text. */
  push(text: string): void {
    this.#rest += text;
  }

  /** Marks the end of the text. */
  end(): void {
    this.#ended = true;
  }

  get rest(): string {
    return this.#rest;
  }

  /** Whether no more text will arrive after `rest`. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Characters read since {@link flush}. */
  get position(): number {
    return this.#read.length;
  }

  /** Text read since `position`. */
  since(position: number): string {
    return this.#read.slice(position);
  }

  /** Goes back to `position`, as if nothing after it had been read. */
  back(position: number): void {
    this.#rest = this.#read.slice(position) + this.#rest;
    this.#read = this.#read.slice(0, position);
  }

  /** Returns the text read since the last flush. Earlier positions become invalid. */
  flush(): string {
    const text = this.#read;
    this.#read = '';
    return text;
  }

  advance(length: number): string {
    const text = this.#rest.slice(0, length);
    this.#read += text;
    this.#rest = this.#rest.slice(length);
    return text;
  }

  /** The next character; empty at the end. */
  *peek(): Reading<string> {
    while (this.#rest === '' && !this.#ended) yield;
    return this.#rest.charAt(0);
  }

  /** If `literal` comes next, moves past it and returns true. */
  *take(literal: string): Reading<boolean> {
    while (this.#rest.length < literal.length && literal.startsWith(this.#rest) && !this.#ended) yield;
    if (!this.#rest.startsWith(literal)) return false;
    this.advance(literal.length);
    return true;
  }

  /**
   * Takes all characters of a class. `run` is a sticky expression of the class with `*`, because it
   * may match in parts.
   */
  *takeAll(run: RegExp): Reading<string> {
    const parts: string[] = [];
    for (;;) {
      run.lastIndex = 0;
      const length = run.exec(this.#rest)?.[0].length ?? 0;
      parts.push(this.advance(length));
      if (this.#rest !== '' || this.#ended) return parts.join('');
      yield;
    }
  }

  *space(): Reading<string> {
    return yield* this.takeAll(SPACE);
  }

  /**
   * Moves to the first of `marks` and returns it; moves to the end and returns null if there is
   * none. The longest mark at a position wins.
   */
  *to(marks: readonly string[]): Reading<string | null> {
    for (;;) {
      const found = firstOf(this.#rest, marks);
      if (found && (this.#ended || !mayGrow(this.#rest, found, marks))) {
        this.advance(found.at);
        return found.mark;
      }
      if (this.#ended) {
        this.advance(this.#rest.length);
        return null;
      }
      if (!found) this.advance(this.#rest.length - longestBegin(this.#rest, marks));
      yield;
    }
  }

  /** Returns the longest of `marks` that comes next, without moving; null if none does. */
  *next(marks: readonly string[]): Reading<string | null> {
    for (;;) {
      const rest = this.#rest;
      const mayCome = marks.some((mark) => mark.length > rest.length && mark.startsWith(rest));
      if (this.#ended || !mayCome)
        return (
          firstOf(
            rest,
            marks.filter((mark) => rest.startsWith(mark)),
          )?.mark ?? null
        );
      yield;
    }
  }
}

/** White space in JSON. */
const SPACE = /[ \t\n\r]*/y;

export interface Found {
  readonly mark: string;
  readonly at: number;
}

/** Finds the first of `marks` in `text`, the longest if several start there. */
export function firstOf(text: string, marks: readonly string[]): Found | null {
  let first: Found | null = null;
  for (const mark of marks) {
    const at = text.indexOf(mark);
    const before = !first || at < first.at || (at === first.at && mark.length > first.mark.length);
    if (at >= 0 && before) first = { mark, at };
  }
  return first;
}

/** Whether more text could turn `found` into a longer mark. */
function mayGrow(text: string, { mark, at }: Found, marks: readonly string[]): boolean {
  const rest = text.slice(at);
  return marks.some((other) => other.length > mark.length && other.startsWith(rest));
}

/** Number of characters at the end of `text` that may start one of `marks`. */
export function longestBegin(text: string, marks: readonly string[]): number {
  const longest = Math.max(...marks.map((mark) => mark.length)) - 1;
  for (let length = Math.min(longest, text.length); length > 0; length -= 1) {
    const tail = text.slice(-length);
    if (marks.some((mark) => mark.startsWith(tail))) return length;
  }
  return 0;
}
