// How the demo page shows answers, each test in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, fakePage, load } from './page.mjs';

const timeout = 120_000;
const open = fakePage();

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

test('an address that comes last does not take formulas away for a frame', { timeout }, async (t) => {
  const say = `$$\na^2\n$$\n\nSee [this][later].\n\n${'word '.repeat(200)}\n\n[later]: https://example.org/later\n`;
  const page = await open(t, { say, query: { wait: 10 } });
  await load(page);
  await page.evaluate(() => {
    globalThis.removed = 0;
    new MutationObserver((changes) => {
      for (const { removedNodes } of changes)
        for (const node of removedNodes) globalThis.removed += node.querySelectorAll?.('.katex').length ?? 0;
    }).observe(document.getElementById('turns'), { childList: true, subtree: true });
  });
  await ask(page);
  await page.locator('.answer .katex').waitFor();
  await page.locator('.answer a[href="https://example.org/later"]').waitFor();
  assert.equal(await page.evaluate(() => globalThis.removed), 0);
});

test('nothing moves on the page while an answer streams', { timeout }, async (t) => {
  const page = await open(t, { query: { wait: 10 } });
  await load(page);
  // the code for formulas is fetched with the first one, which is text until then
  await ask(page, 'Show me everything.');
  await page.locator('.katex').nth(2).waitFor();
  await page.evaluate(() => {
    globalThis.shift = 0;
    new PerformanceObserver((list) => {
      for (const { value } of list.getEntries()) globalThis.shift += value;
    }).observe({ type: 'layout-shift', buffered: false });
  });
  await page.getByTestId('prompt').fill('Once more.');
  await page.waitForTimeout(600); // shifts right after an input do not count
  await page.getByTestId('prompt').press('Enter');
  await page.waitForSelector('chat-turn:nth-of-type(2) .turn[data-state=answered]');
  assert.ok((await page.evaluate(() => globalThis.shift)) < 0.02);
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
