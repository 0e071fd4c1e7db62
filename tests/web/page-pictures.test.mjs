// Pictures in the page's chat: how they come into a question, and where they are shown.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { fakePage, load, state, violations } from './page.mjs';

const axe = readFileSync(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');

const open = fakePage();

/** A file of a picture, as a browser writes it. */
const picture = async (page, width, height) => {
  const bytes = await page.evaluate(
    async ([width, height]) => {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d');
      context.fillStyle = 'teal';
      context.fillRect(0, 0, width, height / 2);
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    },
    [width, height],
  );
  return { name: 'picture.png', mimeType: 'image/png', buffer: Buffer.from(bytes) };
};

/** Gives the files to the page as a paste or a drop does. */
const give = (page, selector, event, { name, mimeType, buffer }) =>
  page.evaluate(
    ({ selector, event, name, mimeType, bytes }) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type: mimeType }));
      const init = { bubbles: true, cancelable: true };
      const given =
        event === 'paste'
          ? new ClipboardEvent('paste', { ...init, clipboardData: data })
          : new DragEvent('drop', { ...init, dataTransfer: data });
      document.querySelector(selector).dispatchEvent(given);
    },
    { selector, event, name, mimeType, bytes: [...buffer] },
  );

test('a picture comes by a button, by pasting and by dropping, and is shown in its question', async (t) => {
  const page = await open(t, { query: { sees: '' } });
  await load(page);
  const file = await picture(page, 40, 30);
  await page.getByTestId('pictures').setInputFiles([file]);
  await page.getByRole('img', { name: 'Picture 1' }).waitFor();
  await give(page, '#prompt', 'paste', file);
  await page.getByRole('img', { name: 'Picture 2' }).waitFor();
  await give(page, 'body', 'drop', file);
  await page.getByRole('img', { name: 'Picture 3' }).waitFor();
  await page.getByRole('button', { name: 'Remove picture 2' }).click();
  await page.getByRole('img', { name: 'Picture 3' }).waitFor({ state: 'detached' });
  assert.deepEqual(await violations(page, axe), []);
  await page.getByTestId('prompt').fill('What is this?');
  await page.getByTestId('send').click();
  await state(page, 'answered');
  const shown = page.locator('chat-turn .pictures img');
  assert.equal(await shown.count(), 2);
  assert.equal(await page.locator('chat-composer .pictures img').count(), 0);
  assert.deepEqual(
    await shown.first().evaluate(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight]),
    [40, 30],
  );
  assert.deepEqual(await violations(page, axe), []);
});

test('a large picture is kept smaller', async (t) => {
  const page = await open(t, { query: { sees: '' } });
  await load(page);
  await page.getByTestId('pictures').setInputFiles([await picture(page, 3000, 1500)]);
  const kept = page.getByRole('img', { name: 'Picture 1' });
  await kept.waitFor();
  const size = await kept.evaluate(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight]);
  assert.deepEqual(size, [2048, 1024]);
});

test('what cannot be read is told', async (t) => {
  const page = await open(t, { query: { sees: '' } });
  await load(page);
  await page
    .getByTestId('pictures')
    .setInputFiles([{ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('no') }]);
  await page.getByText('This browser cannot read that picture.').waitFor();
});

test('a model that reads no pictures says what one that does needs', async (t) => {
  const page = await open(t);
  await load(page);
  assert.equal(await page.getByTestId('pictures').count(), 0);
  await give(page, '#prompt', 'paste', await picture(page, 8, 8));
  await page.getByText('needs a projector').waitFor();
});
