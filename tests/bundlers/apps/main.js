// The app that every bundler builds. It loads a model, asks it freely and constrained, and leaves
// the answers where the test reads them. In its address, `model` says where the model is, and
// `store` that it is kept.

import { load } from 'weft-llm';

async function run() {
  const asked = new URL(location.href).searchParams;
  const model = new URL(asked.get('model') ?? '/model.gguf', location.href);
  const llm = await load({ model, device: 'cpu', threads: 2, store: asked.has('store') });
  const ids = [];
  for await (const piece of llm.generate('abc', { maxTokens: 5, temperature: 0 })) {
    if (piece.finish === null) ids.push(piece.id);
  }
  let chosen = '';
  for await (const { text } of llm.generate('abc', { constraint: { choices: ['yes', 'no'] } })) chosen += text;
  const { build, threads } = llm.info.engine;
  llm.dispose();
  return { ids, chosen, build, threads };
}

run().then(
  (result) => (globalThis.result = result),
  (error) => (globalThis.result = { error: String(error) }),
);
