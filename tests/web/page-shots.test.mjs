// The page as its pictures in docs/images show it, in Chromium with the fake engine. After a change
// that is meant, `npm run screenshots` takes them anew.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { fakePage } from './page.mjs';
import { difference, fonts, shots, take } from './shots.mjs';

/** Pictures are compressed, and lines of text may move by a pixel. */
const TOLERANCE = 0.01;

const open = fakePage();
let browser, blank, isComparable;

before(async () => {
  browser = await launchChromium();
  blank = await browser.newPage();
  const ofPictures = JSON.parse(await readFile(inRoot('docs/images/fonts.json'), 'utf8'));
  isComparable = JSON.stringify(await fonts(blank)) === JSON.stringify(ofPictures);
});

after(() => browser?.close());

for (const shot of shots) {
  test(`the page looks as in ${shot.file}`, { timeout: 60_000 }, async (t) => {
    if (!isComparable) return t.skip('this machine has other fonts than those of the pictures');
    const png = await take(open, t, shot);
    const webp = await readFile(inRoot('docs/images', shot.file));
    const share = await difference(blank, png, webp);
    const percent = (100 * share).toFixed(1);
    assert.ok(share < TOLERANCE, `${percent} % of its pixels differ: \`npm run screenshots\` if that is meant`);
  });
}
