// Addresses of hubs and split files, with servers that respond like a hub. A name with arrows is a
// row of docs/RELIABILITY.md: fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLoad } from '../dist/options/load.js';
import { fileServer, listen, pattern, sha256 } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const content = pattern(6 * MIB + 99);

/**
 * A hub: checks the token, reports a file's hash, and redirects to the bytes. `requests`: what was
 * requested. `told` can be changed.
 */
async function hub(t) {
  const files = await fileServer(t, content);
  const seen = { requests: [], elsewhere: [], told: { 'X-Linked-ETag': `"${sha256(content)}"`, ETag: '"one"' } };
  files.fault = ({ headers }, response) => {
    seen.elsewhere.push(headers.authorization);
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

test('a file of a hub is fetched by path, revision and token, checked by hash, and stored by its URL', async (t) => {
  const seen = await hub(t);
  seen.secret = 'hf_secret';
  const visitor = new Visitor(t);
  const source = 'hf:owner/repository/some folder/m.gguf@refs/pr/7';
  const files = filesOf({ model: source, hub: `${seen.url}/`, token: seen.secret });
  assert.equal((await visitor.load(files)).sha256, sha256(content));
  assert.ok(seen.requests.length > 0);
  for (const { url, token } of seen.requests) {
    assert.equal(url, '/owner/repository/resolve/refs%2Fpr%2F7/some%20folder/m.gguf');
    assert.equal(token, 'Bearer hf_secret');
  }
  assert.deepEqual([...new Set(seen.elsewhere)], [undefined], 'the token goes to the hub alone');
  const [[stored, manifest]] = await visitor.manifests();
  assert.deepEqual([stored, stored.startsWith(seen.url)], [files[0].url, true]);
  assert.deepEqual([manifest.sha256, await visitor.namedBytes()], [sha256(content), content.length]);
  assert.equal(filesOf({ model: source })[0].key, source, 'of the default hub, by its name');
  assert.equal((await visitor.load(files)).fetchedBytes, 0);
});

test('the revision is `main` by default, and without a token there is no Authorization header', async (t) => {
  const seen = await hub(t);
  const visitor = new Visitor(t);
  await visitor.load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url }));
  const [{ url, token }] = seen.requests;
  assert.deepEqual([url, token], ['/owner/repository/resolve/main/m.gguf', undefined]);
  assert.equal(await visitor.deleteModel('hf:owner/repository/m.gguf'), false);
  assert.equal(await visitor.deleteModel('hf:owner/repository/m.gguf', { hub: seen.url }), true);
});

test('a hub refuses the token → NETWORK with URL and status → nothing', async (t) => {
  const seen = await hub(t);
  seen.secret = 'hf_secret';
  const load = new Visitor(t).load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url, token: 'old' }));
  await assert.rejects(load, { code: 'NETWORK', message: /owner\/repository\/resolve\/main\/m\.gguf.* answered 401/ });
  assert.equal(seen.requests.length, 1);
});

test('a hub sends a file with another hash than it says → INTEGRITY with both hashes → nothing of it', async (t) => {
  const seen = await hub(t);
  const told = sha256(pattern(3));
  seen.told['X-Linked-ETag'] = `"${told}"`;
  const visitor = new Visitor(t);
  const load = visitor.load(filesOf({ model: 'hf:owner/repository/m.gguf', hub: seen.url }));
  await assert.rejects(load, {
    code: 'INTEGRITY',
    message: new RegExp(`${told}.*${sha256(content)}|${sha256(content)}.*${told}`),
  });
  assert.equal(await visitor.storedBytes(), 0);
});

test('only a hub’s hash of the whole file is checked', async (t) => {
  const told = sha256(pattern(3));
  for (const [model, headers] of [
    ['hf:owner/repository/m.gguf', { 'X-Linked-ETag': `W/"${told}"`, ETag: `"${told.slice(0, 40)}"` }],
    [null, { 'X-Linked-ETag': `"${told}"`, ETag: `"${told}"` }],
  ]) {
    const seen = await hub(t);
    seen.told = headers;
    const visitor = new Visitor(t);
    const files = filesOf({ model: model ?? `${seen.url}/m.gguf`, hub: seen.url });
    assert.equal((await visitor.load(files)).sha256, sha256(content));
    assert.equal((await visitor.manifests())[0][1].sha256, null);
  }
});

test('the first part of a split file brings the others, in order, each stored under its own name', async (t) => {
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
  for (const [model, paths] of [
    [`${origin}/a/${names[0]}?download=true`, names.map((name) => `/a/${name}?download=true`)],
    [`hf:owner/repository/${names[0]}@v1`, names.map((name) => `/owner/repository/resolve/v1/${name}`)],
  ]) {
    requests.clear();
    const visitor = new Visitor(t);
    const files = filesOf({ model, hub: origin });
    const whole = Buffer.concat(parts);
    const { counts, ...got } = await visitor.load(files, { sha256: parts.map(sha256) });
    assert.equal(got.sha256, sha256(whole));
    assert.deepEqual([...requests], paths);
    assert.equal(counts.loaded, whole.length);
    const stored = (await visitor.manifests()).map(([source]) => source);
    assert.deepEqual(
      stored.sort(),
      paths.map((path) => origin + path),
    );
    assert.equal((await visitor.load(files)).fetchedBytes, 0);
  }
  // Parts that are named one by one are not extended.
  const got = await new Visitor(t).load(filesOf({ model: [`${origin}/${names[0]}`, `${origin}/${names[2]}`] }));
  assert.equal(got.sha256, sha256(Buffer.concat([parts[0], parts[2]])));
});

test('a name with part 1 of 0 is a single file', async (t) => {
  const whole = pattern(MIB);
  const origin = await listen(t, (_, response) => response.writeHead(200, { ETag: '"1"' }).end(whole));
  const got = await new Visitor(t).load(filesOf({ model: `${origin}/m-00001-of-00000.gguf` }));
  assert.equal(got.sha256, sha256(whole));
});

test('a part of a split file is missing → NETWORK with its name → the parts before it', async (t) => {
  const part = pattern(MIB);
  const origin = await listen(t, ({ url }, response) =>
    url.includes('00001') ? response.writeHead(200, { ETag: '"1"' }).end(part) : response.writeHead(404).end(),
  );
  const visitor = new Visitor(t);
  const load = visitor.load(filesOf({ model: `${origin}/m-00001-of-00002.gguf` }));
  await assert.rejects(load, { code: 'NETWORK', message: /m-00002-of-00002\.gguf: the server answered 404/ });
  assert.equal(await visitor.storedBytes(), MIB);
});

test('two hubs have a file of one name → the file of the hub in use → both', async (t) => {
  const visitor = new Visitor(t);
  const [one, other] = await Promise.all([3, 5].map((seed) => fileServer(t, pattern(MIB, seed))));
  const filesAt = ({ url }) => filesOf({ model: 'hf:owner/repository/m.gguf', hub: new URL(url).origin });
  for (const server of [one, other, one]) {
    assert.equal((await visitor.load(filesAt(server))).sha256, sha256(server.content));
  }
  assert.equal((await visitor.manifests()).length, 2);
});

test('an hf: URL leads out of its repository → INVALID_OPTION → nothing is fetched', () => {
  const elsewhere = [
    ...['hf:o/r/../../../api/x', 'hf:o/r/a/./b.gguf', 'hf:o/r/a//b.gguf', 'hf:../r/x.gguf', 'hf:o/../x.gguf', 'hf:./r'],
    ...[
      'hf:o/r/%2e%2e/x.gguf',
      'hf:o/r/%252E%252e/x.gguf',
      'hf:o/r/a%2fb.gguf',
      'hf:o/r/..\\x.gguf',
      'hf:o/r/a%5Cb.gguf',
    ],
    ...['hf:o/r/x.gguf@..', 'hf:o/r/x.gguf@../main', 'hf:o/r/x.gguf@a/%2e%2e', 'hf:o/r/x.gguf@a//b', 'hf:o/r/a/../'],
    ...[
      'hf:o/r/a\nb.gguf',
      'hf:o/r?x/y.gguf',
      'hf:o/r#x/y.gguf',
      'hf:o%2f/r/x.gguf',
      'hf:%2e%2e/r/x.gguf',
      'hf:o/r/..@main',
    ],
  ];
  for (const model of elsewhere) {
    assert.throws(() => filesOf({ model }), { code: 'INVALID_OPTION', message: /hf:owner\/repository/ }, model);
  }
  for (const model of [
    'hf:o/r',
    'hf:o/r/',
    'hf:o/r/a b/100%.gguf',
    'hf:o/r/..a/b...gguf',
    'hf:o.x/r-1_2/x@refs/pr/7',
  ]) {
    const [{ url }] = filesOf({ model });
    assert.ok(
      url.startsWith(`https://huggingface.co/${model.slice(3).split(/[/@]/).slice(0, 2).join('/')}/resolve/`),
      url,
    );
  }
});
