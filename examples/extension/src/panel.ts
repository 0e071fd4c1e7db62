import { load, type Llm } from 'weft-llm';
import { find, onProgress, onSubmit, say } from './ui';

const smolLM = 'hf:bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf';
const address = new URLSearchParams(location.search).get('model') ?? smolLM;
let llm: Llm | undefined;

find<HTMLInputElement>('#file').addEventListener('change', () => {
  llm?.dispose();
  llm = undefined;
});

onSubmit(async (fields, signal) => {
  const file = fields.get('file') as File;
  llm ??= await load({ model: file.size ? file : address, signal, onProgress });
  say('Answering…');
  const answer = find('#answer');
  answer.textContent = '';
  const messages = [{ role: 'user', content: String(fields.get('question')) }];
  // A small model says fewer strange things at a low temperature.
  for await (const { text } of llm.chat(messages, { temperature: 0.2, signal })) answer.append(text);
});

/** Puts a text that was selected in a page into the question. */
async function takeSelection() {
  const { selection } = await chrome.storage.session.get<{ selection?: string }>('selection');
  if (!selection) return;
  await chrome.storage.session.remove('selection');
  const question = find<HTMLTextAreaElement>('#question');
  question.value = `What does this mean?\n\n${selection}`;
  question.focus();
}

chrome.storage.session.onChanged.addListener(takeSelection);
void takeSelection();
