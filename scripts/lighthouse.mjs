// `npm run lighthouse`: accessibility, best practices and SEO of the built page with the fake
// engine, on a phone and on a desktop. Fails below 100, and names what was found.

import puppeteer from 'puppeteer-core';
import { serveFake } from '../tests/web/page.mjs';
import { installed } from './lib/npm.mjs';
import { inRoot, main } from './lib/run.mjs';
import { ensureBrowsers, findChromium } from './lib/system.mjs';

const TOOL = 'tools/lighthouse';

/** How to get from one view to the next. The first is what a visitor opens. */
const VIEWS = {
  models: (flow, address) => flow.navigate(address, { name: 'models' }),
  chat: async (flow, _, page) => {
    await click(page, '#load-default');
    await page.waitForSelector('body[data-view=chat]');
    await page.type('#prompt', 'How does one weave?');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.turn[data-state=answered]');
    await flow.snapshot({ name: 'chat' });
  },
  tasks: async (flow, _, page) => {
    await click(page, '#open-tasks');
    await page.waitForSelector('#tasks-title');
    await flow.snapshot({ name: 'tasks' });
  },
  inspector: async (flow, _, page) => {
    await click(page, '#open-chat');
    await click(page, '#open-inspector');
    await page.waitForSelector('.token');
    await flow.snapshot({ name: 'inspector' });
  },
};

/** Also where a button is in the menu of a narrow page. */
const click = (page, selector) => page.$eval(selector, (button) => button.click());

main(async () => {
  await ensureBrowsers();
  await installed(TOOL);
  const home = inRoot(TOOL, 'node_modules/lighthouse/core');
  const { startFlow, desktopConfig, defaultConfig } = await import(`${home}/index.js`);
  const fake = await serveFake();
  const browser = await puppeteer.launch({ executablePath: findChromium(), headless: true, args: ['--no-sandbox'] });
  const faults = [];
  try {
    for (const [device, config] of Object.entries({ desktop: desktopConfig, phone: defaultConfig })) {
      const page = await browser.newPage();
      const onlyCategories = ['accessibility', 'best-practices', 'seo'];
      const settings = { ...config.settings, onlyCategories };
      const flow = await startFlow(page, { config: { ...config, settings } });
      for (const show of Object.values(VIEWS)) await show(flow, `${fake.address}?wait=1`, page);
      const { steps } = await flow.createFlowResult();
      for (const { name, lhr } of steps) {
        const scores = Object.values(lhr.categories).map(({ title, score }) => `${title} ${percent(score)}`);
        console.log(`${device}, ${name}: ${scores.join(', ')}`);
        faults.push(...faultsOf(lhr).map((fault) => `${device}, ${name}: ${fault}`));
      }
      await page.close();
    }
  } finally {
    await browser.close();
    await fake.close();
  }
  if (faults.length > 0) throw new Error(`below 100:\n${faults.join('\n')}`);
});

/** A view that has no audits of a category has no score of it. */
const percent = (score) => (score === null ? '–' : Math.round(100 * score));

/** The audits that cost points, with the first elements that each names. */
function faultsOf({ categories, audits }) {
  return Object.values(categories)
    .filter(({ score }) => score !== null && score < 1)
    .flatMap(({ auditRefs }) => auditRefs.filter(({ weight }) => weight > 0).map(({ id }) => audits[id]))
    .filter(({ score }) => score !== null && score < 1)
    .map(({ id, title, details }) => {
      const found = (details?.items ?? []).slice(0, 3).map((item) => item.node?.snippet ?? JSON.stringify(item));
      return `${id}: ${title} ${found.join(' ')}`;
    });
}
