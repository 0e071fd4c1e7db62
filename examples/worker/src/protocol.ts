import type { Progress } from 'weft-llm';

/** What the page tells the worker. */
export type Order = { ask: string; model: string } | 'stop';

/** What the worker tells the page; `done` and `error` end an answer. */
export type Reply = { progress: Progress } | { text: string } | { done: true } | { error: string };
