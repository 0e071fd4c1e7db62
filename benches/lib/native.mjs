// A session without a browser: a new process for each question, so that none reuses a KV cache.

import { inRoot, run } from '../../scripts/lib/run.mjs';
import { pathOf } from '../../scripts/lib/model.mjs';
import { watchMemory, watchOthers } from './processes.mjs';
import { isRight } from './models.mjs';
import { questions } from './questions.mjs';

/**
 * The command that answers one question. It prints the JSON of `weft bench --json`: loadSeconds,
 * promptTokens, promptTokensPerSecond (up to the first token), genTokensPerSecond, text.
 */
const commands = {
  weft: (path, { engine, threads }, { question, maxTokens }) => [
    inRoot('target/release/weft'),
    [
      ...['bench', '--json', '-m', path, '--device', engine, '--threads', threads ?? 1],
      ...['-p', question, '--gen-tokens', maxTokens - 1],
    ],
  ],
  'llama.cpp': (path, { threads }, { question, maxTokens }) => [
    process.execPath,
    [inRoot('benches/peers/llama-cpp.mjs'), path, question, maxTokens, threads],
  ],
};

/** Measures one case once and returns its figures. Fails if its answer is wrong. */
export async function nativeSession(model, { runtime, engine, threads }) {
  const answers = {};
  const others = watchOthers();
  const memory = watchMemory();
  try {
    for (const [name, request] of Object.entries(questions)) {
      const [command, args] = commands[runtime](pathOf(model.source), { engine, threads }, request);
      const lines = (await run(command, args.map(String))).split('\n');
      // drivers and libraries may print lines of their own
      answers[name] = JSON.parse(lines.find((line) => line.startsWith('{')));
    }
  } finally {
    memory.stop();
  }
  const { short, story, long } = answers;
  if (!isRight(model, long.text)) throw new Error(`wrong text: ${long.text.slice(0, 60)}`);
  if (long.promptTokens !== model.longPromptTokens) throw new Error(`${long.promptTokens} tokens in the long prompt`);
  return {
    about: { adapter: long.adapter },
    ready_ms: short.loadSeconds * 1000,
    ttft_ms: (short.promptTokens / short.promptTokensPerSecond) * 1000,
    prefill_tok_s: long.promptTokensPerSecond,
    decode_tok_s: story.genTokensPerSecond,
    decode_long_tok_s: long.genTokensPerSecond,
    peak_mib: memory.stop(),
    disturbance: others(),
  };
}
