/**
 * `weft-llm/prompt-api`: the web's Prompt API with a model of your own. Importing it sets
 * `globalThis.LanguageModel` in browsers without one; `configure({ model })` chooses the model. For
 * text, it follows the explainer of https://github.com/webmachinelearning/prompt-api at commit
 * 04f5d0a, and the draft at 07c4a52.
 */

import { LanguageModel } from './language-model.js';

export { LanguageModel } from './language-model.js';
export { configure, type PromptApiModel } from './model.js';
export type * from './types.js';

if (typeof Worker !== 'undefined' && !('LanguageModel' in globalThis)) {
  Object.defineProperty(globalThis, 'LanguageModel', { value: LanguageModel, writable: true, configurable: true });
}
