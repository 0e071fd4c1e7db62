import type { Order, Reply } from './protocol';
import { find, onProgress, onSubmit, say } from './ui';

const smolLM = 'hf:bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf';
const model = new URLSearchParams(location.search).get('model') ?? smolLM;

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const tell = (order: Order) => worker.postMessage(order);

onSubmit(async (fields, signal) => {
  const answer = find('#answer');
  answer.textContent = '';
  signal.addEventListener('abort', () => tell('stop'));
  tell({ ask: String(fields.get('question')), model });
  await new Promise<void>((resolve, reject) => {
    worker.onerror = ({ message }) => reject(new Error(message || 'The worker did not start.'));
    worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
      if ('progress' in reply) onProgress(reply.progress);
      else if ('error' in reply) reject(new Error(reply.error));
      else if ('done' in reply) resolve();
      else {
        say('Answering…');
        answer.append(reply.text);
      }
    };
  });
});
