// Long tasks of the demo page while long answers stream at 100 pieces a second, with the fake
// engine, in Chromium: `node benches/page.mjs`. A task over 50 ms is one that people can notice.

import { launchChromium } from '../tests/web/browsers.mjs';
import { serveFake } from '../tests/web/page.mjs';

const lines = (count, line) => Array.from({ length: count }, (_, n) => line(n)).join('\n');

const ANSWERS = {
  '2,000 list items': [lines(2000, (n) => `- Item **${n}** of a long list, with \`code\` in it`), 4],
  '2,000 nested items': [`- All\n${lines(2000, (n) => `  - Item **${n}** of a long list`)}`, 4],
  'a table of 500 rows': [`|a|b|c|d|\n|-|-|-|-|\n${lines(500, (n) => `|${n}|some **words**|more of them|\`x\`|`)}`, 1],
  '3,000 lines of code': [`\`\`\`js\n${lines(3000, (n) => `export const name${n} = call("text", ${n});`)}\n\`\`\``, 6],
  '200 formulas': [lines(200, (n) => `Let $x_{${n}} = \\frac{a}{b}$.\n`), 2],
};

const { address, close } = await serveFake();
const browser = await launchChromium();
for (const [name, [say, each]] of Object.entries(ANSWERS)) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const query = new URLSearchParams({ wait: 10, lines: each });
  await page.goto(`${address}?${query}#${new URLSearchParams({ say })}`);
  await page.getByTestId('load-default').click();
  await page.waitForSelector('body[data-view=chat]');
  await page.evaluate(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) globalThis.tasks.push({ startTime, duration });
    }).observe({ type: 'longtask' });
    globalThis.frames = [];
    let before = performance.now();
    const frame = (now) => {
      globalThis.frames.push(now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await page.getByTestId('prompt').fill('Go on.');
  const start = Date.now();
  const asked = await page.evaluate(() => performance.now());
  await page.getByTestId('send').click();
  await page.waitForSelector('.turn[data-state=answered]', { timeout: 300_000 });
  const seconds = (Date.now() - start) / 1000;
  await page.waitForTimeout(1000);
  const { tasks, frames } = await page.evaluate(() => ({ tasks: globalThis.tasks, frames: globalThis.frames }));
  frames.sort((a, b) => a - b);
  const at = (share) => frames[Math.floor(share * (frames.length - 1))].toFixed(0);
  const told = tasks.map(({ startTime, duration }) => `${duration} ms at ${((startTime - asked) / 1000).toFixed(1)} s`);
  console.log(
    `${name}: ${seconds.toFixed(1)} s; long tasks: ${told.join(', ') || 'none'}; ` +
      `frames: median ${at(0.5)} ms, 99 % ${at(0.99)} ms, longest ${at(1)} ms`,
  );
  await page.close();
}
await browser.close();
await close();
