// The languages of the demo page, in Chromium with the fake engine of www/dev.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, load, state, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();
const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');

const root = (page) => page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]);

/** By keyboard; `field` is its name in the language that is shown. */
async function choose(page, field, name) {
  await page.getByTestId('settings').click();
  await page.getByLabel(field, { exact: true }).focus();
  await page.locator('#language').selectOption({ label: name });
}

/** Widths by which the page and the view are wider than they can show. */
const hidden = (page) =>
  page.evaluate(() =>
    ['html', '#main', 'dialog[open]'].map((one) => {
      const element = document.querySelector(one);
      return element ? element.scrollWidth - element.clientWidth : 0;
    }),
  );

/** Shows one view after the other, by buttons that have the same ids in all languages. */
const VIEWS = {
  picker: (page) => page.locator('#shelf-list summary').first().click(),
  chat: async (page) => {
    await load(page);
    await ask(page, 'How does one weave?');
    await page.locator('.live > summary').click();
    await ask(page, 'Go on.');
    await page.locator('.live .bars').waitFor();
    await page.locator('.more').last().click();
  },
  menu: async (page) => {
    await page.setViewportSize({ width: 320, height: 800 });
    await page.locator('#open-menu').click();
  },
  details: async (page) => {
    await page.keyboard.press('Escape');
    await page.getByTestId('engine').click();
    await page.locator('#engine-details dt').nth(3).waitFor();
  },
  chats: async (page) => {
    await page.keyboard.press('Escape');
    await page.getByTestId('chats').click();
    await page.locator('#chats-list .row-actions button').nth(1).click();
  },
  settings: async (page) => {
    await page.locator('#chats .title button').click();
    await page.getByTestId('settings').click();
  },
  compare: async (page) => {
    await page.locator('#settings .title button').click();
    await page.locator('#open-compare').click();
    await page.locator('#compare-prompt').fill('What weaves?');
    await page.locator('#compare-go').click();
    await page.locator('.side[data-state=answered]').nth(1).waitFor();
  },
  inspector: async (page) => {
    await page.goBack();
    await page.getByTestId('inspector').click();
    await page.locator('.panels[aria-busy=false]').waitFor();
    for (const name of ['attention', 'next', 'timing']) {
      await page.locator(`[data-panel=${name}] > summary`).press('Enter');
      await page.locator(`[data-panel=${name}] .result`).first().waitFor();
    }
  },
  tasks: async (page) => {
    const done = page.locator('dialog[open] .title button');
    if (await done.count()) await done.click();
    await page.getByTestId('tasks').click();
    await page.locator('#tasks-title').waitFor();
  },
  card: async (page) => {
    await page.locator('#task-extract').click();
    await page.getByTestId('run').click();
    await page.waitForSelector('.task[data-state=done]');
  },
};

test('another language is chosen while an answer comes, and stays after a reload', { timeout }, async (t) => {
  const page = await open(t, { query: { wait: 12 } });
  await load(page);
  await ask(page, 'How does one weave?', 'streaming');
  await choose(page, 'Language', 'Deutsch');
  await page.getByRole('dialog', { name: 'Einstellungen' }).waitFor();
  assert.deepEqual(await root(page), ['de', 'ltr']);
  assert.equal(await page.locator('.turn').getAttribute('data-state'), 'streaming');
  await page.getByRole('button', { name: 'Fertig' }).click();
  await state(page, 'answered');
  assert.match(await page.getByTestId('answer').textContent(), /^Weaving crosses.*throw the shuttle/s);
  assert.match(
    await page.getByTestId('stats').textContent(),
    /^\d+,\d Tokens\/s · erstes nach \d+,\d\d s · 1\d\d Tokens/,
  );
  await page.getByRole('button', { name: 'Code kopieren' }).waitFor();

  await page.reload();
  await page.getByRole('button', { name: 'Neuer Chat' }).waitFor();
  assert.equal(await page.title(), 'weft: ein Sprachmodell in dieser Seite');
  await choose(page, 'Sprache', 'English');
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  // What was said of an earlier answer is said in the new language too.
  assert.match(await page.getByTestId('stats').textContent(), /^\d+\.\d tokens\/s · first after/);
});

test('a first visit is in the language of the browser; an unknown one is English', { timeout }, async (t) => {
  const fetched = [];
  const prepare = (page) => page.on('request', (request) => fetched.push(new URL(request.url()).pathname));
  const english = await open(t, { locale: 'fr-FR', prepare });
  assert.deepEqual(await root(english), ['en', 'ltr']);
  const scripts = new Set(fetched.filter((path) => path.endsWith('.js')));

  const arabic = await open(t, { locale: 'ar', prepare });
  assert.deepEqual(await root(arabic), ['ar', 'rtl']);
  assert.match(await arabic.locator('h1').first().textContent(), /^نموذج لغوي/);
  // Only its messages came in addition, and all of them are there without a network later.
  const messages = new Set(fetched.filter((path) => path.endsWith('.js') && !scripts.has(path)));
  assert.equal(messages.size, 7, [...messages].join());
  const kept = await arabic.evaluate(async () => (await fetch('service-worker.js')).text());
  for (const path of messages) assert.ok(kept.includes(path.slice(1)), path);

  const second = await open(t, {
    prepare: (page) =>
      page.addInitScript(() => Object.defineProperty(navigator, 'languages', { value: ['fr', 'de-AT', 'en'] })),
  });
  assert.deepEqual(await root(second), ['de', 'ltr']);
});

test('a language that does not arrive leaves the page as it is, and says so', { timeout }, async (t) => {
  const page = await open(t);
  await page.context().setOffline(true);
  await choose(page, 'Language', 'العربية');
  await page.getByText('This language did not arrive.').waitFor();
  assert.deepEqual(await root(page), ['en', 'ltr']);
  assert.equal(await page.locator('#language').inputValue(), 'en');
});

for (const [locale, colorScheme, names] of [
  ['ar', 'dark', Object.keys(VIEWS)],
  ['de', 'light', ['picker', 'chat', 'chats', 'settings', 'tasks']],
  ['en', 'light', ['picker']],
])
  test(`${locale}: every view fits, and is clean for axe (${colorScheme})`, { timeout }, async (t) => {
    const page = await open(t, { locale, colorScheme, reducedMotion: 'reduce' });
    for (const name of names) {
      await VIEWS[name](page);
      for (const width of [320, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        assert.deepEqual(await hidden(page), [0, 0, 0], `${name} at ${width}`);
      }
      assert.deepEqual(await violations(page, axe), [], name);
    }
    assert.deepEqual(await root(page), [locale, locale === 'ar' ? 'rtl' : 'ltr']);
  });

test('Arabic is laid out from the right, and names and code from the left', { timeout }, async (t) => {
  const page = await open(t, { locale: 'ar' });
  await load(page);
  await ask(page, 'How does one weave?');
  await ask(page, 'كيف ننسج؟');
  const of = (selector) =>
    page.locator(selector).evaluate((element) => {
      const { left, right } = element.getBoundingClientRect();
      return { middle: (left + right) / 2 / innerWidth, direction: getComputedStyle(element).direction };
    });
  assert.ok((await of('.wordmark')).middle > 0.8);
  assert.ok((await of('#open-settings')).middle < 0.2);
  const [english, arabic] = [await of('.question >> nth=0'), await of('.question >> nth=1')];
  assert.deepEqual([english.direction, arabic.direction], ['ltr', 'rtl']);
  assert.ok(english.middle < 0.5 && arabic.middle < 0.5, 'questions stand on the side of the one who asks');
  assert.equal((await of('.code >> nth=0')).direction, 'ltr');
  await view(page, 'chat');
});
