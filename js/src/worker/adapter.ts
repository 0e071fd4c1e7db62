/** GPU properties that wgpu does not pass on, and what it does not ask of a device. */

import { compileAhead, type Device } from './pipelines.js';

/** The parts of WebGPU that are used here; TypeScript's DOM library lacks it. */
interface NavigatorGpu {
  readonly gpu?: {
    requestAdapter(options: { powerPreference: 'high-performance' }): Promise<GpuAdapter | null>;
  };
}

interface GpuAdapter {
  readonly features: ReadonlySet<string>;
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
  readonly info?: Readonly<Record<'vendor' | 'architecture' | 'device' | 'description', string>> & {
    readonly isFallbackAdapter?: boolean;
  };
  requestDevice(descriptor?: DeviceDescriptor): Promise<Device>;
}

interface DeviceDescriptor {
  requiredFeatures?: Iterable<string>;
}

export interface Adapter {
  /** Name for users; empty if the browser hides it. */
  readonly name: string;
  /** Identifies this adapter. */
  readonly key: string;
  /** Its vendor and its architecture, empty if the browser hides them; null if it is emulated. */
  readonly family: readonly [string, string] | null;
  readonly subgroups: boolean;
  /** Maximum bytes of a storage buffer. */
  readonly maxBufferBytes: number;
}

/** Architectures of adapters that the CPU emulates: Chromium's, Mesa's and Microsoft's. */
const SOFTWARE = /swiftshader|software|llvmpipe|warp/i;

/**
 * Finds the adapter, the same one that the engine gets; undefined if there is none or the browser
 * fails.
 */
export async function findAdapter(): Promise<Adapter | undefined> {
  try {
    const adapter = await (navigator as NavigatorGpu).gpu?.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return undefined;
    const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
    const name = description || `${vendor} ${architecture}`.trim();
    return {
      name,
      key: JSON.stringify([vendor, architecture, device, description]),
      family: adapter.info?.isFallbackAdapter || SOFTWARE.test(architecture) ? null : [vendor, architecture],
      subgroups: adapter.features.has('subgroups'),
      maxBufferBytes: Math.min(adapter.limits.maxBufferSize, adapter.limits.maxStorageBufferBindingSize),
    };
  } catch {
    return undefined;
  }
}

/**
 * Extends every device of this worker. It has subgroups if the adapter supports them, which wgpu
 * cannot request in browsers; the engine detects them by compiling a shader. And it compiles
 * pipelines ahead.
 */
export function extendDevices(): void {
  const { GPUAdapter } = globalThis as { GPUAdapter?: { prototype: GpuAdapter } };
  if (!GPUAdapter) return;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (this: GpuAdapter, descriptor: DeviceDescriptor = {}) {
    const asked = [...(descriptor.requiredFeatures ?? [])];
    const requiredFeatures = this.features.has('subgroups') ? [...asked, 'subgroups'] : asked;
    const device = await requestDevice.call(this, { ...descriptor, requiredFeatures });
    compileAhead(device);
    return device;
  };
}
