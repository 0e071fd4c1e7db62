/** The worker: the generated wasm module behind the protocol. All compute happens here. */

import init, { Loader } from '../generated/weft.js';
import { WeftError } from './errors.js';
import type { Port, Reply, Request } from './protocol.js';
import { serve } from './serve.js';

serve(globalThis as unknown as Port<Reply, Request>, async () => {
  const url = new URL('../generated/weft_bg.wasm', import.meta.url);
  try {
    const { memory } = await init({ module_or_path: url });
    return { Loader, memoryBytes: () => memory.buffer.byteLength, adapterName };
  } catch (cause) {
    const message = `the engine did not start from ${url.href}: ${String(cause).replace(/\.+$/, '')}.`;
    if (cause instanceof WebAssembly.CompileError) {
      const remedy =
        "Either that is not the wasm file (does the server or bundler serve it?), or the content security policy lacks `script-src 'wasm-unsafe-eval'`, or this browser lacks WebAssembly SIMD.";
      throw new WeftError('NOT_SUPPORTED', `${message} ${remedy}`, { cause });
    }
    throw new WeftError('WORKER_FAILED', `${message} Is the file served beside the worker?`, { cause });
  }
});

/** TypeScript's own library does not know WebGPU, and this is all that we ask of it. */
interface NavigatorGpu {
  readonly gpu?: {
    requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{
      readonly info?: Readonly<Record<'vendor' | 'architecture' | 'description', string>>;
    } | null>;
  };
}

async function adapterName(): Promise<string | undefined> {
  const adapter = await (navigator as NavigatorGpu).gpu?.requestAdapter({ powerPreference: 'high-performance' });
  const { vendor = '', architecture = '', description = '' } = adapter?.info ?? {};
  const name = description || `${vendor} ${architecture}`.trim();
  return name ? `${name} (WebGPU)` : undefined;
}
