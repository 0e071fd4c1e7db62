// `npm run screenshots`: takes the pictures of docs/images anew, with the fake engine. Names of
// views as arguments take those alone.

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { launchChromium } from '../tests/web/browsers.mjs';
import { openFake, serveFake } from '../tests/web/page.mjs';
import { asWebp, fonts, shots, take } from '../tests/web/shots.mjs';
import { inRoot, main } from './lib/run.mjs';

main(async () => {
  const wanted = process.argv.slice(2);
  const folder = inRoot('docs/images');
  if (wanted.length === 0) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const fake = await serveFake();
  const browser = await launchChromium();
  try {
    const open = openFake(browser, fake);
    const blank = await browser.newPage();
    let bytes = 0;
    for (const shot of shots.filter(({ view }) => wanted.length === 0 || wanted.includes(view))) {
      const webp = Buffer.from(await asWebp(blank, await take(open, { after: () => {} }, shot)), 'base64');
      await writeFile(`${folder}/${shot.file}`, webp);
      bytes += webp.length;
      console.log(`${shot.file} ${webp.length}`);
    }
    await writeFile(`${folder}/fonts.json`, `${JSON.stringify(await fonts(blank))}\n`);
    console.log(`${bytes} bytes in docs/images`);
  } finally {
    await browser.close();
    await fake.close();
  }
});
