// The server of the page, of the package's own builds of the engine, and of the models.

import { createServer } from 'node:http';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lookup } from 'mrmime';
import sirv from 'sirv';
import { readPage } from './archive.mjs';
import { NotAModel, partsOf } from './models.mjs';

/** How many ports are tried when the first is in use. */
const PORTS = 20;

/** The folder of this file, in the package: its wasm modules and its worker lie here. */
const OWN = fileURLToPath(new URL('.', import.meta.url));

/** @returns {Promise<{ url: string, close: () => void }>} `url` ends in a slash */
export async function listen({ models, host, port }) {
  const server = createServer(await handler(models));
  for (let tries = 1; ; tries += 1) {
    try {
      await new Promise((done, failed) => server.once('error', failed).listen(port, host, done));
      break;
    } catch (error) {
      if (error.code !== 'EADDRINUSE' || port === 0) throw error;
      if (tries === PORTS) throw new NotAModel(`the ports up to ${port} are all in use: give another with --port`);
      port += 1;
    }
  }
  const shown = /^(0\.0\.0\.0|::)$/.test(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://${shown}:${server.address().port}/`, close };
}

async function handler(models) {
  const { policy, files, own } = await readPage(new URL('page.br', import.meta.url));
  const addresses = models.map(addressOf);
  files.set('index.html', naming(files.get('index.html'), models, addresses));
  const headers = {
    'Content-Security-Policy': policy,
    // Threads need these two.
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  };
  const ownFiles = sirv(OWN, { dev: true, etag: true });
  const folders = models.map(({ folder, file }, index) => ({
    start: file === '' ? `/models/${index}/${basename(folder)}/` : `/models/${index}/`,
    may: file === '' ? () => true : (name) => partsOf(file).includes(name),
    send: sirv(folder, { dev: true, etag: true }),
  }));

  return (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const refuse = (status, why) => response.writeHead(status, { 'Content-Type': 'text/plain' }).end(`${why}\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'GET and HEAD only');
    if (!isMeant(request)) return refuse(403, 'This server answers under the name that it was opened with');
    const missing = () => refuse(404, 'There is no such file');
    const path = pathOf(request.url);
    if (path === undefined) return refuse(400, 'This is no path');
    const folder = folders.find(({ start }) => path.startsWith(start));
    if (folder) {
      const name = path.slice(folder.start.length);
      if (!folder.may(name)) return missing();
      return pass(request, response, folder.send, `/${encodeURI(name)}`, missing);
    }
    const name = path === '/' ? 'index.html' : path.slice(1);
    if (own.has(name)) return pass(request, response, ownFiles, `/${own.get(name)}`, missing);
    const bytes = files.get(name);
    if (!bytes) return missing();
    response.setHeader('Cache-Control', name.startsWith('assets/') ? 'max-age=31536000, immutable' : 'no-cache');
    const type = lookup(name) ?? 'application/octet-stream';
    const isText = /^text\/|javascript|json/.test(type);
    response.writeHead(200, {
      'Content-Type': isText ? `${type}; charset=utf-8` : type,
      'Content-Length': bytes.length,
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  };
}

function pass(request, response, send, url, missing) {
  request.url = url;
  send(request, response, missing);
}

function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url, 'http://localhost').pathname);
  } catch {
    return undefined;
  }
}

/**
 * Whether a request names this server by a name of this machine or by its address: a page elsewhere
 * whose name has come to mean this machine must not read the models.
 */
function isMeant({ headers, socket }) {
  if (!/^(::ffff:)?127\.|^::1$/.test(socket.localAddress ?? '')) return true;
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(headers.host ?? '');
}

/** Relative to the page. A folder has its own name, which becomes the model's. */
function addressOf({ folder, file }, index) {
  return `models/${index}/${encodeURIComponent(file || basename(folder))}${file === '' ? '/' : ''}`;
}

/** The page with the models in it, where www/src/models/served.ts reads them. */
function naming(html, models, addresses) {
  const metas = models.map(
    ({ bytes }, index) =>
      `<meta name="weft-model" content="${addresses[index].replaceAll('&', '&amp;')}" data-bytes="${bytes}" />\n`,
  );
  return Buffer.from(html.toString('utf8').replace('</head>', () => `${metas.join('')}</head>`));
}
