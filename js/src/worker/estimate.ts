/** Computes what a model needs from the headers of its files. */

import { messageOf, WeftError } from '../common/errors.js';
import type { EstimateCall } from '../common/protocol.js';
import type { Address, FileSource } from '../common/source.js';
import type { Surroundings } from '../download/address.js';
import type { Downloads } from '../download/browser.js';
import { request, Transient } from '../download/http.js';
import { Meter } from '../download/meter.js';
import { ModelReader } from '../download/model.js';
import { fetchBy, receive } from '../download/port.js';
import { answered } from '../store/answer.js';
import { answering } from '../store/answering.js';
import { StoredFile } from '../store/file.js';
import { CHUNK_BYTES } from '../store/manifest.js';
import type { Estimate, Fit, KvFormat } from '../types/index.js';
import type { Start } from './runtime.js';

/**
 * Maximum bytes of a header. A server is asked for no more, and the response ends when the header
 * is complete.
 */
const MAX_HEADER = 64 << 20;

/**
 * Memory that a WebAssembly module can address, and the part of it for the module itself, a
 * tokenizer and a piece of the file.
 */
const ADDRESSABLE = 2 ** 32;
const BESIDE = 128 << 20;

/** Maximum bytes of a buffer in a WebAssembly module. */
const LARGEST = 2 ** 31 - 1;

export async function estimate(
  start: Start,
  downloads: Downloads,
  { files, contextLength, ropeScaling, quantize, kvCache, store, fetchPort, modules }: EstimateCall,
): Promise<Estimate> {
  const around = {
    ...downloads,
    ...(fetchPort && { fetch: fetchBy(fetchPort) }),
    store,
    meter: new Meter(() => undefined),
    note: () => undefined,
    hasher: () => Promise.reject(new Error('nothing is compared')),
  };
  const opening = new ModelReader(files, [], around).open();
  opening.catch(() => undefined); // awaited below
  const runtime = await start('auto', null, modules);
  const { folder, files: found } = await opening;
  const gpu = await runtime.gpu();
  // as `load` would keep them
  const format = kvCache ?? 'f16';
  const of = { contextLength, ropeScaling, quantize, kvCache: format };
  const options = { ...of, folder: folder?.name ?? null, gpu: gpu?.family ?? null };
  const estimator = new runtime.Estimator(options, [...(folder?.texts ?? [])].flat());
  for (const [index, file] of found.entries()) {
    if (index > 0) estimator.end_file();
    for await (const bytes of beginningOf(file, around)) {
      if (estimator.feed(bytes)) break;
    }
  }
  const needed = estimator.finish();
  const inModule = needed.totalBytes + BESIDE;
  return {
    ...needed,
    cpu: firstOf([
      [
        needed.largestBufferBytes > LARGEST,
        `a buffer needs ${needed.largestBufferBytes} bytes, and may have ${LARGEST}`,
      ],
      [
        inModule > ADDRESSABLE,
        `with a full context it needs ${inModule} bytes, and WebAssembly can address ${ADDRESSABLE}`,
      ],
    ]),
    gpu: gpu
      ? onGpu(kvCache, [
          [
            needed.largestBufferBytes > gpu.maxBufferBytes,
            `a buffer needs ${needed.largestBufferBytes} bytes, and this GPU allows ${gpu.maxBufferBytes}`,
          ],
        ])
      : null,
  };
}

/** The same on a GPU, which has no kernels for q4. */
const onGpu = (kvCache: KvFormat | null, reasons: Parameters<typeof firstOf>[0]): Fit =>
  kvCache === 'q4'
    ? { fits: false, reason: "A GPU keeps no keys and values in q4. Try kvCache 'q8', or device 'cpu'." }
    : firstOf(reasons);

/** The first of the reasons that applies. */
function firstOf(reasons: readonly (readonly [boolean, string])[]): Fit {
  const reason = reasons.find(([holds]) => holds)?.[1];
  return reason === undefined
    ? { fits: true, reason: null }
    : { fits: false, reason: `It does not fit: ${reason}. Try a shorter contextLength or a smaller quantisation.` };
}

/** Reads a file from its start, until the caller leaves the iteration. */
async function* beginningOf(
  file: Exclude<FileSource, { type: 'folder' | 'handle' }>,
  around: Omit<Surroundings, 'opened'>,
): AsyncGenerator<Uint8Array> {
  if (file.type === 'address') {
    const stored = await completeInStore(file, around);
    let index = 0;
    for (; stored; index += 1) {
      const bytes = await stored.read(index);
      if (!(bytes instanceof Uint8Array)) break;
      yield bytes;
    }
    // the next load repairs later damage in the store
    if (index === 0) yield* readAll(await fetchBeginning(file, around));
  } else {
    yield* readAll(file.type === 'stream' ? receive(file.port) : file.blob.stream());
  }
}

async function completeInStore(
  { key }: Address,
  { storage, store }: Pick<Surroundings, 'storage' | 'store'>,
): Promise<StoredFile | undefined> {
  if (!store) return undefined;
  try {
    const found = await answered(storage(), 'the store');
    const file = found && (await StoredFile.open(answering(found), key));
    return file?.complete ? file : undefined;
  } catch {
    return undefined; // then from the network
  }
}

async function fetchBeginning(
  { url, headers }: Address,
  { fetch, stallMs }: Pick<Surroundings, 'fetch' | 'stallMs'>,
): Promise<ReadableStream<Uint8Array>> {
  const target = { url, headers, useCache: false, stallMs };
  try {
    const { body } = await request(fetch, target, new AbortController().signal, [0, MAX_HEADER], undefined);
    return body;
  } catch (error) {
    if (error instanceof Transient) throw new WeftError('NETWORK', messageOf(error), { cause: error });
    throw error;
  }
}

async function* readAll(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      for (let at = 0; at < next.value.length; at += CHUNK_BYTES) yield next.value.subarray(at, at + CHUNK_BYTES);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
