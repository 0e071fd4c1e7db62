// Failing downloads from another origin. Test names are rows of a table: fault → what the user sees
// → what is kept. The tests run here with storage in memory, and in tests/web/faults.test.mjs in a
// browser. They use either only through the visitor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { deserted, listen, fileServer, pattern, sha256, until } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const SIZE = 21 * MIB + 12_345;
const content = pattern(SIZE);
const hash = sha256(content);

const times = (sent) => [...new Set(sent)].join();

/** Answers the first `count` requests with this status. */
const failing = (count, status, headers = {}) => {
  return (_, response, number) => number < count && response.writeHead(status, headers).end('<h1>an error page</h1>');
};

test('nothing fails → the file → every byte is fetched once', async (t) => {
  const server = await fileServer(t, content);
  const { counts, notes, fetchedBytes, ...got } = await new Visitor(t).load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(times(server.sent), '1');
  assert.deepEqual(notes, []);
  assert.deepEqual(
    [counts.loaded, counts.total, counts.file, counts.fileLoaded, counts.fileTotal, fetchedBytes],
    [SIZE, SIZE, 'm.gguf', SIZE, SIZE, SIZE],
  );
});

test('the file grows after the first response of a server without versions → FILE_CHANGED → nothing; the next load has the new file', async (t) => {
  const server = await fileServer(t, content.subarray(0, 5 * MIB + 77), { etag: null });
  server.fault = (_, __, number) => {
    if (number === 0) server.content = content;
    return false;
  };
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), { code: 'FILE_CHANGED' });
  assert.equal(await visitor.storedBytes(), 0);
  assert.equal((await visitor.load(server.url)).sha256, hash);
});

test('a server that is slow to answer → nothing → every byte is fetched once, over several connections', async (t) => {
  const server = await fileServer(t, content, { delay: 600 });
  const got = await new Visitor(t).load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(times(server.sent), '1');
  assert.ok(server.mostOpen > 1, `${server.mostOpen} connection`);
});

test('connections break again and again → nothing → every byte that came', async (t) => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  let cuts = 0;
  const cut = () => (random() < 0.9 ? ((cuts += 1), Math.floor(random() * 2 * MIB) + 1) : Infinity);
  const server = await fileServer(t, content, { cut });
  const visitor = new Visitor(t);
  const got = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  const again = server.sent.reduce((sum, sent) => sum + sent, 0) - SIZE;
  assert.ok(again <= cuts * Visitor.lostWithConnection, `${again} bytes were sent again after ${cuts} cuts`);
  assert.ok(visitor.pauses.length >= 5);
});

for (const status of [429, 500, 503]) {
  test(`the server answers ${status} twice → a pause → everything`, async (t) => {
    const server = await fileServer(t, content, { fault: failing(2, status) });
    const visitor = new Visitor(t);
    const got = await visitor.load(server.url);
    assert.equal(got.sha256, hash);
    assert.equal(visitor.pauses.length, 2);
    assert.ok(visitor.pauses[1] > visitor.pauses[0], 'the second pause is longer');
  });
}

test('429 with Retry-After → that pause → everything', async (t) => {
  const server = await fileServer(t, content, { fault: failing(1, 429, { 'Retry-After': '7' }) });
  const visitor = new Visitor(t);
  await visitor.load(server.url);
  assert.deepEqual(visitor.pauses, [7000]);
});

test('429 that asks for an hour → NETWORK at once → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: failing(9, 429, { 'Retry-After': '3600' }) });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), { code: 'NETWORK', message: /answered 429 .*\(tried once\)/ });
  assert.deepEqual(visitor.pauses, []);
});

test('the server stays down → NETWORK with address and status, after a bounded number of attempts → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: failing(Infinity, 503) });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), (error) => {
    assert.equal(error.code, 'NETWORK');
    assert.ok(error.message.includes(`cannot fetch ${server.url}: the server answered 503 Service Unavailable`));
    return true;
  });
  assert.equal(server.requests.length, 7);
});

test('404 → NETWORK with address and status, at once → nothing', async (t) => {
  const server = await fileServer(t, content, { fault: failing(Infinity, 404) });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), {
    code: 'NETWORK',
    message: `cannot fetch ${server.url}: the server answered 404 Not Found. Is the address right?`,
  });
  assert.equal(server.requests.length, 1);
  assert.deepEqual(await visitor.manifests(), []);
});

test('a connection goes silent, before its response or within it → a pause → every byte that came', async (t) => {
  // The first request gets no response, the third only the start of one; neither is closed.
  const fault = ({ headers }, response, number) => {
    if (number === 2) {
      const start = Number(/\d+/.exec(headers.range)[0]);
      response.writeHead(206, { ETag: '"one"', 'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}` });
      response.write(content.subarray(start, start + 1000));
    }
    return number === 0 || number === 2;
  };
  const server = await fileServer(t, content, { fault });
  const visitor = new Visitor(t);
  const { notes, ...got } = await visitor.load(server.url, { stallMs: 2000 });
  assert.equal(got.sha256, hash);
  assert.deepEqual(notes, []);
  assert.ok(visitor.pauses.length >= 2);
  await until(() => server.open === 0); // silent connections are given up
});

test('every connection goes silent → NETWORK with the seconds of silence → what was there', async (t) => {
  const server = await fileServer(t, content, { fault: () => true });
  const visitor = new Visitor(t);
  const message = /waiting for .*m\.gguf: nothing came for 1 s\. \(tried 4 times\)/;
  await assert.rejects(visitor.load(server.url, { stallMs: 1000 }), { code: 'NETWORK', message });
  assert.equal(server.requests.length, 4);
});

test('no server → NETWORK with the address, after few attempts → nothing', async (t) => {
  const visitor = new Visitor(t);
  const url = `${await deserted()}/m.gguf`;
  await assert.rejects(visitor.load(url), (error) => {
    assert.equal(error.code, 'NETWORK');
    assert.ok(error.message.startsWith(`cannot fetch ${url}: `));
    assert.match(error.message, /[Ii]s the address right.*tried 4 times/);
    return true;
  });
  assert.deepEqual(await visitor.manifests(), []);
});

test('a server without ranges → nothing → everything, by one connection', async (t) => {
  const server = await fileServer(t, content, { ranges: false });
  const got = await new Visitor(t).load(server.url);
  assert.equal(got.sha256, hash);
  assert.deepEqual(server.requests, ['all']);
});

test('a server without ranges breaks off → nothing → the chunks that came; none is read twice', async (t) => {
  const server = await fileServer(t, content, {
    ranges: false,
    cut: (number) => (number < 2 ? (number + 1) * 5.5 * MIB : Infinity),
  });
  const { fetchedBytes, ...got } = await new Visitor(t).load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(fetchedBytes, SIZE);
  assert.deepEqual(server.requests, ['all', 'all', 'all']);
});

test('a server without Content-Length → nothing → everything', async (t) => {
  const server = await fileServer(t, content, { ranges: false, length: false });
  const visitor = new Visitor(t);
  const got = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  const again = await visitor.load(server.url);
  assert.equal(again.sha256, hash);
  assert.equal(again.fetchedBytes, 0);
  assert.deepEqual(server.requests, ['all']);
});

test('a server without Content-Length breaks off → nothing → what came', async (t) => {
  const cut = (number) => (number === 0 ? 9.5 * MIB : Infinity);
  const server = await fileServer(t, content, { ranges: false, length: false, cut });
  const got = await new Visitor(t).load(server.url);
  assert.equal(got.sha256, hash);
});

test('a server that compresses → nothing → everything', async (t) => {
  let count = 0;
  const packed = gzipSync(content);
  const origin = await listen(t, (_, response) => {
    count += 1;
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length, etag: '"z"' }).end(packed);
  });
  const visitor = new Visitor(t);
  const got = await visitor.load(`${origin}/m`);
  assert.equal(got.sha256, hash);
  // Chromium requests parts without compression and refuses others; the whole file is then
  // requested.
  assert.ok(count <= 2, `${count} requests`);
  const { fetchedBytes, ...again } = await visitor.load(`${origin}/m`);
  assert.equal(again.sha256, hash);
  assert.equal(fetchedBytes, 0);
});

test('a server that compresses parts → nothing → everything', async (t) => {
  const fault = ({ headers }, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    if (!range) return false;
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, SIZE)];
    const told = { 'Content-Range': `bytes ${start}-${end - 1}/${SIZE}`, 'Content-Encoding': 'gzip' };
    return response.writeHead(206, told).end(gzipSync(content.subarray(start, end)));
  };
  const server = await fileServer(t, content, { fault });
  assert.equal((await new Visitor(t).load(server.url)).sha256, hash);
});

test('another origin hides Content-Range → nothing → everything, by one connection', async (t) => {
  const server = await fileServer(t, content, { hidden: ['Content-Range'] });
  assert.equal((await new Visitor(t).load(server.url)).sha256, hash);
  assert.equal(server.requests.at(-1), 'all');
});

test('a server refuses ranges to other origins → nothing → everything', async (t) => {
  const server = await fileServer(t, content, { rangesAbroad: false });
  assert.equal((await new Visitor(t).load(server.url)).sha256, hash);
  assert.deepEqual(server.requests, ['all']);
});

test('an empty file → an empty stream → nothing', async (t) => {
  const server = await fileServer(t, Buffer.alloc(0));
  const visitor = new Visitor(t);
  assert.equal((await visitor.load(server.url)).length, 0);
  assert.equal((await visitor.load(server.url)).length, 0);
});

test('the file changes while it is read → FILE_CHANGED; the page reads it again → nothing of the old one', async (t) => {
  // a fast server would have sent the whole file before the page tells its position
  const server = await fileServer(t, content, { holdFrom: 3 * MIB });
  const visitor = new Visitor(t);
  const onPiece = (length) => {
    if (length !== 2 * MIB) return;
    server.content = pattern(SIZE, 11);
    server.etag = '"two"';
    server.holdFrom = Infinity;
  };
  await assert.rejects(visitor.load(server.url, { onPiece }), { code: 'FILE_CHANGED' });
  assert.deepEqual(await visitor.manifests(), []);
  assert.equal(await visitor.storedBytes(), 0);
  assert.equal((await visitor.load(server.url)).sha256, sha256(server.content));
});

test('the file becomes shorter while it is read → FILE_CHANGED → nothing of the old one', async (t) => {
  // the second response has the whole file, and breaks off
  const cut = (number) => (number === 1 ? 5.5 * MIB : Infinity);
  const server = await fileServer(t, content, { etag: null, cut });
  const visitor = new Visitor(t);
  const onPiece = (length) => {
    if (length === MIB) server.content = content.subarray(0, 3 * MIB);
  };
  await assert.rejects(visitor.load(server.url, { onPiece }), { code: 'FILE_CHANGED' });
  assert.equal(await visitor.storedBytes(), 0);
});

test('a server sends neither ETag nor Last-Modified → nothing → everything, by one connection at a time', async (t) => {
  let cuts = 0;
  const cut = () => ((cuts += 1) < 6 ? 3.5 * MIB : Infinity);
  const server = await fileServer(t, content, { etag: null, cut });
  assert.equal((await new Visitor(t).load(server.url)).sha256, hash);
  assert.equal(cuts, 6);
  assert.ok(server.mostOpen <= 2, 'the first request is left for the second');
});

test('a server sends neither ETag nor Last-Modified, and the file changes when a connection breaks → FILE_CHANGED → nothing of the old one', async (t) => {
  const cut = (number) => (number === 1 ? 5.5 * MIB : Infinity);
  const server = await fileServer(t, content, { etag: null, cut });
  const visitor = new Visitor(t);
  const onPiece = (length) => {
    if (length === MIB) server.content = pattern(SIZE, 11);
  };
  await assert.rejects(visitor.load(server.url, { onPiece }), { code: 'FILE_CHANGED' });
  assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
});

test('a server sends another ETag with each response → nothing → everything', async (t) => {
  let answers = 0;
  const fault = () => ((server.etag = `"${(answers += 1)}"`), false);
  const server = await fileServer(t, content, { fault, cut: (number) => (number === 6 ? 7.5 * MIB : Infinity) });
  const { sha256, fetchedBytes } = await new Visitor(t).load(server.url);
  assert.equal(sha256, hash);
  assert.equal(fetchedBytes, SIZE, 'what comes twice counts once');
});

test('a connection brings a byte at a time and breaks → NETWORK, after a bounded number of attempts → what was there', async (t) => {
  const server = await fileServer(t, content, { cut: () => 1 });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), { code: 'NETWORK', message: /tried 7 times/ });
  assert.ok(server.requests.length <= 8, `${server.requests.length} requests`);
});

test('a connection brings a byte at a time for ever → NETWORK with the bytes that came → what was there', async (t) => {
  const fault = ({ headers }, response) => {
    const [start, last] = headers.range.match(/\d+/g);
    response.writeHead(206, { ETag: '"one"', 'Content-Range': `bytes ${start}-${last}/${SIZE}` });
    const timer = setInterval(() => response.write('G'), 20);
    response.on('close', () => clearInterval(timer));
    return true;
  };
  const server = await fileServer(t, content, { fault });
  const visitor = new Visitor(t);
  const message = /reading .*m\.gguf broke off after \d+ bytes: \d+ bytes came in \d+ s\. \(tried 7 times\)/;
  await assert.rejects(visitor.load(server.url, { stallMs: 300 }), { code: 'NETWORK', message });
});

test('the reader stops → the requests end → what came', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url, { upTo: 5 * MIB });
  await until(async () => (await visitor.storedBytes()) >= 5 * MIB);
  await until(() => server.open === 0);
  const requests = server.requests.length;
  await sleep(100);
  assert.equal(server.requests.length, requests);
});

test('the reader is slow → nothing → at most a window is held in memory', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  let most = 0;
  const onPiece = async (length, received) => {
    await sleep(30);
    most = Math.max(most, received - length);
  };
  await visitor.load(server.url, { onPiece, store: null });
  assert.ok(most > 0);
  assert.ok(most <= 12 * MIB, `${most / MIB} MiB came ahead of the reader`);
});
