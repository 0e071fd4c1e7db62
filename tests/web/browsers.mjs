// Starts the two browsers that every browser test runs in. They implement WebGPU independently: Chromium's Dawn on its
// own SwiftShader, Firefox's wgpu on Mesa's lavapipe. Neither needs a GPU. Playwright drives Chromium; it can drive only
// its own build of Firefox, so Puppeteer drives Firefox, over the standard WebDriver BiDi protocol.

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { Remedy } from '../../scripts/lib/run.mjs';
import { findChromium, findFirefox } from '../../scripts/lib/system.mjs';

/** @returns {Promise<import('playwright-core').Browser>} */
export async function launchChromium() {
  const executablePath = findChromium() ?? missing('Chromium', 'WEFT_CHROMIUM');
  const args = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  args.push('--disable-component-update', '--disable-sync', '--enable-unsafe-webgpu');
  return chromium.launch({ executablePath, args });
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

/** Both, by name. Their pages have in common what the tests use: `goto`, `evaluate`, `waitForSelector`, `on`, `close`. */
export const browsers = { chromium: launchChromium, firefox: launchFirefox };

function missing(name, variable) {
  throw new Remedy(
    `${name} is missing. \`npm test\` installs it where it can; ${variable} names one that is elsewhere.`,
  );
}
