/** What the browser tells of the GPU: wgpu passes on only a field that browsers leave empty. */

/** TypeScript's own library does not know WebGPU, and this is all that we ask of it. */
interface NavigatorGpu {
  readonly gpu?: {
    requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{
      readonly info?: Readonly<Record<'vendor' | 'architecture' | 'device' | 'description', string>>;
    } | null>;
  };
}

export interface Adapter {
  /** For people; empty where the browser hides it. */
  readonly name: string;
  /** Tells this adapter from others. */
  readonly key: string;
}

/** The adapter that the engine gets too; undefined where there is none, or the browser fails. */
export async function findAdapter(): Promise<Adapter | undefined> {
  try {
    const adapter = await (navigator as NavigatorGpu).gpu?.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return undefined;
    const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
    const name = description || `${vendor} ${architecture}`.trim();
    return { name, key: JSON.stringify([vendor, architecture, device, description]) };
  } catch {
    return undefined;
  }
}
