import { load, type Llm, type Usage } from 'weft-llm';
import { find, onProgress, onSubmit, say } from './ui';

// 398 MB
const qwen = 'hf:bartowski/Qwen2.5-0.5B-Instruct-GGUF/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf';
const model = new URLSearchParams(location.search).get('model') ?? qwen;
let llm: Llm | undefined;

onSubmit(async (fields, signal) => {
  // Keys and values in bytes take half the memory of a long document, and `persist` keeps them.
  llm ??= await load({ model, kvCache: 'q8', prefixCache: { persist: true }, signal, onProgress });
  find('#answer').textContent = '';
  find('#figures').textContent = '';
  // What all questions begin with is computed for the first one alone.
  const read = { role: 'system', content: `Answer from this document.\n\n${String(fields.get('document'))}` };
  const question = { role: 'user', content: String(fields.get('question')) };
  say('Reading…');
  // Answers often repeat the document, so drafts are taken from it.
  const answer = llm.chat([read, question], { speculate: 'lookup', temperature: 0, maxTokens: 200, signal });
  for await (const { text } of answer) find('#answer').textContent += text;
  const { usage } = await answer.finish;
  find('#figures').textContent = figures(usage);
  // The next visit reads it from the browser's store, where there is one.
  if (!signal.aborted) await llm.remember([read], { signal }).catch(() => undefined);
});

function figures({ promptTokens, cachedTokens, completionTokens, acceptedTokens = 0 }: Usage) {
  const steps = completionTokens - acceptedTokens;
  return `${cachedTokens} of ${promptTokens} tokens were remembered. ${completionTokens} came in ${steps} steps.`;
}
