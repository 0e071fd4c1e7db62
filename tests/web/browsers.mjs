// Starts the two browsers that every browser test runs in. They implement WebGPU independently:
// Chromium's Dawn on its own SwiftShader, Firefox's wgpu on Mesa's lavapipe. Neither needs a GPU.
// Playwright drives Chromium; it can drive only its own build of Firefox, so Puppeteer drives
// Firefox, over the standard WebDriver BiDi protocol.

import { createHash } from 'node:crypto';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { Remedy } from '../../scripts/lib/run.mjs';
import { findChromium, findFirefox } from '../../scripts/lib/system.mjs';

const CHROMIUM = [
  ...['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync', '--enable-unsafe-webgpu'],
];

const chromiumPath = () => findChromium() ?? missing('Chromium', 'WEFT_CHROMIUM');

/** @returns {Promise<import('playwright-core').Browser>} */
export async function launchChromium() {
  return chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM });
}

/**
 * Chromium with the unpacked extension of a folder, in a profile of its own. Chromium derives the
 * extension's origin from the path of the folder.
 */
export async function launchWithExtension(folder, profile) {
  // Playwright's own headless mode has no extensions.
  const args = [...CHROMIUM, '--headless=new', `--disable-extensions-except=${folder}`, `--load-extension=${folder}`];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath(),
    headless: false,
    args,
    ignoreDefaultArgs: ['--disable-extensions'],
  });
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 32);
  const id = [...hash].map((digit) => 'abcdefghijklmnop'[parseInt(digit, 16)]).join('');
  return { context, origin: `chrome-extension://${id}` };
}

/** @returns {Promise<import('puppeteer-core').Browser>} */
export async function launchFirefox() {
  const executablePath = findFirefox() ?? missing('Firefox', 'WEFT_FIREFOX');
  const extraPrefsFirefox = {
    'dom.webgpu.enabled': true,
    'dom.webgpu.workers.enabled': true,
    'gfx.webgpu.ignore-blocklist': true,
  };
  return puppeteer.launch({ browser: 'firefox', executablePath, headless: true, extraPrefsFirefox });
}

/**
 * Both, by name. Their pages share what tests use: `goto`, `evaluate`, `waitForSelector`, `on`,
 * `close`.
 */
export const browsers = { chromium: launchChromium, firefox: launchFirefox };

function missing(name, variable) {
  throw new Remedy(
    `${name} is missing. \`npm test\` installs it where it can; ${variable} names one that is elsewhere.`,
  );
}
