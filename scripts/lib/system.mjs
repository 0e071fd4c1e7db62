// The programs of the system that the tests drive: two browsers, and a Vulkan driver that needs no GPU.

import { existsSync, readdirSync } from 'node:fs';
import { install } from './apt.mjs';
import { which } from './run.mjs';

/** Full path of Chromium, or of a browser built on it; WEFT_CHROMIUM names another. */
export const findChromium = () =>
  process.env.WEFT_CHROMIUM ??
  which(
    'chromium',
    'chromium-browser',
    'google-chrome',
    'google-chrome-stable',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  );

/** Full path of Firefox; WEFT_FIREFOX names another. */
export const findFirefox = () =>
  process.env.WEFT_FIREFOX ?? which('firefox-esr', 'firefox', '/Applications/Firefox.app/Contents/MacOS/firefox');

const hasVulkanDriver = () =>
  process.platform !== 'linux' ||
  process.env.VK_ICD_FILENAMES !== undefined ||
  ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'].some((dir) => existsSync(dir) && readdirSync(dir).length > 0);

/**
 * Makes sure of everything that only the tests need, in one install. Without `browsers` that is a
 * Vulkan driver.
 */
export async function ensureTestPrograms({ browsers = true } = {}) {
  const needed = [
    {
      found: !browsers || findChromium(),
      name: 'Chromium',
      packages: ['chromium'],
      remedy: 'set WEFT_CHROMIUM to its path',
    },
    {
      found: !browsers || findFirefox(),
      name: 'Firefox',
      packages: ['firefox-esr'],
      remedy: 'set WEFT_FIREFOX to its path',
    },
    {
      found: hasVulkanDriver(),
      name: 'A Vulkan driver',
      packages: ['mesa-vulkan-drivers', 'libvulkan1'],
      remedy: "install your GPU's, or Mesa's lavapipe",
    },
  ].filter(({ found }) => !found);
  if (!needed.length) return;
  const words = (key) => needed.map((program) => program[key]).join('; ');
  await install(
    needed.flatMap((program) => program.packages),
    words('name'),
    words('remedy'),
  );
}
