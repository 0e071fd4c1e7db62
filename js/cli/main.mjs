#!/usr/bin/env node
// `npx weft-llm [FILE]`: serves the demo page and a model of this machine, and opens the browser.

import { parseArgs } from 'node:util';
import { findModels, NotAModel } from './models.mjs';
import { listen } from './serve.mjs';
import { openBrowser } from './open.mjs';

const HELP = `Usage: npx weft-llm [options] [MODEL…]

Serves weft's page, where you chat with a language model that runs in the
browser, and opens it. MODEL is a GGUF file, a folder with GGUF files, or a
folder of Hugging Face transformers; a single one is loaded at once. Without a
MODEL, the page offers some to fetch.

  --port N     the port; the next free one if it is in use (default: 8642)
  --host NAME  where to listen (default: 127.0.0.1, this machine alone)
  --no-open    does not open the browser
  --help       shows this
  --version    shows the version

The browser keeps chats and settings for each port.
`;

const DEFAULTS = { port: '8642', host: '127.0.0.1' };

const options = {
  port: { type: 'string', default: DEFAULTS.port },
  host: { type: 'string', default: DEFAULTS.host },
  'no-open': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', default: false },
};

async function run() {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return void process.stdout.write(HELP);
  if (values.version) return console.log(await version());
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new NotAModel(`--port ${values.port} is no port: give a number up to 65535, or 0 for any that is free`);
  }
  const models = await findModels(positionals);
  const { url, close } = await listen({ models, host: values.host, port });
  console.log(`weft is at ${url}`);
  for (const { path, bytes } of models) console.log(`  ${path} (${megabytes(bytes)})`);
  if (port !== 0 && new URL(url).port !== String(port)) console.log(`  Port ${port} is in use by another program.`);
  if (!isLoopback(values.host)) {
    console.log('  Other devices can open it too. Over http their browsers give it no threads and no GPU.');
  }
  console.log('Ctrl-C ends it.');
  if (!values['no-open']) openBrowser(url);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, close);
}

const isLoopback = (host) => /^(127\.|localhost$|::1$)/.test(host);

const megabytes = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

async function version() {
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')).version;
}

run().catch((error) => {
  const isOurs = error instanceof NotAModel || error.code?.startsWith('ERR_PARSE_ARGS') || 'address' in error;
  console.error(isOurs ? `weft-llm: ${error.message}` : error);
  if (isOurs) console.error('`npx weft-llm --help` shows what can be given.');
  process.exitCode = 1;
});
