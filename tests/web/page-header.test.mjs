// The head of the demo page and its shortcuts, each test in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, pressInHead, state, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

const button = (within, name) => within.getByRole('button', { name, exact: true });
const questions = (page) => page.locator('.question').allTextContents();
const menu = (page) => page.locator('#header-menu');

test('the head of a chat is one row, with a menu where it is narrow', { timeout }, async (t) => {
  for (const width of [320, 390, 600, 832, 833, 1280]) {
    const page = await open(t, { viewport: { width, height: 700 } });
    await load(page);
    const tops = await page.locator('header').evaluate((header) => {
      const seen = [...header.querySelectorAll('button')].filter((one) => one.checkVisibility());
      return [...new Set(seen.map((one) => one.getBoundingClientRect().top))];
    });
    assert.equal(tops.length, 1, `${width} px`);
    assert.equal(await page.locator('#open-menu').isVisible(), width <= 832, `${width} px`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px`);
  }
});

test('the menu opens, is left and leads on by the keyboard alone', { timeout }, async (t) => {
  const page = await open(t, { viewport: { width: 390, height: 844 } });
  await load(page);
  await page.locator('#open-menu').focus();
  await page.keyboard.press('Enter');
  assert.equal(await menu(page).isVisible(), true);
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'change-model');
  await page.keyboard.press('Escape');
  assert.equal(await menu(page).isVisible(), false);
  assert.equal(await focused(page), 'open-menu');
  await page.keyboard.press('Enter');
  for (const id of ['change-model', 'open-tasks', 'open-compare', 'open-inspector']) {
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), id);
  }
  await page.keyboard.press('Enter');
  await view(page, 'inspector');
  assert.equal(await menu(page).evaluate((one) => one.matches(':popover-open')), false);
  await page.goBack();
  await view(page, 'chat');
  await page.locator('#open-menu').click();
  await page.locator('#main').click({ position: { x: 200, y: 560 } });
  assert.equal(await menu(page).isVisible(), false);
  // A shortcut reaches what is in the menu.
  await page.keyboard.press('v');
  await view(page, 'compare');
});

test('axe finds nothing in the open menu', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const found = {};
  for (const look of [{}, { colorScheme: 'dark' }, { forcedColors: 'active' }]) {
    const page = await open(t, { viewport: { width: 320, height: 640 }, ...look });
    await load(page);
    await page.locator('#open-menu').click();
    const faults = await violations(page, axe);
    if (faults.length) found[JSON.stringify(look)] = faults;
    const box = await menu(page).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 320 && box.y >= 44, JSON.stringify(box));
  }
  assert.deepEqual(found, {});
});

test('single keys are shortcuts, but not while something is typed or if turned off', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.' });
  await load(page);
  await ask(page, 'One?');
  await page.keyboard.type('n?e');
  assert.equal(await page.getByTestId('prompt').inputValue(), 'n?e');
  assert.equal(await page.locator('.turn').count(), 1);
  await page.getByTestId('prompt').fill('');
  await page.keyboard.press('Escape');
  assert.equal(await focused(page), 'main');
  await page.keyboard.press('e');
  await page.getByRole('textbox', { name: 'The question' }).fill('Two?');
  await page.keyboard.press('Control+Enter');
  await state(page, 'answered');
  await page.keyboard.press('Escape');
  await page.keyboard.press(',');
  assert.deepEqual(await questions(page), ['One?']);
  await page.keyboard.press('.');
  assert.deepEqual(await questions(page), ['Two?']);
  await page.keyboard.press('Control+n'); // the browser's
  await page.keyboard.press('p');
  assert.equal(await focused(page), 'prompt');
  await page.keyboard.press('Escape');
  for (const [key, name] of [
    ['c', 'Chats'],
    ['s', 'Settings'],
    ['?', 'Keyboard shortcuts'],
  ]) {
    await page.keyboard.press(key);
    await page.getByRole('dialog', { name }).waitFor();
    await page.keyboard.press('n'); // not behind a dialog
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    assert.equal(await focused(page), 'main');
  }
  assert.equal(await page.locator('.turn').count(), 1);

  await page.keyboard.press('?');
  await page.getByLabel('Single keys are shortcuts').uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  assert.equal(await page.locator('.turn').count(), 1);
  await pressInHead(page, 'settings');
  await button(page, 'Keyboard shortcuts').click();
  await page.getByLabel('Single keys are shortcuts').check();
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  assert.equal(await page.locator('.turn').count(), 0);
  assert.equal(await focused(page), 'prompt');
});
