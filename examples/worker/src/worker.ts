import { load, type Llm, type Session } from 'weft-llm';
import type { Order, Reply } from './protocol';

let llm: Llm | undefined;
let session: Session | undefined;
let controller = new AbortController();

const reply = (message: Reply) => postMessage(message);

addEventListener('message', async ({ data: order }: MessageEvent<Order>) => {
  if (order === 'stop') return controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  try {
    llm ??= await load({ model: order.model, signal, onProgress: (progress) => reply({ progress }) });
    // A small model says fewer strange things at a low temperature.
    session ??= llm.session({ overflow: 'truncate-oldest-turns', temperature: 0.2 });
    for await (const { text } of session.send(order.ask, { signal })) reply({ text });
    reply({ done: true });
  } catch (error) {
    reply({ error: error instanceof Error ? error.message : String(error) });
  }
});
