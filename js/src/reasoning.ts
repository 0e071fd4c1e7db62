/** What a model thinks before it answers, told apart from the answer: a row for each way of marking it that is in use. */

export interface ThoughtFormat {
  /** What begins the thoughts, at the start of an answer or at the end of a prompt. */
  readonly open: string;
  /** What ends them. A model whose template has it thinks. */
  readonly close: string;
  /** What may stand before the answer and is no part of it. */
  readonly skip: readonly string[];
}

const FORMATS: readonly ThoughtFormat[] = [
  // Qwen 3, SmolLM 3, DeepSeek R1 and what was distilled from it
  { open: '<think>', close: '</think>', skip: [] },
  // Magistral
  { open: '[THINK]', close: '[/THINK]', skip: [] },
  // gpt-oss: a message of its own on another channel
  {
    open: '<|channel|>analysis<|message|>',
    close: '<|end|>',
    skip: ['<|start|>assistant', '<|channel|>final<|message|>'],
  },
];

/** How a model thinks, by its template; undefined where it does not. */
export function thoughtFormat(template: string): ThoughtFormat | undefined {
  return FORMATS.find(({ open, close }) => template.includes(close) && template.includes(firstMark(open)));
}

/** Special tokens of the format: the stream must not skip them. */
export function thoughtTokens({ open, close, skip }: ThoughtFormat): string[] {
  return [open, close, ...skip].flatMap((text) => text.match(MARK) ?? []);
}

const MARK = /<[^<>]+>|\[[^[\]]+\]/g;
const firstMark = (text: string) => text.match(MARK)?.[0] ?? text;

export interface Split {
  readonly text: string;
  readonly reasoning: string;
}

/** The text of an answer, as it comes → thoughts and answer. Space around either is no part of it. */
export class Thoughts {
  readonly #format: ThoughtFormat;
  readonly #opening: number | null;
  #state: 'start' | 'thoughts' | 'skip' | 'answer';
  /** Text of which it is not known yet what it is. */
  #held = '';
  /** Whether no thought has come yet. */
  #fresh = true;

  /** `open`: whether the prompt has begun the thoughts. `opening`: the token with which the model may. */
  constructor(format: ThoughtFormat, open: boolean, opening: number | null = null) {
    this.#format = format;
    this.#opening = opening;
    this.#state = open ? 'thoughts' : 'start';
  }

  /** Whether thoughts have begun and not ended. */
  get thinking(): boolean {
    return this.#state === 'thoughts';
  }

  /** The token that would begin them now. */
  get opening(): number | null {
    return this.#state === 'start' && this.#held === '' ? this.#opening : null;
  }

  push(text: string): Split {
    this.#held += text;
    const split = { text: '', reasoning: '' };
    while (this.#step(split)) continue;
    return split;
  }

  /** The last of the text, and what was held back. */
  end(last: string): Split {
    const { text, reasoning } = this.push(last);
    const rest = this.#held;
    this.#held = '';
    // thoughts that were cut are thoughts
    if (this.thinking) return { text, reasoning: reasoning + (this.#fresh ? rest.trim() : rest.trimEnd()) };
    return { text: text + (this.#state === 'skip' ? rest.trim() : rest), reasoning };
  }

  /** Whether there may be more to do. */
  #step(split: { text: string; reasoning: string }): boolean {
    const { open, close, skip } = this.#format;
    switch (this.#state) {
      case 'start': {
        const begin = this.#held.trimStart();
        if (begin.startsWith(open)) return this.#enter('thoughts', begin.slice(open.length));
        if ([open, ...skip].some((mark) => mark.startsWith(begin))) return false;
        return skip.some((mark) => begin.startsWith(mark))
          ? this.#enter('skip', begin)
          : this.#enter('answer', this.#held);
      }
      case 'thoughts': {
        if (this.#fresh) this.#held = this.#held.trimStart();
        const end = this.#held.indexOf(close);
        const certain = end < 0 ? this.#held.length - longestBegin(this.#held, close) : end;
        const told = this.#held.slice(0, certain).trimEnd();
        split.reasoning += told;
        this.#fresh &&= told === '';
        if (end >= 0) return this.#enter('skip', this.#held.slice(end + close.length));
        this.#held = this.#held.slice(told.length);
        return false;
      }
      case 'skip': {
        const rest = this.#held.trimStart();
        if (['', ...skip].some((mark) => mark.startsWith(rest))) return false;
        const mark = skip.find((mark) => rest.startsWith(mark));
        return mark ? this.#enter('skip', rest.slice(mark.length)) : this.#enter('answer', rest);
      }
      case 'answer':
        split.text += this.#held;
        this.#held = '';
        return false;
    }
  }

  #enter(state: 'thoughts' | 'skip' | 'answer', rest: string): true {
    this.#state = state;
    this.#held = rest;
    return true;
  }
}

/** How many characters at the end of `text` may be the begin of `mark`. */
function longestBegin(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length -= 1) {
    if (mark.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
