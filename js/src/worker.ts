/** The worker: the generated wasm module behind the protocol. All compute happens here, and in threads that it starts. */

import { askForSubgroups, findAdapter } from './adapter.js';
import { addresses, chooseBuild, glues, isThreadsBuild, threadsFor } from './builds.js';
import { WeftError } from './errors.js';
import * as features from './features.js';
import type { Port, Reply, Request } from './protocol.js';
import type { Glue, Runtime } from './runtime.js';
import { serve } from './serve.js';
import { browserDownloads } from './downloads.js';
import { Threads } from './threads.js';
import { browserStore, tuningOf } from './tuning.js';
import type { Device } from './types.js';

const page = globalThis as unknown as Port<Reply, Request>;
serve(page, start, browserDownloads);

async function start(device: Device, wanted: number | null): Promise<Runtime> {
  const threads = threadsFor(device, wanted, navigator.hardwareConcurrency);
  const { build, memory } = chooseBuild(threads, features);
  askForSubgroups();
  const adapter = device === 'cpu' ? undefined : findAdapter();
  const { module, glue, wasmMemory } = await startModule(addresses[build], glues[build], memory);
  const others = new Threads();
  return {
    Loader: glue.Loader,
    Sha256: glue.Sha256,
    build,
    memoryBytes: () => wasmMemory.buffer.byteLength,
    async gpu() {
      const found = await adapter;
      return (
        found && {
          name: found.name,
          subgroups: found.subgroups,
          tuning: tuningOf(browserStore, glue.version(), found.key),
        }
      );
    },
    startThreads() {
      if (!memory || !isThreadsBuild(build)) return;
      others.start(threads - 1, { build, module, memory }, (crash) => {
        page.postMessage({ type: 'thread', crash }, [crash]);
      });
    },
    threads: () => others.running,
    note: threads > 1 && !memory ? NOT_SHARED : undefined,
  };
}

const NOT_SHARED =
  'It has one thread: more need a page that is cross-origin isolated, by the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.';

/** Fetches and compiles the wasm while its glue is fetched, and brings both together on `memory`, or on one of its own. */
async function startModule(
  address: URL,
  loadGlue: () => Promise<Glue>,
  memory: WebAssembly.Memory | undefined,
): Promise<{ module: WebAssembly.Module; glue: Glue; wasmMemory: WebAssembly.Memory }> {
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
