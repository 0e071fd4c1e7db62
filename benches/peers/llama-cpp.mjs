// llama.cpp as a native program: how fast the CPU can be. Answers one question greedily and prints
// what `weft bench --json` prints.
// Usage: node llama-cpp.mjs MODEL QUESTION TOKENS THREADS

import { getLlama } from 'node-llama-cpp';

const [modelPath, question, tokens, threads] = process.argv.slice(2);

const start = performance.now();
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 1024, threads: Number(threads) });
const loadSeconds = (performance.now() - start) / 1000;

// The model's own template, written out: the binding cannot simply render it.
const system = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face';
const turn = (role, text) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
const prompt = model.tokenize(
  `${turn('system', system)}${turn('user', question)}<|im_start|>assistant\n`,
  true,
  'trimLeadingSpace',
);

const times = [];
const answer = [];
const asked = performance.now();
for await (const token of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
  times.push((performance.now() - asked) / 1000);
  answer.push(token);
  if (times.length === Number(tokens)) break;
}
console.log(
  JSON.stringify({
    loadSeconds,
    promptTokens: prompt.length,
    promptTokensPerSecond: prompt.length / times[0],
    genTokens: times.length - 1,
    genTokensPerSecond: (times.length - 1) / (times.at(-1) - times[0]),
    text: model.detokenize(answer),
    adapter: `llama.cpp ${llama.llamaCppRelease.release}`,
  }),
);
process.exit();
