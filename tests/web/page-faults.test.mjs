// Faults that people met on the demo page, each in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { serveFake, violations } from './page.mjs';

const timeout = 120_000;
let browser, fake;

before(async () => {
  fake = await serveFake();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await fake?.close();
});

/** Opens the page. `query` and `say` tell the fake engine what to do. */
async function open(t, { query = {}, say, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  t.after(() => assert.deepEqual(problems, []));
  const fragment = say === undefined ? '' : `#${new URLSearchParams({ say })}`;
  await page.goto(`${fake.address}?${new URLSearchParams({ wait: 3, ...query })}${fragment}`);
  await page.getByTestId('load-default').waitFor();
  return page;
}

const view = (page, name) => page.waitForSelector(`body[data-view=${name}]`);
const state = (page, name) => page.waitForSelector(`chat-turn:last-child .turn[data-state=${name}]`);
const focused = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.localName);

async function load(page) {
  await page.getByTestId('load-default').click();
  await view(page, 'chat');
}

/** Sends a question, and waits for the end of the answer or for another state of it. */
async function ask(page, question = 'Go on.', until = 'answered') {
  await page.getByTestId('prompt').fill(question);
  await page.getByTestId('send').click();
  if (until) await state(page, until);
}

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

const LISTS = {
  'a list': (count) => Array.from({ length: count }, (_, n) => `- Item **${n}** of a list`).join('\n'),
  'a nested list': (count) => `- All\n${Array.from({ length: count }, (_, n) => `  - Item **${n}**`).join('\n')}`,
  'a table': (count) => `|a|b|c|\n|-|-|-|\n${Array.from({ length: count }, (_, n) => `|${n}|**b**|c|`).join('\n')}`,
  code: (count) =>
    `\`\`\`js\n${Array.from({ length: count }, (_, n) => `const name${n} = "${n}";`).join('\n')}\n\`\`\``,
};

for (const [what, text] of Object.entries(LISTS)) {
  test(`${what} that grows touches the end of the page only`, { timeout }, async (t) => {
    const page = await open(t, { say: text(500), query: { lines: 5, wait: 10 } });
    await load(page);
    // Each element is made once, except those of the part that grows.
    await page.evaluate(() => {
      globalThis.made = 0;
      const count = (node) => 1 + [...node.childNodes].reduce((sum, child) => sum + count(child), 0);
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) globalThis.made += count(node);
      }).observe(document.getElementById('turns'), { childList: true, subtree: true });
    });
    await ask(page);
    const [made, there] = await page.evaluate(() => {
      const walker = document.createTreeWalker(document.querySelector('.answer'));
      let nodes = 0;
      while (walker.nextNode()) nodes += 1;
      return [globalThis.made, nodes];
    });
    assert.ok(there > 1000, `${there} nodes`);
    // Twice: a growing line is made again, and code when its colours come.
    assert.ok(made < 2.5 * there, `${made} nodes were made for ${there}`);
  });
}

/** Markdown in which later text changes what earlier text is. */
const CHANGING = String.raw`A title in *two
lines* here
===

**strong _both_ with \`code\` and** a [link][later],
[another](https://example.org/a "t") and ![image](x.png)

* one
  lazy
* two **open
  closed**

  loose
    * deep
      > quoted
      lazy too

7. seven
8. eight
   ~~~
   code | in a list

   more
   ~~~

| a | b | c |
|:--|:-:|--:|
| 1 | **2** | \`3 | 3\` |
|   | x
| not | enough
after the table

> - [ ] a task
> - [x] done
quoted on

Term &amp; &copy; &nosuch; \* not a list \\
a break  
another <b>html</b> <!-- comment -->

<div>
block
</div>

Costs $5, $a_1
\cdot b_2$ and $$c$$ and \(d\) or \[e\]

$$
f
$$

---
\`\`\`
never closed
[later]: https://example.org/in-code

x`.replaceAll('\\`', '`');

test('an answer in many small pieces looks like the same answer in one', { timeout }, async (t) => {
  const seen = [];
  const say = `${CHANGING}\n\`\`\`\n\n[later]: https://example.org/later\n`;
  for (const query of [{ wait: 1 }, { lines: 1, wait: 1 }, { lines: 1000 }]) {
    const page = await open(t, { say, query });
    await load(page);
    await ask(page);
    await page.waitForFunction(() => document.querySelectorAll('.katex').length === 5);
    seen.push(await page.getByTestId('answer').innerHTML());
  }
  assert.equal(seen[0], seen[2]);
  assert.equal(seen[1], seen[2]);
  for (const part of ['<h3', 'start="7"', 'class="align-end"', 'href="https://example.org/later"', '☑', '©', '<br>'])
    assert.ok(seen[2].includes(part), `${part} is not in ${seen[2]}`);
});

test('nothing moves on the page while an answer streams', { timeout }, async (t) => {
  const page = await open(t, { query: { wait: 10 } });
  await load(page);
  await page.evaluate(() => {
    globalThis.shift = 0;
    new PerformanceObserver((list) => {
      for (const { value } of list.getEntries()) globalThis.shift += value;
    }).observe({ type: 'layout-shift', buffered: false });
  });
  await page.getByTestId('prompt').fill('Show me everything.');
  await page.waitForTimeout(600); // shifts right after an input do not count
  await page.getByTestId('prompt').press('Enter');
  await state(page, 'answered');
  assert.ok((await page.evaluate(() => globalThis.shift)) < 0.02);
});

test('how full the context is can be seen, and is said before it is full', { timeout }, async (t) => {
  const page = await open(t, { query: { context: 1000, used: 850 }, say: 'Yes.' });
  await load(page);
  await ask(page);
  assert.match(await page.getByTestId('engine').textContent(), /85 %/);
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
  const model = page.getByRole('button', { name: 'Model', exact: true });
  await model.click();
  const back = await page.getByRole('button', { name: 'Back to the chat' }).boundingBox();
  assert.ok(back.y + back.height < 600);
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await view(page, 'chat');
  await model.click();
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

test('Arabic lists and tables run from right to left, and English ones beside them do not', { timeout }, async (t) => {
  const arabic = '- خيط السداة\n- خيط اللحمة\n\n1. أولاً\n\n|نسيج|عدد|\n|-|-|\n|سادة|1|\n\nفقرة عربية\n\n> اقتباس';
  const page = await open(t, { say: `${arabic}\n\n---\n\n- a warp\n\n\`\`\`\nكود\n\`\`\`` });
  await load(page);
  await ask(page, 'ما هي اللحمة؟');
  const direction = (selector) =>
    page
      .locator(selector)
      .first()
      .evaluate((element) => getComputedStyle(element).direction);
  for (const selector of [
    '.question',
    '.answer > ul',
    '.answer > ol',
    '.answer td',
    '.answer > p',
    '.answer > blockquote',
  ])
    assert.equal(await direction(selector), 'rtl', selector);
  assert.equal(await direction('.answer hr ~ ul'), 'ltr');
  assert.equal(await direction('.answer pre'), 'ltr');
});

test('the first bullets are discs, and a task has its box alone', { timeout }, async (t) => {
  const page = await open(t, { say: '- a warp\n  - a thread\n\n1. one\n\n- [x] done\n- [ ] to do' });
  await load(page);
  await ask(page);
  const styles = await page.$$eval('.answer li', (all) => all.map((item) => getComputedStyle(item).listStyleType));
  assert.deepEqual(styles, ['disc', 'circle', 'decimal', 'none', 'none']);
  assert.match(await page.getByTestId('answer').innerText(), /☑ done\s+☐ to do/);
});

test('formulas are set, prices are not, and code has colours', { timeout }, async (t) => {
  const prices =
    'From $5 to $6, \\(a_1\\) and $x^2$.\n\n$$\n\\int_0^1 f\n= 1\n$$\n\n\\[ y \\]\n\nNot $\\closed{$ at all.';
  const page = await open(t, {
    say: `${prices}\n\n\`\`\`rust\nfn main() { /* \nyes */ }\n\`\`\`\n\n\`\`\`nonsense\nx\n\`\`\``,
  });
  await load(page);
  await ask(page);
  await page.locator('.katex').nth(3).waitFor();
  assert.equal(await page.locator('.katex').count(), 4);
  assert.match(await page.getByTestId('answer').innerText(), /Not \$\\closed\{\$ at all\./);
  assert.match(await page.locator('.answer p').first().innerText(), /^From \$5 to \$6,/);
  await page.locator('.tok-comment').nth(1).waitFor();
  assert.deepEqual(await page.locator('pre').allTextContents(), ['fn main() { /* \nyes */ }', 'x']);
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
      await page.getByTestId(dialog).click();
      await check(dialog);
      await page.keyboard.press('Escape');
    }
    await page.goto(`${fake.address}?slow`);
    await page.getByTestId('load-default').click();
    await check('loading');
    await page.goto(`${fake.address}?load=GPU_UNAVAILABLE&wait=1`);
    await page.getByTestId('load-default').click();
    await page.getByTestId('error').waitFor();
    await check('error');
  }
  assert.deepEqual(found, {});
});
