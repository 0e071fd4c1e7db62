// A static server that is as strict as a careful web site: cross-origin isolated, with a content security policy under
// which no script may be inlined, evaluated or fetched from elsewhere.

import { createServer } from 'node:http';
import sirv from 'sirv';

const strict = (scripts) =>
  `default-src 'self'; script-src ${scripts} 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:`;

/**
 * Serves folders, with byte ranges: `mounts` maps a path's beginning (`/`, `/models/`; both ends a slash) to a folder;
 * the longest one that fits is taken.
 * @param {Record<string, string>} mounts
 * @param {{ isolated?: boolean, inline?: boolean, policy?: string, handle?: (request, response) => boolean | Promise<boolean> }} options
 *   `isolated: false` leaves out the isolation headers; `inline` allows inline scripts; `policy` is
 *   another policy; `handle` may answer a request first, and says whether it did.
 * @returns {Promise<{ url: string, close: () => Promise<void> }>} `url` ends in a slash
 */
export async function serve(mounts, { isolated = true, inline = false, policy, handle } = {}) {
  const folders = Object.entries(mounts)
    .map(([prefix, folder]) => ({ prefix, send: sirv(folder, { dev: true }) }))
    .sort((a, b) => b.prefix.length - a.prefix.length);
  const server = createServer(async (request, response) => {
    response.setHeader('Content-Security-Policy', policy ?? strict(inline ? "'self' 'unsafe-inline'" : "'self'"));
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    if (await handle?.(request, response)) return;
    const missing = () => response.writeHead(404).end(`no ${request.url}`);
    const folder = folders.find(({ prefix }) => request.url.startsWith(prefix));
    if (!folder) return missing();
    request.url = request.url.slice(folder.prefix.length - 1);
    folder.send(request, response, missing);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://localhost:${server.address().port}/`, close };
}
