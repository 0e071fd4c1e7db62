// Conversations on the demo page: versions, branches, files, settings and tabs, in
// Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, pressInHead, state, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

const questions = (page) => page.locator('.question').allTextContents();
const turn = (page, number) => page.locator('chat-turn').nth(number - 1);
const version = async (page, number) => (await turn(page, number).locator('.versions > span').textContent()).trim();
const button = (within, name) => within.getByRole('button', { name, exact: true });

/** Opens a menu of a turn, and presses one of its buttons. */
async function more(page, number, name) {
  await button(turn(page, number), 'More').click();
  await button(turn(page, number), name).click();
}

/** Waits until everything is saved, as a page that is hidden does. */
async function saved(page) {
  await page.getByTestId('chats').click();
  await page.locator('#chats-list li').first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
}

test('an edited question is another version, and the earlier one keeps what followed', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.', query: { stored: '' } });
  await load(page);
  await ask(page, 'What is a warp?');
  await ask(page, 'And a weft?');
  await button(turn(page, 1), 'Edit the question').click();
  assert.equal(await focused(page), 'textarea');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'edit');
  await page.keyboard.press('Enter');
  await page.getByRole('textbox', { name: 'The question' }).fill('What is a loom?');
  await button(turn(page, 1), 'Send').click();
  await state(page, 'answered');
  assert.equal(await focused(page), 'prompt');
  assert.deepEqual(await questions(page), ['What is a loom?']);
  assert.equal(await version(page, 1), 'Version 2 / 2');

  await button(page, 'Previous version').click();
  assert.deepEqual(await questions(page), ['What is a warp?', 'And a weft?']);
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), 'Previous version');
  await page.keyboard.press('Enter'); // there is none before it
  assert.equal(await version(page, 1), 'Version 1 / 2');

  // A branch is gone on with where it is, and all of it is there after a reload.
  await ask(page, 'And a shuttle?');
  await saved(page);
  await page.reload();
  await view(page, 'chat');
  assert.deepEqual(await questions(page), ['What is a warp?', 'And a weft?', 'And a shuttle?']);
  await button(page, 'Next version').click();
  assert.deepEqual(await questions(page), ['What is a loom?']);
});

test('a new answer is another version, read after what came before it alone', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await ask(page, 'One?');
  await ask(page, 'Two?');
  await turn(page, 1).getByTestId('regenerate').click();
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 1);
  await state(page, 'answered');
  assert.equal(await version(page, 1), 'Version 2 / 2');
  assert.match(await page.getByTestId('answer').textContent(), /"temperature":0\.8.*after 0 messages/);
  await button(page, 'Previous version').click();
  assert.match(await page.getByTestId('answer').first().textContent(), /"temperature":0,.*after 0 messages/);
  assert.match(await page.getByTestId('answer').nth(1).textContent(), /after 2 messages/);
});

test('an answer that fails or is stopped before it begins leaves the earlier version', { timeout }, async (t) => {
  // longer than a busy machine needs to stop it
  const page = await open(t, { say: 'Yes.', query: { wait: 4000 } });
  await load(page);
  await ask(page, 'One?');
  await page.getByTestId('regenerate').click();
  await state(page, 'waiting');
  await page.getByTestId('stop').click();
  await state(page, 'answered');
  assert.equal(await page.locator('.versions').count(), 0);
  assert.match(await page.getByTestId('answer').textContent(), /Yes\./);
});

test('a turn is deleted and brought back, and a branch is a chat of its own', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.' });
  await load(page);
  for (const question of ['One?', 'Two?', 'Three?']) await ask(page, question);
  await more(page, 2, 'Delete');
  assert.deepEqual(await questions(page), ['One?', 'Three?']);
  assert.equal(await focused(page), 'note-action');
  await page.keyboard.press('Enter');
  assert.deepEqual(await questions(page), ['One?', 'Two?', 'Three?']);
  assert.equal(await focused(page), 'prompt');

  await more(page, 2, 'New chat from here');
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 2);
  assert.equal(await focused(page), 'prompt');
  await ask(page, 'Another third?');
  await page.goBack();
  await page.getByText('Three?', { exact: true }).waitFor();
  await page.getByTestId('chats').click();
  await page.getByRole('button', { name: /^Branch of One\?/ }).click();
  await page.getByText('Another third?').waitFor();
  assert.deepEqual(await questions(page), ['One?', 'Two?', 'Another third?']);
});

test('a chat that was saved before there were versions still opens', { timeout }, async (t) => {
  const page = await open(t, { query: { stored: '' } });
  await page.evaluate(async () => {
    const turns = ['One?', 'Two?'].map((question) => ({ question, answer: 'Yes.', state: 'answered', stats: '' }));
    const opening = indexedDB.open('weft-page', 1);
    opening.onupgradeneeded = () =>
      opening.result.createObjectStore('conversations', { keyPath: 'id' }).createIndex('changed', 'changed');
    const db = await new Promise((resolve) => (opening.onsuccess = () => resolve(opening.result)));
    const transaction = db.transaction('conversations', 'readwrite');
    transaction.objectStore('conversations').put({ id: 'old', title: 'Old', changed: 1, turns, model: null });
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    db.close();
  });
  await load(page);
  await page.getByTestId('chats').click();
  await page.getByRole('button', { name: /^Old/ }).click();
  await page.getByText('Two?').waitFor();
  await ask(page, 'Three?');
  await turn(page, 2).getByTestId('regenerate').click();
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 2);
  await state(page, 'answered');
  await button(page, 'Previous version').click();
  assert.deepEqual(await questions(page), ['One?', 'Two?', 'Three?']);
});

test('each chat has its own settings, and new ones begin with the default', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  const temperature = page.locator('#temperature');
  const settings = async (work) => {
    await page.getByTestId('settings').click();
    await work();
    await page.keyboard.press('Escape');
  };
  await settings(async () => {
    await page.locator('#system-prompt').fill('Speak of looms.');
    await temperature.fill('0.5');
  });
  await ask(page, 'One?');
  assert.match(await page.getByTestId('answer').textContent(), /"temperature":0\.5.*after 1 messages/);
  await page.getByTestId('new-chat').click();
  await ask(page, 'Two?');
  assert.match(await page.getByTestId('answer').textContent(), /"temperature":0,.*after 0 messages/);
  await page.goBack();
  await page.getByText('One?').waitFor();
  await settings(async () => {
    assert.equal(await temperature.inputValue(), '0.5');
    await button(page, 'Begin new chats with these too').click();
    assert.equal(await focused(page), 'make-default');
  });
  await page.getByTestId('new-chat').click();
  await ask(page, 'Three?');
  assert.match(await page.getByTestId('answer').textContent(), /"temperature":0\.5.*after 1 messages/);
});

test('chats are exported as Markdown and JSON, and imported', { timeout }, async (t) => {
  const page = await open(t, { say: 'A **loom**.' });
  await load(page);
  await ask(page, 'What weaves?');
  await page.getByTestId('regenerate').click();
  await page.locator('.versions').waitFor();
  await state(page, 'answered');
  const chats = page.getByRole('dialog', { name: 'Chats' });
  const download = async (name) => {
    const loading = page.waitForEvent('download');
    await button(chats, name).click();
    const file = await loading;
    return [file.suggestedFilename(), await readFile(await file.path(), 'utf8')];
  };
  await page.getByTestId('chats').click();
  await button(chats, 'Export What weaves?').click();
  const [markdownName, markdown] = await download('As Markdown');
  assert.match(markdownName, /^What weaves.*\.md$/);
  assert.equal(markdown, '# What weaves?\n\n## Question\n\nWhat weaves?\n\n## Answer\n\nA **loom**.\n');
  const [, json] = await download('As JSON, with all versions');
  assert.equal(JSON.parse(json).chats[0].turns.length, 2);
  const [allName, all] = await download('Export all');
  assert.equal(allName, 'weft-chats.json');
  assert.equal(JSON.parse(all).chats.length, 1);

  const imported = async (text) => {
    const file = { name: 'chats.json', mimeType: 'application/json', buffer: Buffer.from(text) };
    await page.locator('#chats-import').setInputFiles(file);
  };
  await imported(all);
  await chats.getByText('0 chats were imported. 1 was here already.').waitFor();
  await imported('{}');
  await chats.getByText('This file has no chats of weft').waitFor();
  await button(chats, 'Delete What weaves?').click();
  await button(chats, 'Done').click();
  await page.getByTestId('chats').click();
  await imported(all);
  await chats.getByText('1 chat was imported.').waitFor();
  await chats.getByRole('button', { name: /^What weaves\?/ }).click();
  await page.locator('.question').waitFor();
  assert.equal(await version(page, 1), 'Version 2 / 2');
});

test('a second tab follows an answer, stops it, and loses nothing of the first', { timeout }, async (t) => {
  const say = Array.from({ length: 400 }, (_, word) => `word${word}`).join(' ');
  const page = await open(t, { say, query: { stored: '', wait: 25 } });
  await load(page);
  await ask(page, 'One?', 'streaming');
  await page.getByText('word40').waitFor();

  const second = await page.context().newPage();
  await second.goto(page.url());
  await second.getByTestId('load-default').click();
  await view(second, 'chat');
  await second.getByTestId('chats').click();
  await second.getByRole('button', { name: /^One\?/ }).click();
  await state(second, 'streaming');
  await second.getByText('word80').waitFor(); // it grows there too
  await second.getByTestId('stop').click();
  await state(page, 'stopped');
  await state(second, 'stopped');

  // Each asks: both questions are kept, as versions of one place.
  for (const [tab, question] of [
    [page, 'From the first'],
    [second, 'From the second'],
  ]) {
    await tab.bringToFront();
    await tab.getByTestId('send').waitFor(); // no tab answers
    await tab.getByTestId('prompt').fill(question);
  }
  await Promise.all([page, second].map((tab) => tab.evaluate(() => document.getElementById('send').click())));
  for (const tab of [page, second]) await tab.locator('.versions').waitFor();
  await page.evaluate(() => document.getElementById('stop').click());
  await second.evaluate(() => document.getElementById('stop').click());
  for (const tab of [page, second]) await state(tab, 'stopped');
  for (const tab of [page, second]) {
    await tab.waitForFunction(() => document.querySelector('.versions > span')?.textContent.trim().endsWith('/ 2'));
    const [shown] = (await questions(tab)).slice(-1);
    await tab.locator('.versions button[aria-disabled=false]').click();
    const [other] = (await questions(tab)).slice(-1);
    assert.deepEqual([shown, other].sort(), ['From the first', 'From the second']);
  }

  // The list of chats is the same everywhere, and a deleted chat is gone everywhere.
  await page.bringToFront();
  await page.getByTestId('chats').click();
  await second.bringToFront();
  await second.getByTestId('chats').click();
  await second.getByRole('button', { name: 'Rename One?' }).click();
  await second.getByLabel('Name of the chat').fill('About words');
  await second.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Delete About words' }).waitFor();
  await second.getByRole('button', { name: 'Delete About words' }).click();
  await page.getByText('There are no chats yet.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('This chat was deleted in another tab.').waitFor();
  assert.equal(await page.locator('.turn').count(), 0);
});

test('a chat that is renamed while an answer streams keeps its name', { timeout }, async (t) => {
  const say = Array.from({ length: 100 }, (_, word) => `word${word}`).join(' ');
  const page = await open(t, { say, query: { wait: 15 } });
  await load(page);
  await ask(page, 'One?', 'streaming');
  await page.getByTestId('chats').click();
  await button(page, 'Rename One?').click();
  await page.getByLabel('Name of the chat').fill('About words');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await state(page, 'answered');
  await page.getByTestId('chats').click();
  await button(page, 'Rename About words').waitFor();
});

test('an answer that ended with its tab can be gone on with in another', { timeout }, async (t) => {
  // more words than a busy machine needs to get to the end of this test
  const say = Array.from({ length: 4000 }, (_, word) => `word${word}`).join(' ');
  const page = await open(t, { say, query: { wait: 25 } });
  const second = await page.context().newPage();
  await second.goto(page.url());
  await load(page);
  await ask(page, 'One?', 'streaming');
  await load(second);
  await page.waitForTimeout(600); // an answer is saved a few times a second
  await second.getByTestId('chats').click();
  await second.getByRole('button', { name: /^One\?/ }).click();
  await state(second, 'streaming');
  await page.close();
  await state(second, 'interrupted');
  await second.getByTestId('continue').click();
  await state(second, 'streaming');
});

test('axe finds nothing in turns with versions, an open menu, an editor, and the sheet', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const found = {};
  for (const options of [
    { viewport: { width: 320, height: 640 }, hasTouch: true },
    { viewport: { width: 1200, height: 800 }, colorScheme: 'dark' },
    { viewport: { width: 1200, height: 800 }, forcedColors: 'active' },
  ]) {
    const page = await open(t, { say: 'Yes.', ...options });
    const check = async (state) => {
      const faults = await violations(page, axe);
      if (faults.length) found[`${state}, ${JSON.stringify(options)}`] = faults;
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), state);
    };
    await load(page);
    await ask(page, 'One?');
    await page.getByTestId('regenerate').click();
    await page.locator('.versions').waitFor();
    await state(page, 'answered');
    await button(turn(page, 1), 'More').click();
    await check('versions');
    await button(turn(page, 1), 'Edit the question').click();
    await check('editor');
    await button(turn(page, 1), 'Cancel').click();
    await page.getByTestId('chats').click();
    await page.getByRole('button', { name: 'Export One?' }).click();
    await check('export');
    await page.keyboard.press('Escape');
    await pressInHead(page, 'settings');
    await button(page, 'Keyboard shortcuts').click();
    await check('shortcuts');
  }
  assert.deepEqual(found, {});
});
