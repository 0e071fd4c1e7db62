/** Starts the generated wasm module in a worker. */

import { askForSubgroups, findAdapter } from './adapter.js';
import { addresses, chooseBuild, glues, grammar, isThreadsBuild, threadsFor } from './builds.js';
import { WeftError } from './errors.js';
import * as features from './features.js';
import type { Start } from './load.js';
import type { AnyGlue } from './runtime.js';
import { Threads } from './threads.js';
import { browserStore, tuningOf } from './tuning.js';

/**
 * `watch` gets a port for each thread, from which a `SerializedError` comes if the thread crashes: this worker may be waiting for
 * that very thread, and only a page can end it. Without it there is one thread.
 */
export function starting(watch?: (crash: MessagePort) => void): Start {
  return async (device, wanted) => {
    const threads = threadsFor(device, wanted, navigator.hardwareConcurrency);
    const { build, memory } = chooseBuild(watch ? threads : 1, features);
    askForSubgroups();
    const adapter = device === 'cpu' ? undefined : findAdapter();
    const { module, glue, wasmMemory } = await startModule(addresses[build], glues[build], memory);
    const others = new Threads();
    return {
      Loader: glue.Loader,
      Estimator: glue.Estimator,
      Sha256: glue.Sha256,
      build,
      memoryBytes: () => wasmMemory.buffer.byteLength,
      async gpu() {
        const found = await adapter;
        return (
          found && {
            name: found.name,
            subgroups: found.subgroups,
            maxBufferBytes: found.maxBufferBytes,
            tuning: tuningOf(browserStore, glue.version(), found.key),
          }
        );
      },
      startThreads() {
        if (!watch || !memory || !isThreadsBuild(build)) return;
        others.start(threads - 1, { build, module, memory }, watch);
      },
      threads: () => others.running,
      grammars: async () => (await startModule(grammar.address, grammar.glue)).glue,
      note: threads > 1 && !memory ? (watch ? NOT_ISOLATED : NOT_DEDICATED) : undefined,
    };
  };
}

const NOT_ISOLATED =
  'It has one thread: more need a page that is cross-origin isolated, by the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.';

const NOT_DEDICATED =
  'It has one thread: browsers isolate no shared worker, and give threads to isolated ones only. A model that is loaded without `shared` has more.';

/** Fetches and compiles the wasm while its glue is fetched, and brings both together on `memory`, or on one of its own. */
async function startModule<G extends AnyGlue>(
  address: URL,
  loadGlue: () => Promise<G>,
  memory?: WebAssembly.Memory,
): Promise<{ module: WebAssembly.Module; glue: G; wasmMemory: WebAssembly.Memory }> {
  try {
    const [module, glue] = await Promise.all([compile(address), loadGlue()]);
    const { memory: wasmMemory } = await glue.default({ module_or_path: module, ...(memory && { memory }) });
    return { module, glue, wasmMemory };
  } catch (cause) {
    const message = `the engine did not start from ${address.href}: ${String(cause).replace(/\.+$/, '')}.`;
    if (cause instanceof WebAssembly.CompileError) {
      const remedy =
        "Either that is not the wasm file (does the server or bundler serve it?), or the content security policy lacks `script-src 'wasm-unsafe-eval'`, or this browser lacks WebAssembly SIMD.";
      throw new WeftError('NOT_SUPPORTED', `${message} ${remedy}`, { cause });
    }
    throw new WeftError('WORKER_FAILED', `${message} Is the file served beside the worker?`, { cause });
  }
}

/** While it downloads, where the server gives it the type that browsers ask for. */
async function compile(address: URL): Promise<WebAssembly.Module> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the server answered ${`${response.status} ${response.statusText}`.trimEnd()}`);
  const type = response.headers.get('content-type')?.split(';')[0]?.trim();
  if (type === 'application/wasm') return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}
