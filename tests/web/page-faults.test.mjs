// Faults that people met on the demo page, each in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, pressInHead, state, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

/** How far the end of the conversation is out of sight, in CSS pixels. */
const belowView = (page) =>
  page.evaluate(() => {
    const main = document.getElementById('main');
    return main.scrollHeight - main.scrollTop - main.clientHeight;
  });

/** Pieces of two lines, so that long answers do not take long. */
const SOON = { lines: 2, wait: 15 };

const LONG = Array.from({ length: 60 }, (_, line) => `Line ${line} of a long answer.`).join('\n\n');

for (const [size, options] of [
  ['a desktop', {}],
  ['a phone', { viewport: { width: 390, height: 844 } }],
  ['a zoom of 125 %', { viewport: { width: 960, height: 640 }, deviceScaleFactor: 1.25 }],
]) {
  test(`the end of an answer is in sight, and a question sent from further up, on ${size}`, { timeout }, async (t) => {
    const page = await open(t, { say: LONG, query: SOON, ...options });
    await load(page);
    await ask(page);
    assert.ok((await belowView(page)) < 2);
    assert.equal(await page.locator('#to-end').isVisible(), false);

    await page.locator('#main').hover();
    await page.mouse.wheel(0, -5000);
    await page.locator('#to-end').waitFor();
    await ask(page, 'From further up', 'streaming');
    assert.ok((await belowView(page)) < 50);
    // A reader who scrolls up while the answer comes is left alone.
    await page.locator('#main').hover();
    await page.mouse.wheel(0, -300);
    await page.locator('#to-end').waitFor();
    await state(page, 'answered');
    assert.ok((await belowView(page)) > 100);
    await page.locator('#to-end').click();
    assert.ok((await belowView(page)) < 2);
  });
}

test('the line under the composer is one line, with all the rest on request', { timeout }, async (t) => {
  const page = await open(t, { query: { long: '' }, viewport: { width: 390, height: 844 } });
  await load(page);
  const line = page.getByTestId('engine');
  assert.match(await line.textContent(), /^\s*SmolLM2-135M-Instruct · GPU\s*$/);
  assert.ok((await line.boundingBox()).height < 40);
  await line.click();
  await page.getByText('WebGPU was asked').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('WebGPU was asked').waitFor({ state: 'hidden' });

  // 1280 × 1024 pixels at a zoom of 400 %
  await page.setViewportSize({ width: 320, height: 256 });
  await ask(page);
  assert.ok((await page.locator('#main').boundingBox()).height >= 96);
});

test('a reload in the middle of an answer goes on with it, and loses no earlier turn', { timeout }, async (t) => {
  const page = await open(t, { query: { ...SOON, stored: '', wait: 40 }, say: LONG });
  await load(page);
  await ask(page, 'The first question');
  await ask(page, 'The second question', null);
  await page.waitForFunction(() => document.querySelectorAll('.answer')[1]?.textContent.includes('Line 9 '));
  await page.waitForTimeout(600); // an answer is saved a few times a second
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 2);
  await state(page, 'answered');
  const answers = await page.locator('.answer').allInnerTexts();
  assert.equal(answers[1], answers[0]);
  assert.deepEqual(await page.locator('.question').allTextContents(), ['The first question', 'The second question']);
});

test('views and conversations are in the history, and old chats in a list', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.' });
  await load(page);
  await ask(page, 'What is a warp?');
  await page.getByTestId('new-chat').click();
  assert.equal(await page.locator('.turn').count(), 0);
  await ask(page, 'What is a weft?');
  await page.goBack();
  await page.getByText('What is a warp?').waitFor();
  await page.goForward();
  await page.getByText('What is a weft?').waitFor();
  await page.getByRole('button', { name: 'Model', exact: true }).click();
  await view(page, 'picker');
  await page.goBack();
  await view(page, 'chat');

  const chats = page.getByRole('dialog', { name: 'Chats' });
  await page.getByTestId('chats').click();
  await chats.getByLabel('Search').fill('WARP');
  await chats.getByRole('button', { name: 'Rename' }).click();
  await chats.getByLabel('Name of the chat').fill('About looms');
  await page.keyboard.press('Enter');
  await chats.getByRole('button', { name: /^About looms/ }).click();
  await page.getByText('What is a warp?').waitFor();
  await page.getByTestId('chats').click();
  await chats.getByRole('button', { name: 'Delete About looms' }).click();
  await chats.getByRole('button', { name: 'Undo' }).click();
  await chats.getByRole('button', { name: 'Delete What is a weft?' }).click();
  await chats.getByRole('button', { name: 'Done' }).click();
  await page.getByTestId('chats').click();
  await chats.getByRole('button', { name: /^About looms/ }).waitFor();
  assert.equal(await chats.getByRole('listitem').count(), 1);
});

test('how full the context is can be seen, and is said before it is full', { timeout }, async (t) => {
  const page = await open(t, { query: { context: 1000, used: 850 }, say: 'Yes.' });
  await load(page);
  await ask(page);
  assert.match(await page.getByTestId('engine').textContent(), /85%/);
  await page.getByText('The context is nearly full').waitFor();

  const forgetful = await open(t, { query: { context: 1000, used: 900, dropped: '' }, say: 'Yes.' });
  await load(forgetful);
  await ask(forgetful);
  await forgetful.getByText('no longer sees the oldest messages').waitFor();
});

test('a question that does not fit the context is in the composer again', { timeout }, async (t) => {
  const page = await open(t, { query: { chat: 'CONTEXT_OVERFLOW' } });
  await load(page);
  const question = 'too long '.repeat(2000).trim();
  await ask(page, question, null);
  await page.getByText('This is too long for the context').waitFor();
  assert.equal(await page.getByTestId('prompt').inputValue(), question);
  assert.equal(await page.locator('.turn').count(), 0);
});

test('the focus is never lost: new answer, stop, errors, notes', { timeout }, async (t) => {
  const page = await open(t, { say: LONG, query: SOON });
  await load(page);
  await ask(page);
  await page.getByTestId('regenerate').click();
  await state(page, 'streaming');
  assert.equal(await focused(page), 'prompt');
  await page.getByTestId('stop').click();
  await state(page, 'stopped');
  assert.equal(await focused(page), 'prompt');
  await page.getByTestId('continue').click();
  assert.equal(await focused(page), 'prompt');
  await state(page, 'answered');

  const failing = await open(t, { query: { chat: 'TOKENIZE', full: '' } });
  await load(failing);
  await failing.getByRole('button', { name: 'Dismiss this note' }).click();
  assert.equal(await focused(failing), 'prompt');
  await ask(failing, 'Hm?', null);
  await failing.getByRole('button', { name: 'Dismiss this error' }).click();
  assert.equal(await focused(failing), 'prompt');

  const broken = await open(t, { query: { load: 'INVALID_FILE' } });
  await broken.getByTestId('load-default').click();
  await broken.getByRole('button', { name: 'Dismiss this error' }).click();
  assert.equal(await focused(broken), 'load-default');
});

test('with forced colours, questions and progress are seen by their borders', { timeout }, async (t) => {
  const page = await open(t, { query: { slow: '' }, forcedColors: 'active' });
  await page.getByTestId('load-default').click();
  await page.waitForFunction(() => document.querySelector('progress').value > 5e6);
  const { x, y, width } = await page.getByTestId('progress').boundingBox();
  const look = (left) => page.screenshot({ clip: { x: left, y: y + 4, width: 8, height: 20 } });
  assert.ok(!(await look(x + 4)).equals(await look(x + width - 12)), 'what is done looks like what is not');

  const chat = await open(t, { say: 'Yes.', forcedColors: 'active' });
  await load(chat);
  await ask(chat);
  const [edge, paper] = await chat
    .locator('.question')
    .evaluate((element) => [getComputedStyle(element).borderTopColor, getComputedStyle(document.body).backgroundColor]);
  assert.notEqual(edge, paper);
});

test('with reduced motion, a load of unknown length does not look like a third', { timeout }, async (t) => {
  const page = await open(t, { query: { slow: '' }, reducedMotion: 'reduce' });
  await page.getByTestId('load-default').click();
  await view(page, 'loading');
  const [animation, size] = await page.getByTestId('progress').evaluate((bar) => {
    bar.removeAttribute('value'); // at once: the next report of the load sets it again
    const { animationName, backgroundSize } = getComputedStyle(bar);
    return [animationName, backgroundSize];
  });
  assert.equal(animation, 'none');
  assert.match(size, /^100%/);
});

test('the announcer says that the answer is complete, and leaves nothing behind', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await ask(page);
  const announcer = page.locator('#announcer');
  assert.equal(await announcer.textContent(), 'The answer is complete.');
  await page.waitForFunction(() => document.getElementById('announcer').textContent === '');
  const levels = await page.$$eval('.answer :is(h1, h2, h3, h4, h5, h6)', (all) =>
    all.map(({ localName }) => localName),
  );
  assert.deepEqual(levels, ['h3']);
});

test('the buttons of the page stay where they are, and nothing covers them', { timeout }, async (t) => {
  const page = await open(t, { say: 'Yes.', viewport: { width: 320, height: 640 } });
  await load(page);
  await ask(page);
  const places = () =>
    page.$$eval('nav button:not([hidden])', (all) => all.map((button) => button.getBoundingClientRect().left));
  const before = await places();
  await page.getByTestId('new-chat').click();
  assert.deepEqual(await places(), before);
  assert.equal(await focused(page), 'prompt');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});

test('the way back to the chat is in sight, and Escape takes it', { timeout }, async (t) => {
  const page = await open(t, { viewport: { width: 390, height: 600 } });
  await load(page);
  await pressInHead(page, 'change-model');
  const back = await page.getByRole('button', { name: 'Back to the chat' }).boundingBox();
  assert.ok(back.y + back.height < 600);
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await view(page, 'chat');
  await pressInHead(page, 'change-model');
  await view(page, 'picker');
  await page.keyboard.press('Escape');
  await view(page, 'chat');
});

test('without room for the model, the chat says so in plain words', { timeout }, async (t) => {
  const page = await open(t, { query: { full: '' } });
  await load(page);
  const note = page.getByTestId('note');
  assert.match(await note.textContent(), /There is no room on this device to keep the model\./);
  assert.doesNotMatch(await note.textContent(), /bytes|Error|Handle/);
  await page.getByTestId('engine').click();
  assert.match(await page.getByTestId('engine-details').textContent(), /QuotaExceededError/);
});

test('on a phone, Enter starts a new line, and the prompt has the focus after loading', { timeout }, async (t) => {
  const page = await open(t, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, say: 'Yes.' });
  await load(page);
  assert.equal(await focused(page), 'prompt');
  await page.keyboard.type('one');
  await page.keyboard.press('Enter');
  await page.keyboard.type('two');
  assert.equal(await page.getByTestId('prompt').inputValue(), 'one\ntwo');
  assert.equal(await page.getByTestId('prompt').getAttribute('enterkeyhint'), 'enter');
  await page.getByTestId('send').tap();
  await state(page, 'answered');
  assert.notEqual(await focused(page), 'body');
});

test('at 320 px the main button is whole, and what is cut tells that it scrolls', { timeout }, async (t) => {
  const wide = `\`\`\`\n${'wide '.repeat(60)}\n\`\`\`\n\n|${'a|'.repeat(30)}\n|${'-|'.repeat(30)}\n|${'long |'.repeat(30)}`;
  const page = await open(t, { say: wide, viewport: { width: 320, height: 640 } });
  const label = page.locator('#load-default span').first();
  assert.ok((await label.boundingBox()).height < 35);
  await load(page);
  await ask(page);
  for (const selector of ['.answer pre', '.answer .table']) {
    const [cut, shadows] = await page.locator(selector).evaluate((element) => {
      return [element.scrollWidth > element.clientWidth, getComputedStyle(element).backgroundAttachment];
    });
    assert.ok(cut, selector);
    assert.match(shadows, /local, local, scroll, scroll/, selector);
    await page.locator(selector).focus();
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((selector) => document.querySelector(selector).scrollLeft > 0, selector);
  }
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});

test('each failure of the network has words of its own, and a way on', { timeout }, async (t) => {
  for (const [message, title] of [
    ['cannot fetch x: the server answered 404 Not Found.', 'There is no file at this address'],
    ['cannot fetch x: the server answered 403.', 'The server does not give out this file'],
    ['cannot fetch x: the server answered 503. (tried 7 times)', 'The server failed'],
    ['cannot fetch x. The browser is offline.', 'This device is offline'],
    ['cannot fetch x: Failed to fetch. (tried 4 times)', 'The model could not be downloaded'],
  ]) {
    const page = await open(t, { query: { load: 'NETWORK', message } });
    await page.getByTestId('model-url').fill('https://example.org/x.gguf');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: title }).waitFor();
    await page.getByRole('button', { name: 'Choose another model' }).click();
    assert.equal(await focused(page), 'model-url');
  }
  const page = await open(t);
  await page.getByTestId('model-url').fill('ftp://example.org/x.gguf');
  await page.keyboard.press('Enter');
  const said = await page.getByTestId('model-url').evaluate((input) => input.validationMessage);
  assert.match(said, /https:\/\/ or hf:/);
  await view(page, 'picker');
});

test('a download is called one, and a stored default model is listed once', { timeout }, async (t) => {
  const page = await open(t, { query: { slow: '' } });
  await page.getByTestId('load-default').click();
  await page.getByRole('heading', { name: 'Downloading the model' }).waitFor();

  const again = await open(t, { query: { stored: '' } });
  assert.equal(await again.getByRole('button', { name: /Load SmolLM2-135M-Instruct/ }).count(), 2); // one elsewhere
  assert.equal(await again.getByRole('button', { name: 'Load SmolLM2-135M (98 MB)' }).count(), 0);
  assert.match(await again.locator('#stored-usage').textContent(), /^Models take 500 MB of the 10\.0 GB/);
});

test('a view whose code does not arrive says so, and trying again loads the page anew', { timeout }, async (t) => {
  for (const view of ['tasks', 'compare', 'inspector']) {
    const page = await open(t, { query: { stored: '' } });
    await load(page);
    await page.route('**/assets/*view*.js', (route) => route.abort());
    await page.locator(`#open-${view}`).click();
    await page.getByTestId('error').getByText('the view did not arrive').waitFor({ state: 'attached' });
    await page.unroute('**/assets/*view*.js');
    assert.equal(await page.evaluate(() => document.body.dataset.view), 'chat', view);
    const loaded = page.waitForEvent('load');
    await page.getByTestId('error').getByRole('button', { name: 'Try again' }).click();
    await loaded;
    // An entry of the history leads back to the view; a comparison has none yet.
    if (view !== 'compare') await page.waitForSelector(`body[data-view=${view}]`);
  }
});

test('axe finds nothing in any view, theme, width, or with forced colours', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const found = {};
  for (const options of [
    { viewport: { width: 320, height: 640 } },
    { viewport: { width: 2560, height: 1440 }, colorScheme: 'dark' },
    { viewport: { width: 1200, height: 800 }, forcedColors: 'active' },
  ]) {
    const page = await open(t, options);
    const check = async (state) => {
      const faults = await violations(page, axe);
      if (faults.length) found[`${state}, ${JSON.stringify(options)}`] = faults;
    };
    await check('picker');
    await load(page);
    await ask(page);
    await page.locator('.katex').first().waitFor();
    await check('answer');
    await page.getByTestId('engine').click();
    await check('details');
    await page.keyboard.press('Escape');
    for (const dialog of ['settings', 'chats']) {
      await pressInHead(page, dialog);
      await check(dialog);
      await page.keyboard.press('Escape');
    }
    await page.goto(new URL('?slow', page.url()).href);
    await page.getByTestId('load-default').click();
    await check('loading');
    await page.goto(new URL('?load=GPU_UNAVAILABLE&wait=1', page.url()).href);
    await page.getByTestId('load-default').click();
    await page.getByTestId('error').waitFor();
    await check('error');
  }
  assert.deepEqual(found, {});
});
