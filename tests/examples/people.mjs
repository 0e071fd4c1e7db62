// What a person does in each example: types, presses keys, and waits for text. Finds fields and
// buttons by their accessible names.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const PHONE = { width: 360, height: 740 };
/** A test has its own limit. */
const timeout = 120_000;

/**
 * By folder of `examples`: the names of the field and of the button, and where the answer appears.
 * `words`: the text to type, if the field is empty. `model`: the model to load. `streams`: the
 * answer comes word by word. `first` runs before asking, `then` after the answer.
 */
export const EXAMPLES = {
  'plain-page': { streams: true, field: 'Question', ask: 'Ask', answer: '#answer' },
  worker: { streams: true, field: 'Question', ask: 'Ask', answer: '#answer' },
  extraction: { field: 'Letter', ask: 'Find the contact', answer: '#contact', then: hasContact },
  document: { streams: true, field: 'Question', ask: 'Ask', answer: '#answer', then: isRemembered },
  search: {
    model: 'encoder',
    field: 'What it should say',
    words: 'the cat',
    ask: 'Search',
    answer: '#results',
    first: chooseFolder,
    then: isRanked,
  },
  tools: { streams: true, field: 'Question', ask: 'Ask', answer: '#answer', then: wasCalled },
  offline: { streams: true, field: 'Question', ask: 'Ask', answer: '#answer', then: worksOffline },
  'vite-react': { streams: true, field: 'Message', words: 'Hi', ask: 'Send', answer: '.assistant', then: goesOn },
  next: { streams: true, field: 'Message', words: 'Hi', ask: 'Send', answer: '.assistant', then: goesOn },
  extension: { streams: true, field: 'Question', words: 'Hi', ask: 'Ask', answer: '#answer', then: takesSelection },
};

/**
 * Uses an example as a person would: with a model that is not there, with one that never comes, and
 * with one that answers.
 *
 * @param {{ context, url: string, models: string, folder: string, stop(): Promise<void> }} place
 *   `url` and `models`: addresses of the page and of the models; `folder`: an empty one;
 *   `stop` ends the server of the page.
 */
export async function use(name, place) {
  const example = EXAMPLES[name];

  const broken = await open(example, place, 'missing');
  await ask(broken, example);
  await says(broken, /missing\.gguf/);
  await broken.close();

  const slow = await open(example, place, 'slow');
  await ask(slow, example);
  await slow.getByRole('progressbar').waitFor({ timeout });
  await slow.getByRole('button', { name: 'Stop' }).press('Enter');
  await says(slow, /^Stopped\.$/);
  await slow.close();

  const page = await open(example, place, example.model ?? 'decoder');
  await ask(page, example);
  await hasAnswered(page, example);
  await example.then?.(page, { ...place, example });

  if (!example.streams) return;
  await page.evaluate(stopAtFirstWord, example.answer);
  await ask(page, example);
  await says(page, /^Stopped\.$/);
}

/** Runs in the page, so that no word comes in between. */
function stopAtFirstWord(answer) {
  const observer = new MutationObserver(() => {
    const stop = [...document.querySelectorAll('button')].find(({ textContent }) => textContent === 'Stop');
    const text = [...document.querySelectorAll(answer)].at(-1)?.textContent.replace(/^Model: |…$/g, '');
    if (!stop || stop.hidden || !text) return;
    observer.disconnect();
    stop.click();
  });
  observer.observe(document.body, { subtree: true, childList: true, characterData: true });
}

/** A page with one of the models. */
async function open(example, { context, url, models, folder }, model) {
  const page = await context.newPage();
  await page.setViewportSize(PHONE);
  await page.goto(`${url}?model=${encodeURIComponent(`${models}${model}.gguf`)}`);
  await example.first?.(page, folder);
  return page;
}

async function ask(page, { field, words, ask }) {
  const input = page.getByLabel(field);
  await input.focus();
  if (words) await page.keyboard.type(words);
  await page.getByRole('button', { name: ask }).focus();
  await page.keyboard.press('Enter');
}

/** Waits for words in the status line. Fails with its text if that says something else. */
async function says(page, words) {
  const status = page.getByRole('status').filter({ hasText: /./ });
  const done = status.filter({ hasNotText: '…' });
  await done.waitFor({ timeout });
  assert.match(await done.textContent(), words);
}

async function hasAnswered(page, { answer }) {
  await says(page, /^Done\.$/);
  const text = await page.locator(answer).last().textContent();
  assert.ok(text.length > 0, 'the answer is empty');
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `the page is ${content} pixels wide on a phone of ${width}`);
  return text;
}

async function hasContact(page) {
  const names = await page.locator('#contact dt').allTextContents();
  assert.deepEqual(names, ['name', 'company', 'email', 'phone']);
  assert.match(await page.locator('#contact dd').nth(2).textContent(), /^\S+@\S+$/);
}

/** The document of the first question is not read again for the second. */
async function isRemembered(page, { example }) {
  await page.getByLabel(example.field).fill('Who is the caretaker?');
  await ask(page, example);
  await hasAnswered(page, example);
  const [remembered, all] = (await page.locator('#figures').textContent()).match(/\d+/g).map(Number);
  assert.ok(remembered > all / 2, `${remembered} of ${all}`);
}

const NOTES = {
  'cats.md': 'The cat sat on the mat.\n\nThe dog did not.',
  'more/ships.txt': 'A ship went to the north.',
  'picture.png': 'no text',
};

async function chooseFolder(page, folder) {
  for (const [name, text] of Object.entries(NOTES)) {
    await mkdir(join(folder, 'notes/more'), { recursive: true });
    await writeFile(join(folder, 'notes', name), text);
  }
  await page.getByLabel('Folder').setInputFiles(join(folder, 'notes'));
}

async function isRanked(page) {
  const results = await page.locator('#results li').allTextContents();
  assert.equal(results.length, 3, 'a paragraph each');
  const scores = results.map((text) => Number(/, (-?\d+) %/.exec(text)[1]));
  assert.deepEqual(
    scores,
    [...scores].sort((a, b) => b - a),
  );
}

async function wasCalled(page) {
  const steps = await page.locator('#steps li').allTextContents();
  assert.match(steps[0], /local_time\(\{"city": ?"\w+"\}\)/);
  assert.match(steps[1], /\d\d:\d\d/);
}

/** Asks a second question in the same conversation, by Enter in the field. */
async function goesOn(page, { example }) {
  await page.getByLabel(example.field).fill('And now?');
  await page.keyboard.press('Enter');
  await page.locator('.assistant').nth(1).waitFor({ timeout });
  await hasAnswered(page, example);
  assert.deepEqual(await page.locator('.user').allTextContents(), ['You: Hi', 'You: And now?']);
}

async function worksOffline(page, { context, stop, example }) {
  const browser = await context.newCDPSession(page);
  const { errors } = await browser.send('Page.getAppManifest');
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await browser.send('Page.getInstallabilityErrors');
  // A browser context of the tests is a private window, which cannot install an app.
  const ids = installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito');
  assert.deepEqual(ids, []);
  await stop();
  await context.setOffline(true);
  await page.reload();
  await ask(page, example);
  await hasAnswered(page, example);
}

/** The menu entry has put the selected text into the session storage. */
async function takesSelection(page, { context }) {
  const [worker] = context.serviceWorkers();
  await worker.evaluate(() => chrome.contextMenus.onClicked.dispatch({ selectionText: 'entropy' }));
  const question = page.getByLabel('Question');
  await page.waitForFunction(() => document.querySelector('#question').value.endsWith('entropy'), undefined, {
    timeout,
  });
  assert.match(await question.inputValue(), /entropy$/);
}
