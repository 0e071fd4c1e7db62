// The inspector of the demo page, each test in Chromium with the fake engine of www/dev.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, load, pressInHead, state, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

async function inspect(t, { text, ...options } = {}) {
  const page = await open(t, options);
  await load(page);
  await pressInHead(page, 'inspector');
  await view(page, 'inspector');
  if (text === undefined) return page;
  await page.getByLabel('A text to look at').fill(text);
  await page.getByRole('button', { name: 'Look', exact: true }).click();
  await page.waitForFunction(() => globalThis.inspections.length > 1);
  await page.locator('.panels[aria-busy=false]').waitFor();
  return page;
}

/** Opens a panel by its keyboard, and gives it back when it shows its result. */
async function panel(page, name, shows = '.result') {
  const panel = page.locator(`[data-panel=${name}]`);
  await panel.locator('> summary').press('Enter');
  await panel.locator(shows).first().waitFor();
  return panel;
}

const PANELS = ['attention', 'next', 'lens', 'norms', 'rotations', 'neighbours', 'experts', 'timing'];

/** What the fake engine was asked, without the signal. */
const asked = (page) =>
  page.evaluate(() =>
    globalThis.inspections.map(({ options: { signal: _, ...rest }, aborted }) => ({ rest, aborted })),
  );

/** Elements that stick out of the page, apart from those in a region that scrolls. */
const outside = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('body *')]
      .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .filter((one) => !one.closest('.scroll, pre, .branches, .sr-only, dialog'))
      .map((one) => one.outerHTML.slice(0, 80)),
  );

test('the inspector comes when it is opened, and is in the history', { timeout }, async (t) => {
  const page = await open(t);
  const fetched = [];
  page.on('request', (request) => fetched.push(request.url()));
  await load(page);
  assert.deepEqual(
    fetched.filter((url) => /\/(view|uPlot)/.test(url)),
    [],
  );
  await pressInHead(page, 'inspector');
  await view(page, 'inspector');
  assert.ok(
    fetched.some((url) => /\/view-[^/]+\.js$/.test(url)),
    fetched.join(),
  );
  assert.equal(await focused(page), 'inspector-title');
  await page.goBack();
  await view(page, 'chat');
  await page.goForward();
  await view(page, 'inspector');
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await view(page, 'chat');
  await page.goBack();
  await page.evaluate(() => sessionStorage.clear()); // as in another tab
  await page.reload();
  await page.getByText('Choose one, and see here').waitFor();
  await page.getByRole('button', { name: 'Choose a model' }).click();
  await view(page, 'picker');
});

test('a text is tokens, with ids, bytes and log-probabilities, by keyboard', { timeout }, async (t) => {
  const page = await inspect(t, { text: 'It is 12 é' });
  const detail = page.getByTestId('token-detail');
  const strip = page.getByRole('listbox', { name: 'Tokens of the text' });
  assert.deepEqual(await strip.getByRole('option').allInnerTexts(), ['It', '␣is', '␣1', '2', '␣é']);
  await strip.getByRole('option').first().focus();
  await page.getByText('“It”, token 1 of 5').waitFor();
  assert.doesNotMatch(await detail.innerText(), /log-probability/);
  await page.keyboard.press('End');
  await page.getByText(/“é”, token 5 of 5 · id \d+ · bytes 20 C3 A9 · log-probability −\d/).waitFor();
  await page.keyboard.press('ArrowLeft');
  await page.getByText('“2”, token 4 of 5').waitFor();
  assert.equal(await strip.locator('[tabindex="0"]').count(), 1);
  // The pointer shows another one for a while.
  await strip.getByRole('option').nth(1).hover();
  await page.getByText('“is”, token 2 of 5').waitFor();
  await page.getByRole('heading', { name: 'Inside the model' }).hover();
  await page.getByText('“2”, token 4 of 5').waitFor();
});

test('“it” looks at the tiger: by mean and by head', { timeout }, async (t) => {
  const page = await inspect(t);
  const attention = await panel(page, 'attention');
  const detail = page.getByTestId('attention-detail');
  assert.match(await detail.innerText(), /^On average over all layers, “it” \(13\) looks at “tiger” \(2\) \d+%/);
  await attention.getByRole('gridcell', { name: /^All layers/ }).focus();
  await page.keyboard.press('ArrowDown');
  await page.getByText(/^In layer 0, on average over its heads/).waitFor();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.getByText(/^In layer 0, head 1, “it”/).waitFor();
  assert.equal(await attention.locator('td[tabindex="0"]').count(), 1);
  assert.equal(await attention.locator('td[aria-selected=true]').getAttribute('data-index'), '12');

  const [, layer, head] = /^layer (\d+), head (\d+)$/.exec(
    await attention.getByRole('button', { name: /^layer/ }).innerText(),
  );
  await attention.getByRole('button', { name: /^layer/ }).click();
  await page.getByText(`In layer ${layer}, head ${head}, “it” (13) looks at “tiger” (2)`).waitFor();

  // Weights are marked by length too, and those of a row with the first token sum to 1.
  await attention.getByRole('option').first().focus();
  await page.getByText(/“The” \(1\) looks at nothing else; the first token has 100%/).waitFor();
  await attention.getByLabel('Leave out the first token').uncheck();
  await page.getByText(/“The” \(1\) looks at “The” \(1\) 100%\./).waitFor();
});

test('sliders and constraints show what each stage leaves and cuts', { timeout }, async (t) => {
  const page = await inspect(t);
  const next = await panel(page, 'next');
  const rows = next.getByRole('list', { name: 'Tokens that may come next' }).getByRole('listitem');
  assert.ok((await rows.count()) > 10);
  await next.getByRole('slider', { name: 'Top k' }).fill('1');
  await next.getByText('cut by top k').first().waitFor();
  assert.match(await rows.first().innerText(), /→ 100%/);
  assert.equal((await asked(page)).at(-1).rest.topK, 1);
  await next.getByRole('radio', { name: /^model/ }).check();
  await next.getByText('cut by').waitFor({ state: 'detached' });
  await next.getByRole('slider', { name: 'Top k' }).fill('0');
  await next.getByRole('combobox', { name: 'Constraint' }).selectOption('choices');
  await next.getByLabel('What is written from here on is').fill(' Paris\n Berlin');
  await next.getByRole('radio', { name: /^constraint/ }).check();
  await next.getByText('cut by constraint').first().waitFor();
  assert.equal(await rows.filter({ hasNotText: 'cut by' }).count(), 2);
  assert.deepEqual((await asked(page)).at(-1).rest.constraint, { choices: [' Paris', ' Berlin'] });
  await next.getByRole('combobox', { name: 'Constraint' }).selectOption('regex');
  await next.getByLabel('What is written from here on matches').fill('(');
  await next.getByText('No answer can fit').waitFor();
  await next.getByLabel('What is written from here on matches').fill(' [A-Z].*');
  await next.getByText('No answer can fit').waitFor({ state: 'detached' });
});

test('tokens are taken, and the branches walked, by keyboard', { timeout }, async (t) => {
  const page = await inspect(t);
  const next = await panel(page, 'next');
  const branches = next.getByRole('group', { name: 'Branches' }).getByRole('button');
  await next
    .getByRole('button', { name: /^Go on with/ })
    .first()
    .press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.branches button').length === 2);
  await next.getByRole('button', { name: 'Draw one' }).press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.branches button').length === 3);
  await branches.last().focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await next.locator('.branches [aria-current]').innerText(), 'end of the text');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-current')), 'step');
  await page.waitForFunction(() => document.querySelector('[data-panel=next] .result').ariaBusy === 'false');
  await next
    .getByRole('button', { name: /^Go on with/ })
    .nth(2)
    .press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.branches ul ul > li').length === 2);
  await branches.last().focus();
  await page.keyboard.press('ArrowUp');
  const first = await branches.nth(1).innerText();
  assert.equal(await next.locator('.branches [aria-current]').innerText(), first);
  await next.getByRole('button', { name: 'Forget the branches' }).press('Enter');
  assert.equal(await branches.count(), 1);
});

test('a panel asks for its part when it is opened, and for nothing before', { timeout }, async (t) => {
  const page = await inspect(t, { query: { moe: '' } });
  await page.locator('.token').first().waitFor();
  assert.deepEqual(
    (await asked(page)).map(({ rest }) => Object.keys(rest)),
    [['logprobs']],
  );
  const parts = { lens: ['lens'], norms: ['hiddenStates'], rotations: ['rotations'], neighbours: [] };
  for (const [name, keys] of Object.entries({ ...parts, experts: ['experts'], timing: ['timing'] })) {
    await panel(page, name);
    assert.deepEqual(Object.keys((await asked(page)).at(-1).rest), keys);
  }
  assert.equal((await asked(page)).length, 8);

  await page.getByRole('gridcell').first().focus();
  await page.keyboard.press('ArrowDown');
  await page.getByText(/^After layer 1, behind “because”: “/).waitFor();
  await page.getByRole('img', { name: 'Pair 0, a turn takes 6.3 tokens' }).waitFor();
  await page.getByText('14 of 15 tokens are remembered').waitFor();
  await page.locator('[data-panel=timing] canvas').waitFor();
  const near = page.locator('[data-panel=neighbours]');
  await near
    .getByRole('button', { name: /^Neighbours of/ })
    .first()
    .click();
  await near.getByText('Near “it”').waitFor({ state: 'detached' });
  await near.getByLabel('A token').fill(' tiger');
  await page.keyboard.press('Enter');
  await near.getByText('Near “tiger”').waitFor();
  await page.getByRole('listbox', { name: 'Tokens of the text' }).getByRole('option').first().click();
  await near.getByText('Near “The”').waitFor();
});

test('a panel that is closed or left gives up what it asked', { timeout }, async (t) => {
  const page = await inspect(t, { query: { inspected: 1500 } });
  await page.locator('.token').first().waitFor();
  const lens = page.locator('[data-panel=lens] > summary');
  await lens.press('Enter');
  await page.getByText('Computing…').waitFor();
  await lens.press('Enter');
  await page.waitForFunction(() => globalThis.inspections.at(-1).aborted);
  await lens.press('Enter');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('.token').first().hover(); // which begins nothing again
  await page.getByRole('button', { name: 'Compute it' }).click();
  await page.getByText('Computing…').waitFor();
  await page.goBack();
  await page.waitForFunction(() => globalThis.inspections.at(-1).aborted);
  // It asks again when one comes back.
  await page.goForward();
  await page.locator('.lens').waitFor();
});

test('an error is told in the panel, and its remedies work', { timeout }, async (t) => {
  const page = await inspect(t, { query: { inspect: 'OUT_OF_MEMORY' } });
  await page.getByText('There is not enough memory').waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.waitForFunction(() => globalThis.inspections.length === 2);
  await page.getByRole('button', { name: 'Open the settings' }).click();
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
});

test('of a model of a server the inspector says that it cannot look inside', { timeout }, async (t) => {
  const page = await inspect(t, { query: { server: '' } });
  await page.getByText('This model runs on a server').waitFor();
  assert.deepEqual(await asked(page), []);
});

test('of an encoder attention is shown, and said what is not', { timeout }, async (t) => {
  const page = await inspect(t, { query: { encoder: '' } });
  await page.getByText('This model is an encoder').waitFor();
  await panel(page, 'attention');
  await panel(page, 'norms');
  assert.equal(await page.locator('details.panel').count(), 2);
  assert.ok((await asked(page)).every(({ rest }) => !rest.logprobs));
});

test('an answer is looked into with the marks of its messages', { timeout }, async (t) => {
  const page = await open(t, { say: 'A warp is a thread.' });
  await load(page);
  await ask(page, 'What is a warp?');
  await page.getByTestId('look-inside').click();
  await view(page, 'inspector');
  await page.locator('.token.special').first().waitFor();
  const tokens = (await page.locator('.token').allInnerTexts()).join('');
  assert.match(tokens, /^<\|im_start\|>user.*warp.*<\|im_start\|>assistant⏎A␣warp␣is␣a␣thread/);
  await page.getByRole('button', { name: 'Look at a text of your own' }).click();
  assert.equal(await focused(page), 'inspected');
});

test('Arabic runs from right to left, and emoji are bytes where a token has a part', { timeout }, async (t) => {
  const page = await inspect(t, { text: 'مرحبا يا عالم 👋', viewport: { width: 320, height: 640 } });
  const strip = page.getByRole('listbox', { name: 'Tokens of the text' });
  assert.equal(await strip.evaluate((one) => getComputedStyle(one).direction), 'rtl');
  await strip.getByRole('option').first().focus();
  await page.keyboard.press('ArrowLeft');
  await page.getByText('token 2 of').waitFor();
  assert.ok((await strip.innerText()).includes('‹F0 9F›'));
  for (const name of PANELS) await panel(page, name);
  assert.deepEqual(await outside(page), []);
});

test('“View source” shows the code that feeds a panel', { timeout }, async (t) => {
  const calls = await readFile(inRoot('www/src/inspector/calls.ts'), 'utf8');
  const page = await inspect(t);
  await page.locator('.token').first().waitFor();
  for (const name of PANELS) await panel(page, name);
  const shown = await page.locator('.source code').allTextContents();
  assert.equal(shown.length, PANELS.length + 1);
  for (const code of shown) {
    assert.match(code, /^async function \w+\([\s\S]+llm\.(inspect|nearestTokens)\([\s\S]+\}$/);
    assert.ok(calls.includes(code));
  }
});

test('an answer is looked into while it is written, once that is opened', { timeout }, async (t) => {
  const page = await open(t);
  await load(page);
  await ask(page);
  const live = page.locator('.live');
  const answer = () => page.getByTestId('answer').last().textContent();
  assert.doesNotMatch(await answer(), /"inspect"/);
  assert.equal(await live.locator('.bars').count(), 0);

  await live.locator('summary').press('Enter');
  await live.getByText('Answers are slower while this is open').waitFor();
  await ask(page, 'Again.', 'streaming');
  await live.getByText(/“.+” was drawn, with 100% after the sampler;\s+\d+ tokens\s+are\s+remembered/).waitFor();
  await state(page, 'answered');
  assert.match(await answer(), /"inspect":\{"next":\{"top":5\}\}/);
  assert.equal(await live.locator('.bars li').count(), 5);
  assert.match(await live.locator('.bars [aria-current]').innerText(), /messages.*\d% → 100%/s); // the last word
  assert.match(await live.locator('.bars .cut').first().innerText(), /cut by temperature/);
  assert.equal(await live.getByText('ms in operations').count(), 0);

  await live.getByLabel('Times of the operations too').check();
  await ask(page, 'And times.', 'streaming');
  await live.getByText(/^27\.2 ms in operations: gate_proj, up_proj 10\.0 · /).waitFor();
  await live.locator('summary').press('Enter');
  await state(page, 'answered');
  await ask(page);
  assert.doesNotMatch(await answer(), /"inspect"/);
});

test('there is nothing to open in the middle of an answer, or of a server', { timeout }, async (t) => {
  const page = await open(t, { query: { wait: 30 } });
  await load(page);
  await ask(page, 'Go on.', 'streaming');
  assert.equal(await page.locator('.live summary').isVisible(), false);
  await page.getByTestId('stop').click();
  await page.locator('.live summary').waitFor();
  const server = await open(t, { query: { server: '' } });
  await load(server);
  await ask(server);
  assert.equal(await server.locator('.live').count(), 0);
});

test('axe finds nothing in what is seen of an answer', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const page = await open(t, { say: 'A warp is a thread.', viewport: { width: 320, height: 800 } });
  await load(page);
  await ask(page);
  await page.locator('.live summary').press('Enter');
  await page.getByLabel('Times of the operations too').check();
  await ask(page);
  for (const look of [{}, { colorScheme: 'dark' }, { colorScheme: 'light', forcedColors: 'active' }]) {
    await page.emulateMedia(look);
    assert.deepEqual(await violations(page, axe), [], JSON.stringify(look));
  }
  assert.deepEqual(await outside(page), []);
});

for (const width of [320, 1200]) {
  test(`the inspector has no violations that axe finds, at ${width} pixels`, { timeout }, async (t) => {
    const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
    const page = await inspect(t, { query: { moe: '' }, viewport: { width, height: 800 } });
    await page.locator('.token').first().waitFor();
    for (const name of PANELS) await panel(page, name);
    await page
      .getByRole('button', { name: /^Go on with/ })
      .first()
      .click();
    for (const look of [{}, { colorScheme: 'dark' }, { colorScheme: 'light', forcedColors: 'active' }]) {
      await page.emulateMedia(look);
      assert.deepEqual(await violations(page, axe), [], JSON.stringify(look));
    }
    assert.deepEqual(await outside(page), []);
  });
}
