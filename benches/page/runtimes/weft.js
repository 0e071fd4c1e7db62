import { load } from '/runtime/weft/weft-llm/dist/index.js';

export async function start({ engine, threads, file }) {
  const options = {
    model: `/models/${file}`,
    device: engine,
    contextLength: 1024,
    store: false,
  };
  const llm = await load(engine === 'cpu' ? { ...options, threads } : options);
  return {
    about: llm.info.engine,
    async chat(question, maxTokens, onToken) {
      const messages = [{ role: 'user', content: question }];
      for await (const { text, id } of llm.chat(messages, { temperature: 0, maxTokens })) {
        if (id !== null && !onToken(text)) break;
      }
    },
    // The KV cache reuses what the next text has in common with the last one, and all chats begin
    // alike: replace it.
    async forget() {
      for await (const _ of llm.generate('.', { temperature: 0, maxTokens: 1 }));
    },
  };
}
