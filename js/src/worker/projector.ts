/** Loads the projector of a model, on the model's engine. */

import { serializeError } from '../common/errors.js';
import { OF_THE_FILES } from '../download/refusals.js';
import type { ModelReader } from '../download/model.js';
import type { RuntimeLlm } from './runtime.js';

/** Streams the file into the engine, as `load` does with the model's. */
export async function loadProjector(llm: RuntimeLlm, reader: ModelReader): Promise<void> {
  const loader = llm.projector_loader();
  try {
    let isFirst = true;
    for await (const { bytes, total } of reader.pieces()) {
      if (isFirst && total !== null) loader.set_stream_bytes(total);
      isFirst = false;
      await loader.feed(bytes);
    }
    await reader.settle();
    await llm.finish_projector(loader);
  } catch (error) {
    const { code } = serializeError(error);
    if (OF_THE_FILES.has(code)) await reader.refused(code);
    throw error;
  }
}
