// The view of the demo page that compares two answers, in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, pressInHead, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

const answers = (page) => page.getByTestId('compared').allTextContents();
const side = (page, name) => page.getByRole('region', { name: new RegExp(`^${name}:`) });
const both = (page, name) =>
  page.waitForFunction((name) => document.querySelectorAll(`.side[data-state=${name}]`).length === 2, name);
const models = (page) => page.evaluate(() => Number(document.documentElement.dataset.models));

async function compare(page, question) {
  await pressInHead(page, 'open-compare');
  await view(page, 'compare');
  if (question) await askBoth(page, question);
}

async function askBoth(page, question) {
  await page.locator('#compare-prompt').fill(question);
  await page.keyboard.press('Enter');
}

test('long lines of an answer scroll in it, and do not cover the other', { timeout }, async (t) => {
  for (const width of [1200, 390]) {
    const page = await open(t, { viewport: { width, height: 800 } });
    await load(page);
    await page
      .locator('#main')
      .getByRole('button', { name: /compare/i })
      .click();
    await page.locator('#compare-prompt').fill('How does one weave?');
    await page.locator('#compare-go').click();
    await both(page, 'answered');
    const wide = await page.evaluate(() =>
      [...document.querySelectorAll('.side :is(.answer, pre, p)')]
        .filter((one) => one.getBoundingClientRect().right > one.closest('.side').getBoundingClientRect().right + 1)
        .map((one) => one.outerHTML.slice(0, 60)),
    );
    assert.deepEqual(wide, [], `${width} px`);
  }
});

test('two settings of one model answer side by side, with speeds and marked differences', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await compare(page);
  assert.equal(await focused(page), 'compare-prompt');
  assert.match(await side(page, 'Right').locator('summary').textContent(), /Temperature: 0\.8/);
  await side(page, 'Left').locator('summary').click();
  await side(page, 'Left').getByLabel('System prompt').fill('Speak of looms.');
  assert.match(await side(page, 'Left').locator('summary').textContent(), /System prompt: Speak of looms\./);
  await side(page, 'Left').locator('summary').click();

  await askBoth(page, 'What weaves?');
  await both(page, 'streaming');
  await both(page, 'answered');
  const [left, right] = await answers(page);
  assert.match(left, /"temperature":0,.*after 1 messages/);
  assert.match(right, /"temperature":0\.8,.*after 0 messages/);
  for (const name of ['Left', 'Right'])
    assert.match(
      (await side(page, name).locator('.speeds').innerText()).replace(/\s+/g, ' '),
      /Tokens a second 64\.2 First token 0\.40 s Tokens \d+ Model ready \d+\.\d\d s/,
    );
  await page.getByRole('button', { name: 'Mark differences' }).click();
  assert.equal(await focused(page), 'marks');
  const marked = await page.locator('mark').allTextContents();
  assert.ok(marked.length >= 2 && marked.every((text) => /temperature|after|1|0/.test(text)), marked.join(' | '));
  assert.ok(marked.join('').length < left.length / 2);

  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await view(page, 'chat');
  assert.equal(await page.locator('.turn').count(), 0);
});

test('both answers stop, by the button and by Escape, and when the view is left', { timeout }, async (t) => {
  const say = Array.from({ length: 400 }, (_, word) => `word${word}`).join(' ');
  const page = await open(t, { say, query: { wait: 20 } });
  await load(page);
  await compare(page, 'Go on.');
  await both(page, 'streaming');
  await page.getByRole('button', { name: 'Stop' }).click();
  await both(page, 'stopped');
  assert.equal(await focused(page), 'compare-go');
  await askBoth(page, 'Go on.');
  await both(page, 'streaming');
  await page.keyboard.press('Escape');
  await both(page, 'stopped');
  await page.getByLabel('One after the other').check();
  await askBoth(page, 'Go on.');
  await page.locator('.side[data-state=streaming]').first().waitFor();
  assert.equal(await page.locator('.side[data-state=waiting]').count(), 1);
  await page.goBack();
  await view(page, 'chat');
  assert.equal(await page.locator('compare-view').count(), 0);
});

test('a second model is weighed before it is loaded, and gone when the view is left', { timeout }, async (t) => {
  const page = await open(t, { query: { stored: '' }, say: 'Yes.' });
  await load(page);
  await compare(page);
  const choice = page.getByLabel('Model on the right');
  await choice.selectOption({ label: 'SmolLM2-135M-Instruct.Q4_1.gguf' });
  await page.getByText(/It takes about 953 MB of memory, beside 137 MB of the first model\./).waitFor();
  assert.equal(await models(page), 1);
  // With two models, the settings are the same.
  assert.equal(await page.locator('.unlike').count(), 0);
  await askBoth(page, 'What weaves?');
  assert.equal(await focused(page), 'compare-load');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Load it too' }).waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.documentElement.dataset.models === '2');
  assert.equal(await focused(page), 'compare-prompt');
  await page.keyboard.press('Enter');
  await both(page, 'answered');
  await page.keyboard.press('Escape');
  await page.goBack();
  await view(page, 'chat');
  assert.equal(await models(page), 1);

  const tight = await open(t, { query: { stored: '', tight: '' } });
  await load(tight);
  await compare(tight);
  await tight.getByLabel('Model on the right').selectOption({ label: 'SmolLM2-135M-Instruct.Q4_1.gguf' });
  await tight.getByText('It does not fit: 4.6 GB are needed').waitFor();
  assert.equal(await tight.getByRole('button', { name: 'Load it too' }).count(), 0);
});

test('the second model is named by an address, or by its name on the shelf', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.' });
  await load(page);
  await compare(page);
  const choice = page.getByLabel('Model on the right');
  const chosen = () => choice.evaluate(({ selectedOptions }) => selectedOptions[0].textContent.trim());
  for (const [typed, name] of [
    ['https://example.org/a/loom.Q8_0.gguf', 'loom.Q8_0.gguf'],
    ['hf:owner/repository/warp.gguf', 'warp.gguf'],
    ['gemma 3 1b', 'gemma-3-1b-it-Q4_K_M.gguf'],
  ]) {
    await choice.selectOption({ label: 'An address, or a model of the shelf…' });
    await page.getByLabel('Address, or name of a model of the shelf').fill(typed);
    await page.keyboard.press('Enter');
    await page.getByText(/It takes about 953 MB of memory/).waitFor();
    assert.equal(await chosen(), name);
    assert.equal(await focused(page), 'compare-model');
  }
  await page.getByRole('button', { name: 'Load it too' }).click();
  await page.waitForFunction(() => document.documentElement.dataset.models === '2');
  await askBoth(page, 'What weaves?');
  await both(page, 'answered');

  await choice.selectOption({ label: 'An address, or a model of the shelf…' });
  await page.waitForFunction(() => document.documentElement.dataset.models === '1');
  const field = page.getByLabel('Address, or name of a model of the shelf');
  await field.fill('a loom');
  await page.keyboard.press('Enter');
  assert.match(await field.evaluate((input) => input.validationMessage), /https:\/\/ or hf:/);
});

test('a question of the chat is compared after what came before it', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await ask(page, 'One?');
  await ask(page, 'Two?');
  await page.locator('chat-turn:last-child .more').click();
  await page.getByRole('button', { name: 'Compare', exact: true }).last().click();
  await view(page, 'compare');
  assert.equal(await page.locator('#compare-prompt').inputValue(), 'Two?');
  await page.getByText('After the turn before it').waitFor();
  await page.keyboard.press('Enter');
  await both(page, 'answered');
  for (const text of await answers(page)) assert.match(text, /after 2 messages/);
});

test('an answer that fails says so on its side', { timeout }, async (t) => {
  const page = await open(t, { query: { chat: 'CHAT_TEMPLATE' } });
  await load(page);
  await compare(page, 'Hm?');
  await both(page, 'failed');
  assert.equal(await page.getByText('The model’s chat format refused the conversation').count(), 2);
});

test('on a phone the answers stand one below the other, and axe finds nothing', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const found = {};
  for (const options of [
    { viewport: { width: 320, height: 640 } },
    { viewport: { width: 2560, height: 1440 }, colorScheme: 'dark' },
    { viewport: { width: 1200, height: 800 }, forcedColors: 'active' },
  ]) {
    const page = await open(t, options);
    await load(page);
    await page.getByTestId('compare').click();
    await view(page, 'compare');
    await askBoth(page, 'What weaves?');
    await both(page, 'answered');
    await page.locator('.katex').nth(1).waitFor();
    if (options.forcedColors) await page.getByRole('button', { name: 'Mark differences' }).click();
    const faults = await violations(page, axe);
    if (faults.length) found[JSON.stringify(options)] = faults;
    const [left, right] = await page.locator('.side').all();
    const [a, b] = [await left.boundingBox(), await right.boundingBox()];
    if (options.viewport.width < 700) assert.ok(b.y >= a.y + a.height, 'below');
    else assert.ok(b.x >= a.x + a.width && b.y === a.y, 'beside');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  }
  assert.deepEqual(found, {});
});
