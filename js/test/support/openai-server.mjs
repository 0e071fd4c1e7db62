// A local server with OpenAI's API: a model in this process answers, through `weft-llm/openai`.

import { once } from 'node:events';
import { openaiFetch } from '../../dist/openai/fetch.js';
import { FakeLlm } from './fake.mjs';
import { listen } from './server.mjs';

/** Answers with these texts, one token each, whatever the prompt. */
export class Says extends FakeLlm {
  constructor(texts, before) {
    super(before);
    this.texts = texts;
  }

  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    const tokens = this.texts.map((text, id) => ({ type: 'token', id, text }));
    this.events = [...tokens, { type: 'end', reason: 'stop', text: '' }];
  }
}

/**
 * Serves `llm` under `/v1`. `requests` gets `{ path, headers, body, closed }` of each request.
 * `instead(request, response)` may respond itself, and returns whether it did.
 */
export async function serveModel(t, llm, { requests = [], instead = () => false } = {}) {
  const answer = openaiFetch(llm);
  const origin = await listen(t, async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const left = new AbortController();
    const closed = once(response, 'close').then(() => left.abort());
    const seen = { path: request.url, headers: request.headers, body: body ? JSON.parse(body) : null, closed };
    requests.push(seen);
    if (instead(seen, response)) return;
    const init = { method: request.method, signal: left.signal, ...(body && { body }) };
    try {
      const { status, headers, body: bytes } = await answer(`http://localhost${request.url}`, init);
      response.writeHead(status, Object.fromEntries(headers));
      for await (const piece of bytes) response.write(piece);
      response.end();
    } catch {
      response.destroy();
    }
  });
  return `${origin}/v1`;
}
