/**
 * Colours for code. A worker reads it with Shiki, line by line as lines come, so that the page's
 * own thread only makes the elements. The worker is started by the first block that names its
 * language.
 */

import { inFrames } from './frames.js';

/**
 * A length in characters, and a kind that is a class in answer.css; an empty kind has no colour.
 */
export type Token = readonly [length: number, kind: string];

export interface Request {
  id: number;
  language: string;
  lines: string[];
  /** No more lines come. */
  last: boolean;
}

export interface Response {
  id: number;
  /** Index of the first line. */
  from: number;
  lines: Token[][];
  last: boolean;
}

export interface Highlighting {
  add(lines: string[], last: boolean): void;
}

let worker: Worker | undefined;
let nextId = 0;
const listeners = new Map<number, (index: number, tokens: Token[]) => void>();

/** `onLine` is called once for each line whose tokens are known. Undefined without a language. */
export function highlight(
  language: string,
  onLine: (index: number, tokens: Token[]) => void,
): Highlighting | undefined {
  if (language === '') return undefined;
  const id = nextId++;
  listeners.set(id, onLine);
  return { add: (lines, last) => startWorker().postMessage({ id, language, lines, last } satisfies Request) };
}

function startWorker(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL('./highlight-worker.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }: MessageEvent<Response>) => {
    const onLine = listeners.get(data.id);
    if (data.last) listeners.delete(data.id);
    inFrames(...data.lines.map((tokens, index) => () => onLine?.(data.from + index, tokens)));
  });
  return worker;
}
