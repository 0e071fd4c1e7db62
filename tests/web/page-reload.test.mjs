// What a reload of the demo page goes on with, each test in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, fakePage, load, pressInHead, state, view } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

const button = (within, name) => within.getByRole('button', { name, exact: true });
const questions = (page) => page.locator('.question').allTextContents();
const models = (page) => page.evaluate(() => Number(document.documentElement.dataset.models));
const file = { name: 'looms.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('GGUF') };

/** Waits until everything is saved, as a page that is hidden does. */
async function saved(page) {
  await page.getByTestId('chats').click();
  await page.locator('#chats-list li').first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
}

test('a chat whose model was a file says its name and asks for it again', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.' });
  await page.getByTestId('model-file').setInputFiles(file);
  await view(page, 'chat');
  await ask(page, 'What is a warp?');
  await saved(page);
  await page.reload();
  const error = page.getByTestId('error');
  await error.getByRole('heading', { name: 'your file looms.gguf' }).waitFor();
  // Asking does not lead to another model either.
  await button(error, 'Dismiss this error').click();
  await ask(page, 'And a weft?', null);
  assert.equal(await page.getByTestId('prompt').inputValue(), 'And a weft?');
  const choosing = page.waitForEvent('filechooser');
  await button(error, 'Choose the file').click();
  await (await choosing).setFiles(file);
  await page.getByTestId('engine').getByText('smollm2 135M').waitFor();
  await page.getByTestId('send').click();
  await state(page, 'answered');
  assert.deepEqual(await questions(page), ['What is a warp?', 'And a weft?']);
});

test('a reload loads the stored model again, and shows the same task', { timeout }, async (t) => {
  const page = await open(t, { query: { stored: '' } });
  await load(page);
  await pressInHead(page, 'tasks');
  await page.locator('#task-translate').click();
  await page.locator('#task-title').waitFor();
  await page.reload();
  await view(page, 'tasks');
  assert.match(await page.locator('#task-title').textContent(), /Translate/);
  assert.equal(await models(page), 1);
  assert.equal(await page.getByTestId('missing').count(), 0);
  await page.goBack();
  await page.locator('#tasks-title').waitFor();
  assert.equal(await models(page), 1);
});

test('a reload of the inspector or a comparison loads the stored model again', { timeout }, async (t) => {
  const page = await open(t, { query: { stored: '' }, say: 'Yes.' });
  await load(page);
  await ask(page, 'What is a warp?');
  await saved(page);
  await button(page.locator('.turn'), 'More').click();
  await button(page.locator('.turn'), 'Compare').click();
  await view(page, 'compare');
  await page.reload();
  await view(page, 'compare');
  assert.equal(await page.locator('#compare-prompt').inputValue(), 'What is a warp?');
  assert.equal(await models(page), 1);
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  assert.deepEqual(await questions(page), ['What is a warp?']);
  await pressInHead(page, 'inspector');
  await view(page, 'inspector');
  await page.reload();
  await view(page, 'inspector');
  assert.equal(await models(page), 1);
});

test('a reload where the model was a file asks for it, and goes back to where it was used', { timeout }, async (t) => {
  for (const place of ['tasks', 'inspector', 'open-compare']) {
    const page = await open(t);
    await page.getByTestId('model-file').setInputFiles(file);
    await view(page, 'chat');
    await pressInHead(page, place);
    const name = place.replace('open-', '');
    await view(page, name);
    await page.reload();
    await page.getByTestId('error').getByRole('heading', { name: 'your file looms.gguf' }).waitFor();
    const choosing = page.waitForEvent('filechooser');
    await button(page.getByTestId('error'), 'Choose the file').click();
    await (await choosing).setFiles(file);
    await view(page, name);
    assert.equal(await models(page), 1);
  }
});

test('a reload where the model is stored no more says so', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await pressInHead(page, 'tasks');
  await view(page, 'tasks');
  await page.reload();
  await page.getByTestId('error').getByText('is not stored on this device').waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Back to the tasks' }).click();
  await view(page, 'tasks');
});
