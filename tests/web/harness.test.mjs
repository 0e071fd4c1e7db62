// The basis of the browser tests: what both browsers offer a module worker, and what the test
// server does.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { browsers } from './browsers.mjs';
import { serve } from './serve.mjs';

const folder = fileURLToPath(new URL('./harness', import.meta.url));
let server;
before(async () => (server = await serve({ '/': folder })));
after(() => server.close());

for (const [name, launch] of Object.entries(browsers)) {
  test(`${name}: WebGPU computes in a module worker, isolated, under the policy`, { timeout: 300_000 }, async () => {
    const browser = await launch();
    try {
      const page = await browser.newPage();
      await page.goto(server.url);
      let found;
      while (!(found = await page.evaluate(() => window.found)))
        await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(found, { gpu: [0, 7, 14, 21], isolated: true, evaluates: false });
    } finally {
      await browser.close();
    }
  });
}

test('the server sends whole files, ranges, and nothing outside its folders', async () => {
  const get = async (path, range) => {
    const response = await fetch(server.url + path, { headers: range ? { range } : {} });
    return { status: response.status, range: response.headers.get('content-range'), body: await response.text() };
  };
  const whole = await get('page.js');
  assert.equal(whole.status, 200);
  const size = whole.body.length;
  assert.deepEqual(await get('page.js', 'bytes=3-9'), {
    status: 206,
    range: `bytes 3-9/${size}`,
    body: whole.body.slice(3, 10),
  });
  assert.equal((await get('page.js', `bytes=${size}-`)).status, 416);
  assert.equal((await get('')).status, 200);
  assert.equal((await get('..%2fserve.mjs')).status, 404);
  assert.equal((await get('absent.js')).status, 404);
});
