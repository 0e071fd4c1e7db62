// The app that every bundler builds: loads a model, asks it freely and constrained, and leaves what it said where the test finds it.
// With `?store` the model is kept.

import { load } from 'weft-llm';

try {
  const store = location.search === '?store';
  const llm = await load({ model: new URL('/model.gguf', location.href), device: 'cpu', threads: 2, store });
  const ids = [];
  for await (const piece of llm.generate('abc', { maxTokens: 5, temperature: 0 })) {
    if (piece.finish === null) ids.push(piece.id);
  }
  let chosen = '';
  for await (const { text } of llm.generate('abc', { constraint: { choices: ['yes', 'no'] } })) chosen += text;
  const { build, threads } = llm.info.engine;
  llm.dispose();
  globalThis.result = { ids, chosen, build, threads };
} catch (error) {
  globalThis.result = { error: String(error) };
}
