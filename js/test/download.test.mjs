// Downloads that fail. A test's name is a row of a table: fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { listen, fileServer, pattern } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const SIZE = 21 * MIB + 12_345;
const content = pattern(SIZE);

const times = (sent) => [...new Set(sent)].join();

/** Answers the first `count` requests with a status. */
const failing = (count, status, headers = {}) => {
  return (_, response, number) => number < count && response.writeHead(status, headers).end('<h1>an error page</h1>');
};

test('nothing fails → the file → every byte is fetched once', async (t) => {
  const server = await fileServer(t, content);
  const { bytes, counts, notes, fetchedBytes } = await new Visitor().load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(times(server.sent), '1');
  assert.deepEqual(notes, []);
  assert.deepEqual(
    [counts.loaded, counts.total, counts.file, counts.fileLoaded, counts.fileTotal, fetchedBytes],
    [SIZE, SIZE, 'm.gguf', SIZE, SIZE, SIZE],
  );
});

test('a server that is slow to answer → nothing → every byte is fetched once, over several connections', async (t) => {
  const server = await fileServer(t, content, { delay: 600 });
  const { bytes } = await new Visitor().load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(times(server.sent), '1');
  assert.equal(server.mostOpen, 3);
});

test('connections break again and again → nothing → every byte that came', async (t) => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const cut = () => (random() < 0.9 ? Math.floor(random() * 2 * MIB) + 1 : Infinity);
  const server = await fileServer(t, content, { cut });
  const visitor = new Visitor();
  const { bytes } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(times(server.sent), '1', 'a part of a chunk that came is not fetched again');
  assert.ok(visitor.pauses.length >= 5);
});

for (const status of [429, 500, 503]) {
  test(`the server answers ${status} twice → a pause → everything`, async (t) => {
    const server = await fileServer(t, content, { fault: failing(2, status) });
    const visitor = new Visitor();
    const { bytes } = await visitor.load(server.url);
    assert.ok(bytes.equals(content));
    assert.equal(visitor.pauses.length, 2);
    assert.ok(visitor.pauses[1] > visitor.pauses[0], 'the second pause is longer');
  });
}

test('429 with Retry-After → the pause that was asked for → everything', async (t) => {
  const server = await fileServer(t, content, { fault: failing(1, 429, { 'Retry-After': '7' }) });
  const visitor = new Visitor();
  await visitor.load(server.url);
  assert.deepEqual(visitor.pauses, [7000]);
});

test('429 that asks for an hour → NETWORK at once → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: failing(9, 429, { 'Retry-After': '3600' }) });
  const visitor = new Visitor();
  await assert.rejects(visitor.load(server.url), { code: 'NETWORK', message: /answered 429 .*\(tried once\)/ });
  assert.deepEqual(visitor.pauses, []);
});

test('the server stays down → NETWORK with address and status, after a bounded number of attempts → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: failing(Infinity, 503) });
  const visitor = new Visitor();
  await assert.rejects(visitor.load(server.url), (error) => {
    assert.equal(error.code, 'NETWORK');
    assert.ok(error.message.includes(`cannot fetch ${server.url}: the server answered 503 Service Unavailable`));
    return true;
  });
  assert.equal(server.requests.length, 7);
});

test('404 → NETWORK with address and status, at once → nothing', async (t) => {
  const server = await fileServer(t, content, { fault: failing(Infinity, 404) });
  const visitor = new Visitor();
  await assert.rejects(visitor.load(server.url), {
    code: 'NETWORK',
    message: `cannot fetch ${server.url}: the server answered 404 Not Found`,
  });
  assert.equal(server.requests.length, 1);
  assert.deepEqual(await visitor.manifests.all(), []);
});

test('a connection goes silent, before its answer or in the middle of it → a pause → every byte that came', async (t) => {
  // The first request gets no answer, the third the beginning of one; neither is closed.
  const fault = ({ headers }, response, number) => {
    if (number === 2) {
      const start = Number(/\d+/.exec(headers.range)[0]);
      response.writeHead(206, { ETag: '"one"', 'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}` });
      response.write(content.subarray(start, start + 1000));
    }
    return number === 0 || number === 2;
  };
  const server = await fileServer(t, content, { fault });
  const visitor = new Visitor();
  visitor.downloads.stallMs = 400;
  const { bytes, notes } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.deepEqual(notes, []);
  assert.ok(visitor.pauses.length >= 2);
  for (let turns = 0; turns < 200 && server.open > 0; turns += 1) await sleep(10);
  assert.equal(server.open, 0, 'what is silent is given up');
});

test('every connection goes silent → NETWORK, which says for how long nothing came → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: () => true });
  const visitor = new Visitor();
  visitor.downloads.stallMs = 20;
  const message = /waiting for .*m\.gguf: nothing came for 0\.02 s\. \(tried 4 times\)/;
  await assert.rejects(visitor.load(server.url), { code: 'NETWORK', message });
  assert.equal(server.requests.length, 4);
});

test('no server → NETWORK with the address, after few attempts → nothing', async (t) => {
  const visitor = new Visitor();
  visitor.downloads.fetch = async () => {
    throw new TypeError('fetch failed');
  };
  await assert.rejects(visitor.load('http://localhost:1/m'), (error) => {
    assert.equal(error.code, 'NETWORK');
    assert.match(
      error.message,
      /cannot fetch http:\/\/localhost:1\/m: fetch failed\. Is the address right.*tried 4 times/,
    );
    return true;
  });
});

test('a server without ranges → nothing → everything, by one connection', async (t) => {
  const server = await fileServer(t, content, { ranges: false });
  const { bytes } = await new Visitor().load(server.url);
  assert.ok(bytes.equals(content));
  assert.deepEqual(server.requests, ['all']);
});

test('a server without ranges breaks off → nothing → the chunks that came, which are not read twice', async (t) => {
  const server = await fileServer(t, content, {
    ranges: false,
    cut: (number) => (number < 2 ? (number + 1) * 5.5 * MIB : Infinity),
  });
  const { bytes, fetchedBytes } = await new Visitor().load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(fetchedBytes, SIZE);
  assert.deepEqual(server.requests, ['all', 'all', 'all']);
});

test('a server that tells no length → nothing → everything', async (t) => {
  const server = await fileServer(t, content, { ranges: false, length: false });
  const visitor = new Visitor();
  const { bytes } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  const again = await visitor.load(server.url);
  assert.ok(again.bytes.equals(content));
  assert.equal(again.fetchedBytes, 0);
  assert.deepEqual(server.requests, ['all']);
});

test('a server that tells no length breaks off → nothing → what came', async (t) => {
  const cut = (number) => (number === 0 ? 9.5 * MIB : Infinity);
  const server = await fileServer(t, content, { ranges: false, length: false, cut });
  const { bytes } = await new Visitor().load(server.url);
  assert.ok(bytes.equals(content));
});

test('a server that compresses → nothing → everything', async (t) => {
  let count = 0;
  const packed = gzipSync(content);
  const origin = await listen(t, (_, response) => {
    count += 1;
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length, etag: '"z"' }).end(packed);
  });
  const visitor = new Visitor();
  const { bytes } = await visitor.load(`${origin}/m`);
  assert.ok(bytes.equals(content));
  assert.ok((await visitor.load(`${origin}/m`)).bytes.equals(content));
  assert.equal(count, 1);
});

test('a part without Content-Range, as other origins may hide it → nothing → everything, by one connection', async (t) => {
  const visitor = new Visitor();
  const server = await fileServer(t, content);
  visitor.downloads.fetch = async (url, init) => {
    const response = await fetch(url, init);
    const headers = new Headers(response.headers);
    headers.delete('content-range');
    return new Response(response.body, { status: response.status, headers });
  };
  assert.ok((await visitor.load(server.url)).bytes.equals(content));
  assert.equal(server.requests.at(-1), 'all');
});

test('a server that refuses requests for parts from other origins → nothing → everything', async (t) => {
  const visitor = new Visitor();
  const server = await fileServer(t, content);
  visitor.downloads.fetch = async (url, init) => {
    if (init.headers.Range) throw new TypeError('preflight failed');
    return fetch(url, init);
  };
  assert.ok((await visitor.load(server.url)).bytes.equals(content));
  assert.deepEqual(server.requests, ['all']);
});

test('an empty file → an empty stream → nothing', async (t) => {
  const server = await fileServer(t, Buffer.alloc(0));
  const visitor = new Visitor();
  assert.equal((await visitor.load(server.url)).bytes.length, 0);
  assert.equal((await visitor.load(server.url)).bytes.length, 0);
});

test('the file changes while it is read → FILE_CHANGED, which the page answers by reading it anew → nothing of the old one', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const onPiece = (length) => {
    if (length !== 2 * MIB) return;
    server.content = pattern(SIZE, 11);
    server.etag = '"two"';
  };
  await assert.rejects(visitor.load(server.url, { onPiece }), { code: 'FILE_CHANGED' });
  assert.deepEqual(await visitor.manifests.all(), []);
  assert.equal(visitor.blobs.files.size, 0);
  assert.ok((await visitor.load(server.url)).bytes.equals(server.content));
});

test('the file becomes shorter while it is read → FILE_CHANGED → nothing of the old one', async (t) => {
  const server = await fileServer(t, content, { etag: null });
  const visitor = new Visitor();
  const onPiece = (length) => {
    if (length === MIB) server.content = content.subarray(0, 3 * MIB);
  };
  await assert.rejects(visitor.load(server.url, { onPiece }), { code: 'FILE_CHANGED' });
  assert.equal(visitor.blobs.files.size, 0);
});

test('the reader stops → the requests end → what came', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  await visitor.load(server.url, { upTo: 5 * MIB });
  const requests = server.requests.length;
  assert.ok(visitor.blobs.files.size >= 5);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(server.requests.length, requests);
});

test('a slow reader → nothing → no more than a window is held in memory', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  let most = 0;
  const onPiece = async (length, received) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    most = Math.max(most, received - length);
  };
  await visitor.load(server.url, { onPiece, store: null });
  assert.ok(most > 0);
  assert.ok(most <= 12 * MIB, `${most / MIB} MiB came ahead of the reader`);
});
