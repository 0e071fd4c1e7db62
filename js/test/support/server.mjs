// Local servers that send files, count what they sent, and fail on demand.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Headers that a hub exposes to other origins, besides the common ones. */
const EXPOSED = ['ETag', 'Content-Range', 'Retry-After', 'X-Linked-ETag'];

/**
 * Starts a server that allows other origins, unless `refuses(request)`; returns its URL. `t` closes
 * it.
 */
export async function listen(t, handler, refuses = () => false) {
  const server = createServer((request, response) => {
    if (refuses(request)) return response.writeHead(403).end();
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', EXPOSED.join(', '));
    if (request.method !== 'OPTIONS') return handler(request, response);
    response.writeHead(204, { 'Access-Control-Allow-Headers': 'Authorization, Range' }).end();
  });
  server.listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

/** A URL without a server: it was closed just now. */
export async function deserted() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

/** Varied bytes that start like a GGUF file. */
export const pattern = (length, seed = 7) => {
  const bytes = Buffer.from(Uint8Array.from({ length }, (_, at) => (at * seed + (at >> 8) + (at >> 16)) & 255));
  bytes.write('GGUF');
  return bytes;
};

/** Varied bytes that start like a safetensors file. */
export const tensors = (length, seed) => {
  const bytes = pattern(length, seed);
  bytes.writeBigUInt64LE(BigInt(Math.min(16, length - 8)));
  bytes.write('{', 8);
  return bytes;
};

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Resolves when `condition()` holds; the test's time limit applies. */
export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * Serves a file as a careful server does: ranges, `If-Range`, a strong ETag. Changing the returned
 * object changes the server: `content`, `ranges`, `length`, `etag`, `lastModified`, `hidden`,
 * `rangesAbroad`. `fault(request, response, number)` may respond itself. `cut(number)`: bytes of a
 * body before the connection breaks. From position `holdFrom` on, sending pauses until it is
 * changed.
 */
export async function fileServer(t, content, options = {}) {
  const server = {
    content,
    ranges: true,
    length: true,
    etag: '"one"',
    lastModified: null,
    /** Names of headers that other origins cannot read. */
    hidden: [],
    /** Whether other origins may request parts. */
    rangesAbroad: true,
    /** Milliseconds before every response. */
    delay: 0,
    /** Open requests, now and at most. */
    open: 0,
    mostOpen: 0,
    fault: () => false,
    cut: () => Infinity,
    holdFrom: Infinity,
    /** Requests, as `start-end` (end exclusive) or `all`. */
    requests: [],
    /** How often each byte was sent, in complete and cut ranges. */
    sent: new Uint8Array(content.length),
    ...options,
  };
  const handler = async (request, response) => {
    const exposed = EXPOSED.filter((name) => !server.hidden.includes(name));
    response.setHeader('Access-Control-Expose-Headers', exposed.join(', '));
    server.mostOpen = Math.max(server.mostOpen, (server.open += 1));
    response.on('close', () => (server.open -= 1));
    if (server.delay) await new Promise((resolve) => setTimeout(resolve, server.delay));
    answer(server, request, response);
  };
  const origin = await listen(t, handler, (request) => !server.rangesAbroad && asksForPart(request));
  return Object.assign(server, { url: `${origin}/m.gguf` });
}

/** Whether a request asks for a part, or is the preflight of one. */
function asksForPart({ headers }) {
  return headers.range !== undefined || /\brange\b/i.test(headers['access-control-request-headers'] ?? '');
}

function answer(server, request, response) {
  const { content } = server;
  const number = server.requests.length;
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-range'];
  const isPart = server.ranges && range && (!condition || [server.etag, server.lastModified].includes(condition));
  const start = isPart ? Number(range[1]) : 0;
  const end = isPart ? Math.min(Number(range[2]) + 1, content.length) : content.length;
  server.requests.push(isPart ? `${start}-${end}` : 'all');
  if (server.fault(request, response, number)) return;
  if (server.etag) response.setHeader('ETag', server.etag);
  if (server.lastModified) response.setHeader('Last-Modified', server.lastModified);
  if (isPart && start >= content.length) {
    response.setHeader('Content-Range', `bytes */${content.length}`);
    return response.writeHead(416).end();
  }
  if (isPart) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`);
  if (server.length) response.setHeader('Content-Length', end - start);
  response.writeHead(isPart ? 206 : 200);
  const send = (from, to) => {
    for (let at = from; at < to; at += 1) server.sent[at] += 1;
    return content.subarray(from, to);
  };
  const held = Math.max(start, Math.min(end, server.holdFrom));
  const upTo = Math.min(held, start + server.cut(number));
  if (upTo === end) return response.end(send(start, end));
  response.flushHeaders();
  // Bytes in transit are lost when a connection breaks, and a slow machine takes a while to read
  // them.
  const sent = new Promise((resolve) => response.write(send(start, upTo), resolve));
  if (upTo < held) return void sent.then(() => setTimeout(() => response.destroy(), 100));
  void until(() => server.holdFrom >= end || response.destroyed).then(() => {
    if (!response.destroyed) response.end(send(held, end));
  });
}
