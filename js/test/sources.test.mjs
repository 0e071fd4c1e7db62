// Addresses of hubs and of split files, against servers that answer as a hub does. A name with arrows is a row of
// docs/RELIABILITY.md: fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLoad } from '../dist/options.js';
import { storedModels } from '../dist/store/models.js';
import { fileServer, listen, pattern, sha256 } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const content = pattern(6 * MIB + 99);

/**
 * A hub: it knows who asks, tells a file's hash, and sends everyone on to where the bytes are. `requests` has what it was asked for, and
 * `told` may be changed.
 */
async function hub(t) {
  const files = await fileServer(t, content);
  const seen = { requests: [], elsewhere: [], told: { 'X-Linked-ETag': `"${sha256(content)}"`, ETag: '"one"' } };
  files.fault = ({ headers }, response) => {
    seen.elsewhere.push(headers.authorization);
    // Node's fetch, as it has no origin, sees what a browser's sees of a hub that exposes these headers.
    for (const [name, value] of Object.entries(seen.told)) response.setHeader(name, value);
    return false;
  };
  files.etag = null;
  seen.url = await listen(t, ({ url, headers }, response) => {
    seen.requests.push({ url, token: headers.authorization });
    if (seen.secret && headers.authorization !== `Bearer ${seen.secret}`) return response.writeHead(401).end('who?');
    response.writeHead(302, { Location: files.url }).end();
  });
  return seen;
}

const filesOf = (options) => checkLoad(options).files;

test('a file of a hub: its path, revision and token are asked for, its hash is checked, and it is stored by its name', async (t) => {
  const seen = await hub(t);
  seen.secret = 'hf_secret';
  const visitor = new Visitor();
  const source = 'hf:owner/repository/some folder/m.gguf@refs/pr/7';
  const files = filesOf({ model: source, hub: `${seen.url}/`, token: seen.secret });
  assert.ok((await visitor.load(files)).bytes.equals(content));
  assert.ok(seen.requests.length > 0);
  for (const { url, token } of seen.requests) {
    assert.equal(url, '/owner/repository/resolve/refs%2Fpr%2F7/some%20folder/m.gguf');
    assert.equal(token, 'Bearer hf_secret');
  }
  assert.deepEqual([...new Set(seen.elsewhere)], [undefined], 'the token goes to the hub alone');
  const [stored] = await storedModels(visitor.downloads).list();
  assert.deepEqual([stored.source, stored.complete, stored.sha256], [source, true, sha256(content)]);
  assert.equal((await visitor.load(files)).fetchedBytes, 0);
});

test('without a revision it is `main`, and without a token nobody is told who asks', async (t) => {
  const seen = await hub(t);
  const visitor = new Visitor();
  await visitor.load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url }));
  const [{ url, token }] = seen.requests;
  assert.deepEqual([url, token], ['/owner/repository/resolve/main/m.gguf', undefined]);
  assert.deepEqual(await storedModels(visitor.downloads).delete('hf:owner/repository/m.gguf'), true);
});

test('a hub that wants another token → NETWORK with address and status → nothing', async (t) => {
  const seen = await hub(t);
  seen.secret = 'hf_secret';
  const load = new Visitor().load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url, token: 'old' }));
  await assert.rejects(load, { code: 'NETWORK', message: /owner\/repository\/resolve\/main\/m\.gguf.* answered 401/ });
  assert.equal(seen.requests.length, 1);
});

test('a hub sends another file than the one whose hash it tells → INTEGRITY with both → nothing of it', async (t) => {
  const seen = await hub(t);
  const told = sha256(pattern(3));
  seen.told['X-Linked-ETag'] = `"${told}"`;
  const visitor = new Visitor();
  const load = visitor.load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url }));
  await assert.rejects(load, {
    code: 'INTEGRITY',
    message: new RegExp(`${told}.*${sha256(content)}|${sha256(content)}.*${told}`),
  });
  assert.equal(visitor.blobs.files.size, 0);
});

test('a hash is taken from a hub alone, and only where it is one of the whole file', async (t) => {
  const told = sha256(pattern(3));
  for (const [model, headers] of [
    ['hf:owner/repository/m.gguf', { 'X-Linked-ETag': `W/"${told}"`, ETag: `"${told.slice(0, 40)}"` }],
    [null, { 'X-Linked-ETag': `"${told}"`, ETag: `"${told}"` }],
  ]) {
    const seen = await hub(t);
    seen.told = headers;
    const visitor = new Visitor();
    const files = filesOf({ model: model ?? `${seen.url}/m.gguf`, hub: seen.url });
    assert.ok((await visitor.load(files)).bytes.equals(content));
    assert.equal((await storedModels(visitor.downloads).list())[0].sha256, null);
  }
});

test('the first part of a split file brings the others, in order, each stored by its own name', async (t) => {
  const sizes = [2 * MIB + 5, MIB, 777];
  const parts = sizes.map((size, index) => pattern(size, 3 + 2 * index));
  const requests = new Set();
  const origin = await listen(t, ({ url }, response) => {
    requests.add(url);
    const number = /m-0000([123])-of-00003\.gguf/.exec(url)?.[1];
    if (!number) return response.writeHead(404).end();
    const part = parts[number - 1];
    response.writeHead(200, { 'Content-Length': part.length, ETag: `"${number}"` }).end(part);
  });
  const names = [1, 2, 3].map((number) => `m-0000${number}-of-00003.gguf`);
  for (const [model, paths, sources] of [
    [`${origin}/a/${names[0]}?download=true`, names.map((name) => `/a/${name}?download=true`)],
    [
      `hf:owner/repository/${names[0]}@v1`,
      names.map((name) => `/owner/repository/resolve/v1/${name}`),
      names.map((name) => `hf:owner/repository/${name}@v1`),
    ],
  ]) {
    requests.clear();
    const visitor = new Visitor();
    const files = filesOf({ model, hub: origin });
    const { bytes, counts } = await visitor.load(files, { sha256: parts.map(sha256) });
    assert.ok(bytes.equals(Buffer.concat(parts)));
    assert.deepEqual([...requests], paths);
    assert.equal(counts.loaded, bytes.length);
    const stored = (await storedModels(visitor.downloads).list()).map(({ source }) => source);
    assert.deepEqual(stored.sort(), sources ?? paths.map((path) => origin + path));
    assert.equal((await visitor.load(files)).fetchedBytes, 0);
  }
  // Parts that are named one by one are no more than that.
  const { bytes } = await new Visitor().load(filesOf({ model: [`${origin}/${names[0]}`, `${origin}/${names[2]}`] }));
  assert.ok(bytes.equals(Buffer.concat([parts[0], parts[2]])));
});

test('a part of a split file is missing → NETWORK, which names it → the parts before it', async (t) => {
  const part = pattern(MIB);
  const origin = await listen(t, ({ url }, response) =>
    url.includes('00001') ? response.writeHead(200, { ETag: '"1"' }).end(part) : response.writeHead(404).end(),
  );
  const visitor = new Visitor();
  const load = visitor.load(filesOf({ model: `${origin}/m-00001-of-00002.gguf` }));
  await assert.rejects(load, { code: 'NETWORK', message: /m-00002-of-00002\.gguf: the server answered 404/ });
  assert.equal(visitor.blobs.bytes, MIB);
});
