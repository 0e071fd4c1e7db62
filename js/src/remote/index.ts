/**
 * `weft-llm/remote`: a model of a server that has OpenAI's API, asked as a loaded one is; and a loaded model with a server for what it
 * cannot.
 */

export { hybrid } from './hybrid.js';
export { remote } from './remote.js';
export type * from './types.js';
