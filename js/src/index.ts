/**
 * weft: open language models in a web page.
 *
 * Importing this has no side effect, in a page or elsewhere. `load` starts a worker that does all
 * the work.
 */

export { WeftError, type ErrorCode } from './common/errors.js';
export { estimate, load } from './page/load.js';
export { models } from './page/models.js';
export type * from './types/index.js';
