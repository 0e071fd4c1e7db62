/** Loads a model into an engine. */

import { serializeError } from '../common/errors.js';
import type { LoadCall } from '../common/protocol.js';
import { rolesOf } from '../common/roles.js';
import { nameOf } from '../common/source.js';
import type { Downloads } from '../download/browser.js';
import { Meter } from '../download/meter.js';
import { ModelReader } from '../download/model.js';
import { fetchBy } from '../download/port.js';
import { explained, OF_THE_FILES } from '../download/refusals.js';
import type { DownloadInfo, EngineInfo, Progress } from '../types/index.js';
import { ReadAhead } from './ahead.js';
import type { Loaded } from './model.js';
import { loadProjector } from './projector.js';
import type { Start } from './runtime.js';

/** Minimum milliseconds between progress reports. */
const PROGRESS_MS = 100;

/**
 * Streams the files into an engine; only the current piece is held outside of it, but for what is
 * read ahead while a GPU finds out what is fastest for the model. A failure leaves things as they
 * are, because the page then ends the worker.
 */
export async function load(
  start: Start,
  downloads: Downloads,
  {
    files,
    projector,
    device,
    contextLength,
    ropeScaling,
    threads,
    sha256,
    quantize,
    kvCache,
    prefixCache,
    store,
    fetchPort,
    modules,
  }: LoadCall,
  onProgress: (progress: Progress) => void,
): Promise<Loaded> {
  // Size of the file according to its header, read between pieces: the module cannot be called
  // while it is being fed.
  let headerBytes: number | null = null;
  let told = -Infinity;
  const tell = (phase: Progress['phase'], note?: string) => {
    onProgress({ phase, ...meter.counts(headerBytes), ...(note !== undefined && { note }) });
  };
  const meter = new Meter(() => {
    if (performance.now() - told < PROGRESS_MS) return;
    told = performance.now();
    tell('download');
  });
  const notes: string[] = [];
  const around = {
    ...downloads,
    ...(fetchPort && { fetch: fetchBy(fetchPort) }),
    store,
    meter,
    note(sentence: string) {
      notes.push(sentence);
      tell('download', sentence);
    },
    hasher: async () => new (await starting).Sha256(),
  };
  const model = new ModelReader(files, sha256, around);
  /** Index of the current file. */
  let reading = 0;
  const [first] = files;
  if (first) meter.file(0, nameOf(first));
  tell('start');
  // The download starts together with the runtime; little is buffered until the runtime reads.
  const pieces = model.pieces();
  const ahead = new ReadAhead(pieces);
  void ahead.begin().catch(() => undefined); // it is taken below
  const starting = start(device, threads, modules);
  try {
    const runtime = await starting;
    const gpu = device === 'cpu' ? undefined : await runtime.gpu();
    const tuning = (await gpu?.tuning.recall()) ?? null;
    const subgroups = gpu?.subgroups ?? false;
    const { folder } = await model.open();
    const asked = { device, contextLength, ropeScaling, quantize, kvCache, folder: folder?.name ?? null };
    const engineOptions = { tuning, subgroups, gpu: gpu?.family ?? null };
    const options = { ...asked, ...engineOptions, prefixBytes: prefixCache.maxBytes };
    const loader = await runtime.Loader.create(options, [...(folder?.texts ?? [])].flat());
    let engineKind: string | undefined;
    const meetEngine = () => {
      engineKind = loader.engine_kind();
      if (engineKind === 'cpu') runtime.startThreads();
      const found = engineKind && loader.tuning();
      if (found !== undefined) void gpu?.tuning.remember(found);
    };
    meetEngine();

    let isFirst = true;
    for (let next = await ahead.next(); !next.done; next = await ahead.next()) {
      const { file, total } = next.value;
      if (file !== reading) loader.end_file();
      reading = file;
      // With the total, a header that claims more data than the files hold fails now instead of
      // after the download.
      if (isFirst && total !== null) loader.set_stream_bytes(total);
      isFirst = false;
      const fed = loader.feed(next.value.bytes);
      await (engineKind ? fed : ahead.during(fed));
      if (!engineKind) meetEngine();
      headerBytes = loader.total_bytes() ?? null;
    }
    tell('download');
    tell('prepare');
    const storing = model.settle();
    storing.catch(() => undefined); // awaited below, unless the model fails first
    const llm = await loader.finish();
    await storing;
    if (projector) {
      reading = files.length;
      await loadProjector(llm, new ModelReader([projector], [], around));
    }
    const download: DownloadInfo = { ...meter.sums, storage: model.storage, notes };
    const { memoryBytes, engine, ...about } = llm.info();
    const onCpu = engineKind === 'cpu';
    const reason = llm.engine_reason();
    const engineInfo: EngineInfo = {
      ...engine,
      deviceLosses: 0,
      description: !onCpu && gpu?.name ? `${gpu.name} (WebGPU)` : engine.description,
      reason: onCpu && runtime.note ? `${reason} ${runtime.note}` : reason,
      memoryBytes,
      wasmMemoryBytes: runtime.memoryBytes(),
      build: runtime.build,
      threads: runtime.threads(),
    };
    const templates = [llm.chat_template(null, false), llm.chat_template(null, true)];
    const roles = rolesOf(templates.join('\n'));
    const inputs = projector ? (['text', 'image'] as const) : (['text'] as const);
    return { llm, info: { ...about, roles, inputs, engine: engineInfo, download } };
  } catch (error) {
    const { code } = serializeError(error);
    if (OF_THE_FILES.has(code) && reading < files.length) {
      await pieces.return(undefined).catch(() => undefined);
      await model.refused(code);
    }
    const source = [...files, projector][reading];
    throw explained(error, source?.type === 'address' ? source : undefined);
  } finally {
    // A failed model is loaded again in this worker, which must not wait for what this load holds.
    void pieces.return(undefined);
  }
}
