// What the demo page keeps of chats that were read, in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

const stored = (page, name) => page.locator('#stored-list > li', { hasText: name });
const button = (within, name) => within.getByRole('button', { name, exact: true });
const FIRST = 'SmolLM2-135M-Instruct';

/** Names of the rows, and how many of them are open to Load. */
const rows = (page) => page.locator('#stored-list > li .name').allTextContents();

async function toModels(page) {
  await button(page, 'Model').click();
  await view(page, 'picker');
}

test('a model shows what it has read of chats, and forgets it alone', { timeout }, async (t) => {
  const page = await open(t, { query: { chats: 'two' } });
  const row = stored(page, FIRST);
  assert.match(await row.locator('summary').textContent(), /98 MB, and 46 MB of chats/);
  assert.equal((await rows(page)).filter((name) => name.includes('prompt')).length, 0);
  await page.getByText('Models, and what they have read of chats, take 500 MB').waitFor();
  await row.locator('summary').press('Enter');
  await row.getByText('46 MB of chats that it has read').waitFor();
  await button(row, `Forget the chats that ${FIRST}.Q4_1.gguf has read`).press('Enter');
  await row.getByText('46 MB of chats').waitFor({ state: 'hidden' });
  assert.equal(await focused(page), 'summary');
  assert.match(await row.locator('summary').textContent(), /98 MB\s*$/);

  // A file of the user is not stored, and cannot be loaded from here.
  const file = stored(page, 'looms.gguf');
  assert.equal(await file.getByRole('button').count(), 1);
  await button(file, 'Forget the chats that looms.gguf has read').click();
  await file.waitFor({ state: 'detached' });
  assert.equal((await rows(page)).length, 2);
});

test('a model that is deleted takes with it what it has read', { timeout }, async (t) => {
  const page = await open(t, { query: { chats: 'two' } });
  await button(page, `Delete ${FIRST}.Q4_1.gguf`).click();
  await stored(page, FIRST).waitFor({ state: 'detached' });
  assert.deepEqual((await rows(page)).at(-1), 'looms.gguf');
});

test('a chat is kept once it was answered, and goes with any chat or turn that is deleted', { timeout }, async (t) => {
  const page = await open(t, { query: { chats: '', stored: '', used: 400 }, say: 'Yes.' });
  const kept = stored(page, FIRST).first().locator('summary');
  await load(page);
  await ask(page, 'What is a warp?');
  await toModels(page);
  await kept.getByText('of chats').waitFor();
  await button(page, '← Back to the chat').click();
  await button(page.locator('.turn'), 'More').click();
  await button(page.locator('.turn'), 'Delete').click();
  await toModels(page);
  await kept.waitFor();
  assert.equal(await page.getByText('of chats').count(), 0);

  await button(page, '← Back to the chat').click();
  await ask(page, 'And a weft?');
  await toModels(page);
  await kept.getByText('of chats').waitFor();
  await page.getByTestId('chats').click();
  await page.getByRole('button', { name: 'Delete And a weft?' }).click();
  await page.keyboard.press('Escape');
  await button(page, '← Back to the chat').click();
  await toModels(page);
  await kept.waitFor();
  assert.equal(await page.getByText('of chats').count(), 0);
});

test('a short chat is not kept', { timeout }, async (t) => {
  const page = await open(t, { query: { chats: '', stored: '', used: 200 }, say: 'Yes.' });
  await load(page);
  await ask(page, 'What is a warp?');
  await toModels(page);
  assert.doesNotMatch(await stored(page, FIRST).first().locator('summary').textContent(), /of chats/);
});

test('axe finds nothing where chats are stored, in any language and theme', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  for (const options of [
    { viewport: { width: 320, height: 640 } },
    { colorScheme: 'dark', viewport: { width: 320, height: 640 }, locale: 'de' },
    { viewport: { width: 320, height: 640 }, locale: 'ar' },
    { forcedColors: 'active' },
  ]) {
    const page = await open(t, { query: { chats: 'two' }, ...options });
    await page.locator('#stored-list summary').first().click();
    await page.locator('#stored-list .forget').first().waitFor();
    assert.deepEqual(await violations(page, axe), [], JSON.stringify(options));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
  }
});
