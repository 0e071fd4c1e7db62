// Pictures of the page's views, each in two widths and two themes: those of docs/images, which
// `npm run screenshots` writes and page-shots.test.mjs compares with the page as it is.

import { ask, load, pressInHead, view } from './page.mjs';

/** Each opens a view on a page that has just been opened. To show another, add a row. */
export const VIEWS = {
  picker: async () => {},
  shelf: async (page) => {
    await page.locator('#shelf-search').fill('llama');
    await page.locator('#shelf-list summary').first().click();
    await page.getByText('819 MB when it is loaded').waitFor();
    await page.locator('#shelf').evaluate((shelf) => shelf.scrollIntoView());
  },
  chat: async (page) => {
    await load(page);
    await ask(page, 'How does one weave?');
    await page.locator('.katex').nth(2).waitFor();
    await page.locator('code [class*=tok], pre span').first().waitFor();
    await page.locator('#main').evaluate((main) => main.scrollTo(0, 0));
  },
  chats: async (page) => {
    await load(page);
    await ask(page, 'How does one weave?');
    await page.getByTestId('chats').click();
    await page.getByRole('dialog', { name: 'Chats' }).waitFor();
  },
  tasks: async (page) => {
    await load(page);
    await pressInHead(page, 'tasks');
    await page.locator('#tasks-title').waitFor();
  },
  form: async (page) => {
    await load(page);
    await pressInHead(page, 'tasks');
    await page.locator('#task-extract').click();
    await page.getByTestId('run').click();
    await page.waitForSelector('.task[data-state=done]');
  },
  compare: async (page) => {
    await load(page);
    await page
      .locator('#main')
      .getByRole('button', { name: /compare/i })
      .click();
    await page.locator('#compare-prompt').fill('How does one weave?');
    await page.locator('#compare-go').click();
    await page.locator('.side[data-state=answered]').nth(1).waitFor();
  },
  inspector: async (page) => {
    await load(page);
    await pressInHead(page, 'inspector');
    await page.getByRole('button', { name: 'Look', exact: true }).click();
    await page.locator('.panels[aria-busy=false]').waitFor();
    await page.locator('[data-panel=attention] > summary').press('Enter');
    await page.locator('[data-panel=attention] .result').first().waitFor();
  },
  settings: async (page) => {
    await page.getByTestId('settings').click();
    await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  },
  details: async (page) => {
    await load(page);
    await page.getByTestId('engine').click();
    await page.getByText('Why this engine').waitFor();
  },
  error: async (page) => {
    await page.locator('#model-url').fill('https://example.org/model.gguf');
    await page.getByRole('button', { name: 'Load', exact: true }).first().click();
    await page.getByTestId('error').waitFor();
    await view(page, 'picker');
  },
};

/** What the fake engine does in a view, see www/dev/fake-weft.ts. */
const QUERIES = { error: { load: 'NETWORK' } };

const WIDTHS = { desktop: { width: 1200, height: 800 }, phone: { width: 390, height: 844 } };

export const shots = Object.keys(VIEWS).flatMap((name) =>
  Object.entries(WIDTHS).flatMap(([width, viewport]) =>
    ['light', 'dark'].map((colorScheme) => ({
      file: `${name}-${width}-${colorScheme}.webp`,
      view: name,
      options: {
        viewport,
        colorScheme,
        query: QUERIES[name],
        reducedMotion: 'reduce',
        locale: 'en-GB',
        timezoneId: 'UTC',
        hasTouch: width === 'phone',
      },
    })),
  ),
);

/**
 * Takes a picture, as PNG. `open`: what fakePage() returns. The clock stands still, and the browser
 * tells the same memory everywhere.
 */
export async function take(open, t, { view: name, options }) {
  const page = await open(t, {
    ...options,
    prepare: async (page) => {
      await page.clock.setFixedTime(new Date('2026-01-15T12:00:00Z'));
      await page.addInitScript(() => Object.defineProperty(navigator, 'deviceMemory', { value: 8 }));
    },
  });
  await VIEWS[name](page);
  await page.evaluate(async () => void (await document.fonts.ready));
  const png = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  await page.context().close();
  return png;
}

/** Widths of a text in the fonts of the page: pictures of other fonts cannot be compared. */
export const fonts = (page) =>
  page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d');
    return ['system-ui', 'ui-serif, Charter, Georgia, serif', 'ui-monospace, Consolas, monospace'].map((family) => {
      canvas.font = `100px ${family}`;
      return Math.round(canvas.measureText('The weft is what moves; the warp holds. 0123456789').width);
    });
  });

/** The same picture as WebP, in base64. Runs in `page`. */
export const asWebp = (page, png) =>
  page.evaluate(async (png) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/webp', quality: 0.65 });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return bytes.toBase64?.() ?? btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  }, png.toString('base64'));

/** The share of pixels that differ visibly; 1 if the sizes do. Runs in `page`. */
export const difference = (page, png, webp) =>
  page.evaluate(
    async (urls) => {
      const [a, b] = await Promise.all(
        urls.map(async (url) => {
          const bitmap = await createImageBitmap(await (await fetch(url)).blob());
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
          context.drawImage(bitmap, 0, 0);
          return context.getImageData(0, 0, bitmap.width, bitmap.height);
        }),
      );
      if (a.width !== b.width || a.height !== b.height) return 1;
      let different = 0;
      for (let at = 0; at < a.data.length; at += 4) {
        const off = [0, 1, 2].some((channel) => Math.abs(a.data[at + channel] - b.data[at + channel]) > 32);
        if (off) different += 1;
      }
      return different / (a.data.length / 4);
    },
    [`data:image/png;base64,${png.toString('base64')}`, `data:image/webp;base64,${webp.toString('base64')}`],
  );
