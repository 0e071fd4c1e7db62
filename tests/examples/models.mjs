// The models that the examples load in tests, on a server of another origin.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { inRoot } from '../../scripts/lib/run.mjs';
import { tinyModel } from '../web/tiny.mjs';

/** `decoder.gguf` answers, `encoder.gguf` embeds, `slow.gguf` never ends; there are no others. */
export async function serveModels() {
  const template = '{% for message in messages %}{{ (message.content or "")[:40] }}{% endfor %}';
  const decoder = tinyModel({ template, endless: true });
  const encoder = await readFile(inRoot('tests/fixtures/architectures/sentence-bert/model.gguf'));
  const server = createServer(({ url }, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*').setHeader('Access-Control-Allow-Headers', '*');
    if (url === '/decoder.gguf') response.end(decoder);
    else if (url === '/encoder.gguf') response.end(encoder);
    else if (url === '/slow.gguf')
      response.setHeader('Content-Length', decoder.length).write(decoder.subarray(0, 9000));
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { models: `http://localhost:${server.address().port}/`, close };
}
