import { Wllama } from '/runtime/peers/@wllama/wllama/esm/index.min.js';

const compat = '/runtime/peers/@wllama/wllama-compat/wasm';

export async function start({ engine, threads, file }) {
  const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
  const wllama = new Wllama(
    { default: '/runtime/peers/@wllama/wllama/esm/wasm/wllama.wasm' },
    { suppressNativeLog: true, logger: quiet },
  );
  // In Firefox the ordinary build cannot use WebGPU, but it is the faster one on the CPU.
  if (engine === 'gpu') {
    wllama.setCompat({ worker: `${compat}/wllama.js`, wasm: `${compat}/wllama.wasm` }, 'firefox_safari');
  }
  const model = await (await fetch(`/models/${file}`)).blob();
  await wllama.loadModel([model], { n_ctx: 1024, n_threads: threads, n_gpu_layers: engine === 'gpu' ? 999 : 0 });
  return {
    about: { build: Wllama.getLibllamaVersion(), threads: wllama.getNumThreads(), gpu: wllama.isSupportWebGPU() },
    async chat(question, maxTokens, onToken) {
      const messages = [{ role: 'user', content: question }];
      const options = { temperature: 0, max_tokens: maxTokens, cache_prompt: false, stream: true };
      for await (const { choices } of await wllama.createChatCompletion({ messages, ...options })) {
        const text = choices[0]?.delta.content;
        if (text && !onToken(text)) break;
      }
    },
    async forget() {}, // cache_prompt: false
  };
}
