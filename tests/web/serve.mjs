// A static server as strict as a careful web site: cross-origin isolated, with a content security
// policy that forbids inline, evaluated and foreign scripts.

import { createServer } from 'node:http';
import sirv from 'sirv';

const strict = (scripts) =>
  `default-src 'self'; script-src ${scripts} 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:`;

/**
 * Serves folders, with byte ranges. `mounts` maps prefixes of paths (`/`, `/models/`, with a slash
 * at both ends) to folders; the longest match wins.
 * @param {Record<string, string>} mounts
 * @param {{ isolated?: boolean, inline?: boolean, policy?: string,
 *   handle?: (request, response) => boolean | Promise<boolean> }} options
 *   `isolated: false` omits the isolation headers; `inline` allows inline scripts; `policy`
 *   replaces the policy; `handle` may respond itself, and returns whether it did.
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
