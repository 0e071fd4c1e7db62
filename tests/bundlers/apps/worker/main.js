// The recipe of docs/RECIPES.md, whose blocks are beside this, in a page.

import { ask } from './page.js';

try {
  let text = '';
  for await (const piece of ask('abc')) text += piece;
  globalThis.result = { text };
} catch (error) {
  globalThis.result = { error: String(error) };
}
