/** Starts the generated wasm module in a worker. */

import { isThreadsBuild } from '../common/builds.js';
import { messageOf, WeftError } from '../common/errors.js';
import { watchViolations } from '../common/violations.js';
import { extendDevices, findAdapter } from './adapter.js';
import { chooseBuild, threadsFor } from './builds.js';
import * as features from './features.js';
import { glues, grammar } from './glues.js';
import type { AnyGlue, Start } from './runtime.js';
import { Threads, type AskForThreads } from './threads.js';
import { browserStore, tuningOf } from './tuning.js';

/** `ask` reaches the page, which starts the threads. Without it there is one thread. */
export function starting(ask?: AskForThreads): Start {
  return async (device, wanted, modules) => {
    const fitting = threadsFor(device, wanted, navigator.hardwareConcurrency);
    const threads = ask && features.isIsolated() ? fitting : 1;
    const { build, memory } = chooseBuild(threads, modules, features);
    extendDevices();
    const adapter = device === 'cpu' ? undefined : findAdapter();
    const { module, glue, wasmMemory } = await startModule(modules[build]!, glues[build], memory);
    const others = new Threads();
    return {
      Loader: glue.Loader,
      Estimator: glue.Estimator,
      Sha256: glue.Sha256,
      build,
      memoryBytes: () => wasmMemory.buffer.byteLength,
      async gpu() {
        const found = await adapter;
        return found && { ...found, tuning: tuningOf(browserStore, glue.version(), found.key) };
      },
      startThreads() {
        if (!ask || !memory || threads === 1 || !isThreadsBuild(build)) return;
        others.start(threads - 1, { build, module, memory }, ask);
      },
      threads: () => others.running,
      grammars: async () => (await startModule(modules['weft-grammar'], grammar)).glue,
      note: fitting === 1 ? undefined : noteOn({ ask, threads, memory }),
    };
  };
}

/** Why there is one thread, if more would be faster. */
function noteOn({ ask, threads, memory }: { ask: unknown; threads: number; memory: unknown }): string | undefined {
  if (threads > 1) return memory ? undefined : NO_THREADS_BUILD;
  return ask ? NOT_ISOLATED : NOT_DEDICATED;
}

const NO_THREADS_BUILD =
  'It has one thread: this app ships no build with threads that this browser runs. `load({ builds: allBuilds() })`, of weft-llm/all-builds, ships all there are.';

const NOT_ISOLATED =
  'It has one thread: more need a page that is cross-origin isolated, by the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.';

const NOT_DEDICATED =
  'It has one thread: browsers isolate no shared worker, and give threads to isolated ones only. A model that is loaded without `shared` has more.';

/** Fetches, compiles and starts a module, on `memory` or a memory of its own. */
async function startModule<G extends AnyGlue>(
  address: string,
  glue: G,
  memory?: WebAssembly.Memory,
): Promise<{ module: WebAssembly.Module; glue: G; wasmMemory: WebAssembly.Memory }> {
  const violations = watchViolations();
  try {
    const module = await compile(address);
    const { memory: wasmMemory } = await glue.default({ module_or_path: module, ...(memory && { memory }) });
    return { module, glue, wasmMemory };
  } catch (cause) {
    const message = `the engine did not start from ${address}: ${messageOf(cause).replace(/\.+$/, '')}.`;
    if (cause instanceof WebAssembly.CompileError) {
      const remedy =
        "Either the content security policy lacks `script-src 'wasm-unsafe-eval'`, or this browser lacks WebAssembly SIMD.";
      throw new WeftError('NOT_SUPPORTED', `${message} ${remedy}`, { cause });
    }
    // The event of a policy comes as a task of its own.
    await new Promise((resolve) => setTimeout(resolve));
    const isForbidden = violations.found.some(
      ({ directive, blocked }) => directive === 'connect-src' && address.startsWith(blocked),
    );
    const remedy = isForbidden
      ? `The content security policy forbids it: allow ${new URL(address).origin} in \`connect-src\`.`
      : 'Is the file served beside the worker, and does the content security policy allow it (`connect-src`)?';
    throw new WeftError('WORKER_FAILED', `${message} ${remedy}`, { cause });
  } finally {
    violations.end();
  }
}

/** First bytes of a WebAssembly module, and of a gzip file. */
const WASM = [0x00, 0x61, 0x73, 0x6d];
const GZIP = [0x1f, 0x8b];

/**
 * Modules are gzipped. If the server tells the browser so, the browser has already unpacked them.
 */
async function compile(address: string): Promise<WebAssembly.Module> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the server answered ${`${response.status} ${response.statusText}`.trimEnd()}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const begins = (start: readonly number[]) => start.every((byte, at) => bytes[at] === byte);
  if (begins(WASM)) return WebAssembly.compile(bytes);
  if (!begins(GZIP))
    throw new Error(`it is not a WebAssembly module but ${response.headers.get('content-type') ?? 'nothing'}`);
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return WebAssembly.compileStreaming(new Response(unpacked, { headers: { 'Content-Type': 'application/wasm' } }));
}
