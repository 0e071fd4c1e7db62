/** The adapters of a model: loaded once, and again with a model that was loaded again. */

import { WeftError } from '../common/errors.js';
import type { AdapterCall, AdapterUse } from '../common/protocol.js';
import type { Downloads } from '../download/browser.js';
import { ADAPTER } from '../download/folder.js';
import type { Hasher } from '../download/hash.js';
import { Meter } from '../download/meter.js';
import { ModelReader } from '../download/model.js';
import { fetchBy } from '../download/port.js';
import { readPieces } from '../download/memory.js';
import type { RuntimeLlm } from './runtime.js';

/** An adapter as it came. A browser need not keep a Blob in memory. */
interface Held {
  /** Text of `adapter_config.json`; undefined for a GGUF file. */
  readonly config: string | undefined;
  readonly bytes: Blob;
}

/** Sets the adapters of what begins next in this turn. */
export function useAdapters(llm: RuntimeLlm, uses: readonly AdapterUse[] = []): void {
  llm.use_adapters(
    uses.map(({ name }) => name),
    Float32Array.from(uses, ({ scale }) => scale),
  );
}

/** Reads the files of an adapter. */
export async function readAdapter(
  { files, store, fetchPort }: AdapterCall,
  downloads: Downloads,
  hasher: () => Promise<Hasher>,
): Promise<Held> {
  const around = { ...downloads, ...(fetchPort && { fetch: fetchBy(fetchPort) }), store, hasher };
  const reader = new ModelReader(
    files,
    [],
    { ...around, meter: new Meter(() => undefined), note: () => undefined },
    ADAPTER,
  );
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for await (const { bytes } of reader.pieces()) pieces.push(new Uint8Array(bytes));
  await reader.settle();
  const { folder } = await reader.open();
  return { config: folder?.texts.get(ADAPTER.config), bytes: new Blob(pieces) };
}

/** The adapters that are loaded, and those that are merged. */
export class Adapters {
  readonly #held = new Map<string, Held>();
  readonly #merged = new Map<string, number>();

  /** Loads one into the model, in one turn. */
  async add(llm: RuntimeLlm, name: string, held: Held): Promise<void> {
    await feed(llm, name, held);
    this.#held.set(name, held);
  }

  remove(llm: RuntimeLlm, name: string): void {
    llm.unload_adapter(name);
    this.#held.delete(name);
  }

  /** With a scale of 0 it is no longer merged. */
  merge(llm: RuntimeLlm, name: string, scale: number): void {
    llm.merge_adapter(name, scale);
    this.#merged.delete(name);
    if (scale !== 0) this.#merged.set(name, scale);
  }

  /** Loads all into a model that was loaded again. */
  async restore(llm: RuntimeLlm): Promise<void> {
    for (const [name, held] of this.#held) await feed(llm, name, held);
    for (const [name, scale] of this.#merged) llm.merge_adapter(name, scale);
  }
}

async function feed(llm: RuntimeLlm, name: string, { config, bytes }: Held): Promise<void> {
  if (bytes.size === 0) throw new WeftError('TRUNCATED_FILE', `the file of the adapter \`${name}\` is empty`);
  llm.begin_adapter(name, config);
  const reader = readPieces(bytes.stream());
  try {
    for (let piece = await reader.read(); piece; piece = await reader.read()) await llm.feed_adapter(piece);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  await llm.finish_adapter();
}
