/**
 * `weft-llm/remote`: a model on a server with OpenAI's API, used like a loaded one; and a loaded
 * model with a server for what it cannot do.
 */

export { hybrid } from './hybrid.js';
export { remote } from './remote.js';
export type * from './types.js';
