// The tasks of the demo page, each test in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { fakePage, focused, load, pressInHead, view, violations } from './page.mjs';
import { japanesePdf, pdf } from './pdf.mjs';

const timeout = 120_000;
const open = fakePage();

/** Opens the page with the list of tasks. */
async function openTasks(t, { query, ...options } = {}) {
  const page = await open(t, { query: { lines: 20, wait: 1, ...query }, ...options });
  await load(page);
  await pressInHead(page, 'tasks');
  await page.locator('#tasks-title').waitFor();
  return page;
}

const state = (page, name) => page.waitForSelector(`.task[data-state=${name}]`);

async function run(page, until = 'done') {
  await page.getByTestId('run').click();
  await state(page, until);
}

async function openTask(page, id) {
  await page.locator(`#task-${id}`).click();
  await page.locator('#task-title').waitFor();
}

async function leave(page) {
  await page.getByRole('button', { name: 'All tasks' }).click();
  await page.locator('#tasks-title').waitFor();
}

const result = (page) => page.getByTestId('result').innerText();

test('each task that writes gives a text, and shows the code that asked for it', { timeout }, async (t) => {
  const page = await openTasks(t, { query: { model: 'coder' } });
  const asked = {
    chat: /moon have phases/,
    summarise: /Summarise this text in one sentence/,
    translate: /Translate from English into French/,
    rewrite: /so that it is polite and formal/,
    code: /Write Python code/,
    fill: /reads the same backwards.+return word == word\[::-1\].+assert not is_palindrome/s,
    maths: /A train leaves/,
  };
  for (const [id, expected] of Object.entries(asked)) {
    await openTask(page, id);
    await run(page);
    assert.match(await result(page), expected, id);
    if (id !== 'maths') await leave(page);
  }
  const code = await readFile(inRoot('www/src/tasks/code/maths.ts'), 'utf8');
  await page.getByText('View source').click();
  assert.equal(await page.locator('.source pre').textContent(), code);
});

test('labels come as bars, from a decoder or by those of a classifier', { timeout }, async (t) => {
  const page = await openTasks(t);
  const scores = () => page.getByTestId('scores').locator('li').allInnerTexts();
  await openTask(page, 'classify');
  await page.getByLabel('Labels').fill('late, broken');
  await run(page);
  assert.deepEqual(
    (await scores()).map((row) => row.split(/\s+/)[0]),
    ['late', 'broken'],
  );
  assert.equal(await page.getByTestId('scores').locator('meter').first().getAttribute('value'), String(2 / 3));
  await leave(page);
  for (const [id, first] of [
    ['sentiment', 'positive'],
    ['entailment', 'entailment'],
  ]) {
    await openTask(page, id);
    await run(page);
    assert.match((await scores())[0], new RegExp(`^${first}\\s+57%`));
    await leave(page);
  }

  const other = await openTasks(t, { query: { model: 'classifier' } });
  await openTask(other, 'sentiment');
  await run(other);
  assert.match(await other.getByTestId('scores').innerText(), /POSITIVE/);
  await leave(other);
  await openTask(other, 'classify');
  assert.match(await other.getByTestId('missing').innerText(), /labels of its own: POSITIVE, NEGATIVE/);
});

test('a form is made by clicking, and filled in as a form and as JSON', { timeout }, async (t) => {
  const page = await openTasks(t);
  await openTask(page, 'extract');
  await page.getByRole('button', { name: 'Remove field 5' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Add a field');
  for (const [name, type] of [
    ['vegetarian', 'yes or no'],
    ['wishes', 'list'],
  ]) {
    await page.getByRole('button', { name: 'Add a field' }).click();
    await page.keyboard.type(name);
    await page.locator('.schema li').last().getByRole('combobox').selectOption(type);
  }
  await page.getByLabel('Choices 4').fill('garden, hall');
  await run(page);
  assert.deepEqual(
    (await page.getByTestId('filled').innerText()).split(/\s*\n\s*/),
    ['name', 'Ada Byron', 'guests', '6', 'date', '2027-03-14', 'place', 'garden', 'vegetarian', 'yes'].concat([
      ...['wishes', 'vegetarian', 'no nuts'],
    ]),
  );
  const json = JSON.parse(await page.locator('.json pre').textContent());
  assert.deepEqual(json, {
    ...{ name: 'Ada Byron', guests: 6, date: '2027-03-14', place: 'garden', vegetarian: true },
    wishes: ['vegetarian', 'no nuts'],
  });

  // Two fields of one name cannot be sent.
  await page.getByLabel('Name 2').fill('name');
  await page.getByTestId('run').click();
  assert.equal(await page.locator('.schema input:invalid').count(), 1);
});

test('examples are added by clicking and go into the prompt; a result can become one', { timeout }, async (t) => {
  const page = await openTasks(t);
  await openTask(page, 'rewrite');
  await page.getByText('Examples (0)').click();
  await page.getByRole('button', { name: 'Add an example' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.value), 'Send me the file.');
  await run(page);
  assert.match(await result(page), /Example: Rewrite .+Send me the file\. → Could you please send me the file\?/s);
  await page.getByRole('button', { name: 'Keep as an example' }).click();
  assert.match(await page.getByLabel('Input 2').inputValue(), /^I need the report today/);
  await page.getByRole('button', { name: 'Remove example 1' }).click();
  assert.match(await page.getByLabel('Input 1').inputValue(), /^I need the report today/);

  // They are there when the task is opened again.
  await leave(page);
  await openTask(page, 'rewrite');
  assert.equal(await page.getByText('Examples (1)').count(), 1);
  await leave(page);
  await openTask(page, 'classify');
  await page.getByText('Examples (0)').click();
  await page.getByRole('button', { name: 'Add an example' }).click();
  assert.equal(await page.getByLabel('Output 1').inputValue(), 'price');
});

const LOOMS = [
  {
    name: 'looms.pdf',
    mimeType: 'application/pdf',
    buffer: pdf('The heddle lifts the warp.', 'Jeans are a blue twill.'),
  },
  { name: 'care.txt', mimeType: 'text/plain', buffer: Buffer.from(`Wax the pins once a year. ${'word '.repeat(300)}`) },
  { name: 'scan.pdf', mimeType: 'application/pdf', buffer: pdf('') },
  { name: 'picture.png', mimeType: 'image/png', buffer: Buffer.from([137, 80, 78, 71, 0, 255]) },
];

test('a PDF and a text are asked by their words, and the citation opens its passage', { timeout }, async (t) => {
  const page = await openTasks(t, { say: 'They are a twill [1], not a satin [7].' });
  await openTask(page, 'documents');
  assert.equal(await page.getByTestId('run').isDisabled(), true);
  await page.getByTestId('text-files').setInputFiles(LOOMS);
  await page.getByTestId('read').getByText('picture.png').waitFor();
  assert.deepEqual(
    (await page.getByTestId('read').locator('li').allInnerTexts()).map((text) => text.trim()),
    [
      'looms.pdf 2 passages',
      'care.txt 2 passages',
      'scan.pdf has no text: are its pages pictures?',
      'picture.png cannot be read: neither a PDF nor text in UTF-8',
    ],
  );
  assert.match(await page.getByTestId('by-words').innerText(), /a search for words/);
  await page.getByLabel('Question').fill('Which weave are blue jeans?');
  await run(page);
  assert.match(await result(page), /They are a twill \[1\], not a satin \[7\]\..*Found by their words/s);
  assert.equal(await page.locator('.cite').count(), 1);
  await page.locator('.cite').click();
  assert.equal(await page.getByText('Jeans are a blue twill.').isVisible(), true);
  assert.match(await page.evaluate(() => document.activeElement.textContent), /\[1\]\s+looms\.pdf, page 2/);
});

test('a PDF in Japanese fetches its character maps once, and keeps them', { timeout }, async (t) => {
  const buffer = japanesePdf(Buffer.from([0x93, 0xfa, 0x96, 0x7b, 0x8c, 0xea])); // 日本語
  const upload = (name) => ({ name, mimeType: 'application/pdf', buffer });
  const page = await openTasks(t, { query: { stored: '' } });
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload(); // from here on, the service worker answers
  await page.locator('#tasks-title').waitFor();
  await openTask(page, 'documents');
  const fetched = [];
  page.context().on('request', (request) => {
    if (request.serviceWorker()) fetched.push(request.url().split('/').at(-1));
  });
  await page.getByTestId('text-files').setInputFiles(upload('one.pdf'));
  await page.locator('.read').getByText('1 passage').waitFor();
  assert.ok(fetched.includes('90ms-RKSJ-H.bcmap'), fetched.join());
  assert.ok(fetched.length < 6, fetched.join());
  await page.context().setOffline(true);
  await page.getByTestId('text-files').setInputFiles(upload('two.pdf'));
  await page.locator('.read li', { hasText: 'two.pdf' }).getByText('1 passage').waitFor();
  await page.getByLabel('Question').fill('日本語');
  await run(page);
  assert.match(await page.getByTestId('passages').locator('li').first().textContent(), /日本語/);

  const without = await openTasks(t, { serviceWorkers: 'block' });
  await without.route('**/*.bcmap', (route) => route.fulfill({ status: 404 }));
  await without.route('**/*.ttf', (route) => route.abort());
  await openTask(without, 'documents');
  await without.getByTestId('text-files').setInputFiles(upload('one.pdf'));
  await without.getByText('needs the character map 90ms-RKSJ-H: this copy of the page does not have it').waitFor();
  // Of a font, the letters that most texts have are read without it.
  await without.getByTestId('text-files').setInputFiles(LOOMS[0]);
  await without.getByText('2 passages; letters with accents may be missing; they need the font Liberation').waitFor();
});

test('files are searched by meaning with a second model, which lives beside the first', { timeout }, async (t) => {
  const page = await openTasks(t);
  await openTask(page, 'search');
  assert.match(await page.getByTestId('no-embedder').innerText(), /gives no vectors.*MiniLM, bge or e5/);
  await page.getByTestId('text-files').setInputFiles(LOOMS);
  await page.getByTestId('load-embedder').click();
  await page.getByText('MiniLM gives the vectors.').waitFor();
  await page.getByLabel('What to look for').fill('the blue jeans');
  await run(page);
  assert.match(await page.getByTestId('passages').locator('li').first().innerText(), /looms\.pdf, page 2/);
  await leave(page);
  await openTask(page, 'documents');
  assert.equal(await page.getByTestId('by-words').count(), 0);
  await run(page);
  await leave(page);
  await openTask(page, 'compare');
  await page.getByLabel('Second text').fill('The cat sleeps on the warm roof.');
  await run(page);
  assert.match(await result(page), /similarity\s+1\.00/);
});

test('dropped files are asked, and a dropped model is loaded', { timeout }, async (t) => {
  const page = await openTasks(t);
  await openTask(page, 'documents');
  const drop = (name) =>
    page.evaluate((name) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(['The weft crosses the warp.'], name));
      const events = ['dragover', 'drop'].map(
        (type) => new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }),
      );
      for (const event of events) document.body.dispatchEvent(event);
      return document.getElementById('drop').hidden;
    }, name);
  assert.equal(await drop('notes.md'), true);
  await page.getByTestId('read').getByText('notes.md').waitFor();
  await drop('another-model.gguf');
  await page.waitForFunction(() => /smollm2 135M/.test(document.getElementById('engine').textContent));
  await view(page, 'tasks');
  await page.getByTestId('read').getByText('notes.md').waitFor();
});

test('a task says what its model lacks, and leads to another model and back', { timeout }, async (t) => {
  const expectMissing = async (page, id, says) => {
    assert.match(await page.locator(`#task-${id}`).innerText(), /needs a/);
    await openTask(page, id);
    assert.match(await page.getByTestId('missing').innerText(), says);
    assert.equal(await page.getByTestId('run').isDisabled(), true);
    await leave(page);
  };
  await expectMissing(await openTasks(t, { query: { model: 'base' } }), 'summarise', /no chat template/);
  const encoder = await openTasks(t, { query: { model: 'encoder' } });
  await expectMissing(encoder, 'chat', /an encoder: it reads text and writes none/);
  await expectMissing(encoder, 'sentiment', /without a classifier/);

  const page = await open(t);
  await pressInHead(page, 'tasks');
  await openTask(page, 'maths');
  assert.match(await page.getByTestId('missing').innerText(), /No model is loaded/);
  await page.getByRole('button', { name: 'Choose a model' }).click();
  await view(page, 'picker');
  assert.equal(await page.getByRole('button', { name: 'Back to the tasks' }).isVisible(), true);
  await page.getByTestId('load-default').click();
  await view(page, 'tasks');
  assert.equal(await page.locator('#task-title').innerText(), 'Solve step by step');
  await run(page);
  await leave(page);
  await expectMissing(page, 'fill', /no tokens for filling a gap.*Qwen2\.5-Coder/);
});

test('a task stops by its button, by Escape, and when it is left', { timeout }, async (t) => {
  const page = await openTasks(t, { query: { lines: 0, wait: 50 } });
  await openTask(page, 'summarise');
  for (const stop of [() => page.getByTestId('run').click(), () => page.keyboard.press('Escape')]) {
    await page.getByTestId('run').click();
    await page.locator('.answer p').waitFor();
    assert.equal(await page.getByTestId('run').innerText(), 'Stop');
    await stop();
    await state(page, 'stopped');
    assert.match(await page.locator('#announcer').textContent(), /Stopp/);
    assert.notEqual(await page.getByTestId('answer').innerText(), '');
  }
  await page.getByTestId('run').click();
  await page.locator('.answer p').waitFor();
  const task = await page.getByTestId('task').elementHandle();
  await page.getByRole('button', { name: 'Model', exact: true }).click();
  await page.waitForFunction((task) => task.dataset.state === 'stopped', task);
  await page.goBack();
  await page.getByTestId('run').click();
  await page.locator('.answer p').waitFor();
  await page.goBack();
  await page.locator('#tasks-title').waitFor();
  await openTask(page, 'summarise');
  await state(page, 'ready');
});

test('a failed task shows the error, runs again, and reloads a model that is lost', { timeout }, async (t) => {
  const page = await openTasks(t, { query: { chat: 'CONTEXT_OVERFLOW' } });
  await openTask(page, 'summarise');
  await run(page, 'failed');
  assert.match(await page.getByTestId('error').innerText(), /too long for the context/);
  await page.getByRole('button', { name: 'Dismiss this error' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), 'run');

  const other = await openTasks(t, { query: { chat: 'DEVICE_LOST' } });
  await openTask(other, 'summarise');
  await run(other, 'failed');
  assert.match(await other.getByTestId('missing').innerText(), /No model is loaded/);
  await other.getByRole('button', { name: 'Reload the model' }).click();
  await other.getByTestId('missing').waitFor({ state: 'detached' });
  await view(other, 'tasks');
  assert.equal(await other.locator('#task-title').innerText(), 'Summarise');
});

test('the keyboard alone opens a task, runs it, and comes back', { timeout }, async (t) => {
  const page = await open(t, { query: { stored: '' } });
  await load(page);
  await page.locator('#welcome-tasks').focus();
  await page.keyboard.press('Enter');
  await page.locator('#tasks-title').waitFor();
  await page.waitForFunction(() => document.activeElement.id === 'tasks-title');
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'task-chat');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'task-title');
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'field-text');
  await page.keyboard.press('Control+Enter');
  await state(page, 'done');
  assert.equal(await focused(page), 'field-text');
  assert.equal(await page.locator('#announcer').textContent(), 'The result is complete.');
  await page.goBack();
  await page.waitForFunction(() => document.activeElement.id === 'task-summarise');
  await page.goForward();
  await page.waitForFunction(() => document.activeElement.id === 'task-title');
  await page.reload();
  await page.locator('#task-title').waitFor();
  assert.equal(await page.locator('#task-title').innerText(), 'Summarise');
});

test('axe finds nothing in the tasks, light, dark or with forced colours', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  const found = {};
  const page = await openTasks(t);
  const check = async (what) => {
    for (const [width, media] of [
      [320, { colorScheme: 'light', forcedColors: 'none' }],
      [1200, { colorScheme: 'dark', forcedColors: 'none' }],
      [1200, { colorScheme: 'light', forcedColors: 'active' }],
    ]) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia(media);
      const faults = await violations(page, axe);
      const wide = await page.evaluate(() => document.querySelector('main').scrollWidth - innerWidth);
      if (wide > 0) faults.push(`${wide} px too wide`);
      if (faults.length) found[`${what}, ${width} px, ${JSON.stringify(media)}`] = faults;
    }
  };
  await check('list');
  for (const id of ['extract', 'sentiment', 'documents', 'fill']) {
    await openTask(page, id);
    for (const details of await page.locator('.task details > summary').all()) await details.click();
    if (id === 'extract') await page.getByRole('button', { name: 'Add an example' }).click();
    if (id === 'documents') await page.getByRole('button', { name: 'Use the example' }).click();
    if (id === 'documents') await page.getByTestId('read').waitFor();
    if (await page.getByTestId('run').isEnabled()) await run(page);
    await check(id);
    await leave(page);
  }
  assert.deepEqual(found, {});
});
