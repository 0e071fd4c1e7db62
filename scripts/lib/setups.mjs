// What other tasks need installed or fetched. Each does nothing if it is there, and runs only if a
// task needs it.

import { ensureModel } from './model.mjs';
import { ensurePackages, installed } from './npm.mjs';
import { ensureRust, ensureRustTools, ensureWasmClippy, wasmToolchain } from './rust.mjs';
import { ensureBrowsers, ensureVulkanDriver } from './system.mjs';

/** Tasks of lib/tasks.mjs. They wait for the network, so they are light. */
export const setUps = [
  { name: 'Rust', run: ensureRust },
  { name: 'wasm toolchain', needs: ['Rust'], run: wasmToolchain },
  { name: 'Rust tools', needs: ['Rust'], run: ensureRustTools },
  { name: 'wasm clippy', needs: ['wasm toolchain'], run: async () => ensureWasmClippy(await wasmToolchain()) },
  { name: 'npm packages', run: ensurePackages },
  { name: 'packages of tests/bundlers', run: () => installed('tests/bundlers') },
  { name: 'Vulkan driver', run: ensureVulkanDriver },
  { name: 'browsers', run: ensureBrowsers },
  { name: 'model', run: () => ensureModel() },
].map((task) => ({ ...task, light: true, setUp: true }));
