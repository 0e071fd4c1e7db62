/**
 * Compiles pipelines beside everything else that a device does. wgpu only knows the call that a
 * browser answers at once, after which the GPU waits until the pipeline is compiled, and so do the
 * weights behind it.
 *
 * The engine asks for the compilation info of a shader module when it will need the module's
 * pipeline, which has the module's label. That starts `createComputePipelineAsync`, and the info
 * comes when the pipeline is there. The pipeline is what the later call gets. If it could not be
 * made, that call fails as it would have without this.
 */

interface Descriptor {
  readonly label?: string;
}

interface ShaderModule {
  getCompilationInfo(): Promise<{ readonly messages: readonly unknown[] }>;
}

/** The parts of a `GPUDevice` that are used here. */
export interface Device {
  createShaderModule(descriptor: Descriptor): ShaderModule;
  createComputePipeline(descriptor: Descriptor): unknown;
  createComputePipelineAsync(descriptor: unknown): Promise<unknown>;
}

/** The only entry point of the engine's shaders. */
const MAIN = 'main';

/** Lets the pipelines of `device` be compiled ahead. */
export function compileAhead(device: Device): void {
  const made = new Map<string, unknown>();
  const { createShaderModule, createComputePipeline } = device;
  device.createShaderModule = function (this: Device, descriptor) {
    const module = createShaderModule.call(this, descriptor);
    const { label } = descriptor;
    if (!label) return module;
    module.getCompilationInfo = async () => {
      try {
        const compute = { module, entryPoint: MAIN };
        made.set(label, await this.createComputePipelineAsync({ label, layout: 'auto', compute }));
      } catch {
        // the engine hears of it from the call that follows
      }
      return { messages: [] };
    };
    return module;
  };
  device.createComputePipeline = function (this: Device, descriptor) {
    const { label = '' } = descriptor;
    const pipeline = made.get(label);
    made.delete(label);
    return pipeline ?? createComputePipeline.call(this, descriptor);
  };
}
