/**
 * `weft-llm/prompt-api`: the web's Prompt API over a model of your own. Importing it installs `globalThis.LanguageModel` in a browser that has none.
 * `configure({ model })` says which model that is.
 *
 * It follows the explainer of https://github.com/webmachinelearning/prompt-api as of commit 04f5d0a, and its draft as of 07c4a52, for text.
 */

import { LanguageModel } from './language-model.js';

export { LanguageModel } from './language-model.js';
export { configure, type PromptApiModel } from './model.js';
export type * from './types.js';

if (typeof Worker !== 'undefined' && !('LanguageModel' in globalThis)) {
  Object.defineProperty(globalThis, 'LanguageModel', { value: LanguageModel, writable: true, configurable: true });
}
