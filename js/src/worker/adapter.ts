/** What the browser tells of the GPU, and what it must be asked for: wgpu passes on neither in full. */

/** TypeScript's own library does not know WebGPU, and this is all that we ask of it. */
interface NavigatorGpu {
  readonly gpu?: {
    requestAdapter(options: { powerPreference: 'high-performance' }): Promise<GpuAdapter | null>;
  };
}

interface GpuAdapter {
  readonly features: ReadonlySet<string>;
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
  readonly info?: Readonly<Record<'vendor' | 'architecture' | 'device' | 'description', string>>;
  requestDevice(descriptor?: DeviceDescriptor): Promise<unknown>;
}

interface DeviceDescriptor {
  requiredFeatures?: Iterable<string>;
}

export interface Adapter {
  /** For people; empty where the browser hides it. */
  readonly name: string;
  /** Tells this adapter from others. */
  readonly key: string;
  readonly subgroups: boolean;
  /** Bytes that a buffer may have which a shader reads. */
  readonly maxBufferBytes: number;
}

/** The adapter that the engine gets too; undefined where there is none, or the browser fails. */
export async function findAdapter(): Promise<Adapter | undefined> {
  try {
    const adapter = await (navigator as NavigatorGpu).gpu?.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return undefined;
    const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
    const name = description || `${vendor} ${architecture}`.trim();
    return {
      name,
      key: JSON.stringify([vendor, architecture, device, description]),
      subgroups: adapter.features.has('subgroups'),
      maxBufferBytes: Math.min(adapter.limits.maxBufferSize, adapter.limits.maxStorageBufferBindingSize),
    };
  } catch {
    return undefined;
  }
}

/**
 * Makes every device of this worker one with subgroups, where the adapter has them: wgpu does not know the feature in
 * browsers, and cannot ask for it. The engine finds out by compiling a shader.
 */
export function askForSubgroups(): void {
  const { GPUAdapter } = globalThis as { GPUAdapter?: { prototype: GpuAdapter } };
  if (!GPUAdapter) return;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (this: GpuAdapter, descriptor: DeviceDescriptor = {}) {
    const asked = [...(descriptor.requiredFeatures ?? [])];
    const requiredFeatures = this.features.has('subgroups') ? [...asked, 'subgroups'] : asked;
    return requestDevice.call(this, { ...descriptor, requiredFeatures });
  };
}
