/**
 * Text that is read while it arrives. A reader is a generator: it yields when it needs more text,
 * and continues when some has come. So it reads the same, whatever the size of the pieces.
 */

/** Yields when it waits for text. */
export type Reading<T> = Generator<undefined, T, undefined>;

export class Cursor {
  /** What was read since the last flush. The engine joins it lazily: do not index it in a loop. */
  #read = '';
  #rest = '';
  #ended = false;

  /** More text. */
  push(text: string): void {
    this.#rest += text;
  }

  /** No more text comes. */
  end(): void {
    this.#ended = true;
  }

  get rest(): string {
    return this.#rest;
  }

  /** Whether `rest` is all that will ever come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How many characters were read since {@link flush}. */
  get position(): number {
    return this.#read.length;
  }

  /** What was read since `position`. */
  since(position: number): string {
    return this.#read.slice(position);
  }

  /** Goes back to `position`, as if nothing behind it had been read. */
  back(position: number): void {
    this.#rest = this.#read.slice(position) + this.#rest;
    this.#read = this.#read.slice(0, position);
  }

  /** Returns what was read since the last flush. Positions from before it are void. */
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

  /** Whether `literal` comes next; moves behind it if so. */
  *take(literal: string): Reading<boolean> {
    while (this.#rest.length < literal.length && literal.startsWith(this.#rest) && !this.#ended) yield;
    if (!this.#rest.startsWith(literal)) return false;
    this.advance(literal.length);
    return true;
  }

  /**
   * Takes all characters of a class. `run` is a sticky expression of the class and `*`, as it may
   * match in parts.
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
   * Moves to the first of `marks` and returns it. Null, and the end, if there is none. Of two at
   * one place the longer wins.
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

  /** Which of `marks` comes next, the longest; null if none does. Moves nowhere. */
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

/** What JSON has for white space. */
const SPACE = /[ \t\n\r]*/y;

export interface Found {
  readonly mark: string;
  readonly at: number;
}

/** The first of `marks` in `text`, the longest of those that begin there. */
export function firstOf(text: string, marks: readonly string[]): Found | null {
  let first: Found | null = null;
  for (const mark of marks) {
    const at = text.indexOf(mark);
    const before = !first || at < first.at || (at === first.at && mark.length > first.mark.length);
    if (at >= 0 && before) first = { mark, at };
  }
  return first;
}

/** Whether a longer mark may begin where `found` does, once more text has come. */
function mayGrow(text: string, { mark, at }: Found, marks: readonly string[]): boolean {
  const rest = text.slice(at);
  return marks.some((other) => other.length > mark.length && other.startsWith(rest));
}

/** How many characters at the end of `text` may be the begin of one of `marks`. */
export function longestBegin(text: string, marks: readonly string[]): number {
  const longest = Math.max(...marks.map((mark) => mark.length)) - 1;
  for (let length = Math.min(longest, text.length); length > 0; length -= 1) {
    const tail = text.slice(-length);
    if (marks.some((mark) => mark.startsWith(tail))) return length;
  }
  return 0;
}
