/** Everything that an app sees of the package. The types of OpenAI's format are in openai.ts. */

export type * from './adapters.js';
export type * from './chat.js';
export type * from './generate.js';
export type * from './info.js';
export type * from './inspect.js';
export type * from './llm.js';
export type * from './load.js';
export type * from './sampling.js';
export type * from './session.js';
export type * from './store.js';
export type * from './tasks.js';
