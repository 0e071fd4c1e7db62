// The programs of the system that tests need: two browsers, and a Vulkan driver that needs no GPU.

import { existsSync, readdirSync } from 'node:fs';
import { install } from './apt.mjs';
import { inRoot, which } from './run.mjs';

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

const chromium = {
  isThere: () => findChromium() !== undefined,
  name: 'Chromium',
  packages: ['chromium'],
  remedy: 'set WEFT_CHROMIUM to its path',
};

const firefox = {
  isThere: () => findFirefox() !== undefined,
  name: 'Firefox',
  packages: ['firefox-esr'],
  remedy: 'set WEFT_FIREFOX to its path',
};

const vulkanDriver = {
  isThere: hasVulkanDriver,
  name: 'A Vulkan driver',
  packages: ['mesa-vulkan-drivers', 'libvulkan1'],
  remedy: "install your GPU's, or Mesa's lavapipe",
};

/**
 * For the GPU engine in native tests. They compile many shaders and run each for moments, so that
 * Mesa's lavapipe need not optimise, and it keeps what it compiled: also where it cannot write to
 * the home folder.
 */
export function ensureVulkanDriver() {
  process.env.GALLIVM_PERF ??= 'nopt';
  process.env.MESA_SHADER_CACHE_DIR ??= inRoot('target/shader-cache');
  return ensure([vulkanDriver]);
}

/** Firefox runs WebGPU on the Vulkan driver; Chromium brings its own. */
export const ensureBrowsers = () => ensure([chromium, firefox, vulkanDriver]);

/** Installs the missing ones of `programs`, all at once. */
async function ensure(programs) {
  const missing = programs.filter(({ isThere }) => !isThere());
  if (!missing.length) return;
  const words = (key) => missing.map((program) => program[key]).join('; ');
  await install(
    missing.flatMap(({ packages }) => packages),
    words('name'),
    words('remedy'),
  );
}
