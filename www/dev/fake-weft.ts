/**
 * Stands in for weft-llm under `vite --mode fake`, to look at every state of the page without a
 * model. The address says which: `?load=CODE` and `?chat=CODE` fail with that error and the
 * message of `?message`, `?slow` loads for half a minute, `?context=N` and `?used=N` say how full
 * the context is, `?full` has no room to store a model, `?stored` has the default model,
 * `?quota=N` is what may be stored. `?fits=no` has memory for no model, `?header=CODE` fails to
 * read what one needs, `?import=CODE` to import one, and `?importing=MS` takes so long for a
 * quarter of it. `#say=TEXT` answers with that, in pieces of `?lines=N` lines instead of a word,
 * each after `?wait=MS`. `?long` has a long description of the engine, `?sees` a model that reads
 * pictures. For `?tight`, a second model is too large. `?chats` stores chats; with `two` there is
 * one of a stored model and one of a file of the user. What tasks need is in fake-tasks.ts.
 */

import { WeftError, type ErrorCode } from '../../js/src/common/errors.js';
import { inspecting, kind, stepOf } from './fake-inspect.js';
import type {
  Estimate,
  Llm,
  LoadOptions,
  Models,
  Piece,
  Progress,
  SendOptions,
  Session,
  SessionOptions,
  StoredModel,
} from '../../js/src/types/index.js';
import { taskInfo, taskMethods } from './fake-tasks.js';

export { WeftError };
export type * from '../../js/src/types/index.js';
export type { ErrorCode };

const query = new URLSearchParams(location.search);
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const ANSWER = `Weaving crosses two sets of threads: the **warp**, stretched on the loom, and the *weft*, drawn through it.

## What you need

1. A loom, even one of cardboard
2. Warp thread that does not stretch
3. Weft of any colour
   - wool is forgiving
   - linen is not

\`\`\`python
def reverse(text: str) -> str:
    """Returns the characters of \`text\` in reverse order, the last one first and the first one last."""
    return text[::-1]
\`\`\`

| Weave | Over | Under | Known from |
|:------|-----:|------:|------------|
| plain | 1 | 1 | muslin |
| twill | 2 | 2 | denim |
| satin | 4 | 1 | ribbons |

The angle of a twill with $n$ threads is $\\alpha = \\arctan\\frac{p}{q}$, and a warp of density $\\rho$ holds

$$\\int_0^L \\rho(x)\\,dx = \\sum_{i=1}^{n} w_i$$

- [x] wind the warp
- [ ] throw the shuttle

> The weft is what moves; the warp is what holds.

See [a page about looms](https://example.org/looms "Looms"). What follows must neither run nor fetch:
<img src="https://example.org/x.png" onerror="alert(1)"> ![a loom](https://example.org/loom.png)
[a script](javascript:alert(1)) [a page](data:text/html,<script>alert(1)</script>) ![by reference][loom]

<svg onload="alert(1)"><style>@import '//example.org/x.css';</style></svg>
<iframe src="https://example.org"></iframe><script>alert(1)</script>

[loom]: https://example.org/loom.png
`;

function failIfAsked(call: 'load' | 'chat' | 'header' | 'import'): void {
  const code = query.get(call);
  const message = query.get('message') ?? `the engine says: a made-up failure of ${call}, 512 of 2048`;
  if (code) throw new WeftError(code as ErrorCode, message);
}

/** With `?wait`, a load takes no time either. */
const QUICK = query.has('wait') && !query.has('slow');

const CONTEXT = Number(query.get('context') ?? 2048);

const RATE = 98e5;

function progressAt(phase: Progress['phase'], loaded: number, total: number): Progress {
  const file = 'SmolLM2-135M-Instruct.Q4_1.gguf';
  const rest = { fileLoaded: loaded, fileTotal: total, fromStore: 0, bytesPerSecond: RATE };
  return { phase, loaded, total, file, ...rest, secondsLeft: (total - loaded) / RATE };
}

/** The number of models in memory is `data-models` of the page. */
function count(by: 1 | -1): void {
  const { dataset } = document.documentElement;
  dataset['models'] = String(Number(dataset['models'] ?? 0) + by);
}

/** What the page uses of it. */
interface Used extends Pick<
  Llm,
  'info' | 'dispose' | 'chat' | 'generate' | 'classify' | 'embed' | 'tokenize' | 'remember'
> {
  session(options?: SessionOptions): Pick<Session, 'contextUsage' | 'contextLength' | 'dropped' | 'dispose'> & {
    send(question: string, options?: SendOptions): AsyncIterable<Piece>;
  };
}

export async function load({ model, signal, onProgress }: LoadOptions): Promise<Used & ReturnType<typeof inspecting>> {
  const total = 98_000_000;
  const steps = query.has('slow') ? 300 : 10;
  for (let step = 0; step <= steps; step++) {
    signal?.throwIfAborted();
    onProgress?.(progressAt('download', (total / steps) * step, total));
    await wait(QUICK ? 2 : 100);
  }
  failIfAsked('load');
  const full = 'model.gguf is not stored: QuotaExceededError: 98362432 bytes needed, createSyncAccessHandle refused.';
  const notes = query.has('full') ? [full] : [];
  for (const note of notes) onProgress?.({ ...progressAt('download', total, total), note });
  onProgress?.(progressAt('prepare', total, total));
  await wait(QUICK ? 2 : 300);
  count(1);
  const others = taskMethods((text, options) => answer(options, 0, text));
  return {
    info: {
      kind,
      prompts: {},
      tasks: ['generate', 'chat'],
      labels: [],
      maskToken: null,
      kvCache: 'f16',
      name: 'SmolLM2 135M Instruct',
      basename: 'smollm2',
      sizeLabel: '135M',
      architecture: 'llama',
      parameters: 134_515_008,
      quantization: 'Q4_1',
      fingerprint: '0123456789abcdef',
      vocabularyFingerprint: 'fedcba9876543210',
      layers: 30,
      kvWidth: 384,
      hiddenSize: 576,
      vocabularySize: 49152,
      contextLength: CONTEXT,
      trainedContextLength: 8192,
      hasChatTemplate: true,
      roles: ['system', 'user', 'assistant', 'tool'],
      inputs: query.has('sees') ? ['text', 'image'] : ['text'],
      engine: {
        kind: 'gpu',
        description: query.has('long') ? 'an adapter with a name of many words '.repeat(5) : 'a made-up adapter',
        notes: [],
        deviceLosses: 0,
        reason: query.has('long') ? 'WebGPU was asked, and said this. '.repeat(12) : 'WebGPU offers an adapter.',
        memoryBytes: 137e6,
        wasmMemoryBytes: 12e6,
        build: 'weft-relaxed-threads',
        threads: 1,
      },
      download: { fetchedBytes: total, fromStoreBytes: 0, storage: 'none', notes },
      shared: false,
      notShared: null,
      ...taskInfo(model),
    },
    ...others,
    session: ({ messages = [] } = {}) => ({
      contextUsage: Number(query.get('used') ?? 300),
      contextLength: CONTEXT,
      dropped: { messages: query.has('dropped') ? 2 : 0, tokens: 0 },
      send: (_, options) => answer(options, messages.length),
      dispose: () => undefined,
    }),
    remember: async (messages, { pinned = true, signal } = {}) => {
      await wait(QUICK ? 2 : 300);
      signal?.throwIfAborted();
      if (!query.has('chats') || pinned) throw new WeftError('NOT_SUPPORTED', 'nothing is stored');
      const tokens = 300 + messages.length;
      stored.push(chatOf(String(model), tokens));
      return { tokens, storedBytes: tokens * 23_040 };
    },
    dispose: () => count(-1),
    ...inspecting(others),
  };
}

/** `?tight` says that the model does not fit. */
const DEFAULT = new URL('models/SmolLM2-135M-Instruct.Q4_1.gguf', document.baseURI).href;

const stored: StoredModel[] = [
  ...(query.has('stored') ? [{ source: DEFAULT, size: 98_362_432, storedBytes: 98_362_432 }] : []),
  { source: 'https://example.org/SmolLM2-135M-Instruct.Q4_1.gguf', size: 98_362_432, storedBytes: 98_362_432 },
  { source: 'hf:example/a-model/A-Model-with-a-rather-long-name-1B.Q8_0.gguf@main', size: 13e8, storedBytes: 4e8 },
].map((model) => ({ ...model, complete: model.size === model.storedBytes, lastUsed: new Date(), sha256: null }));

function chatOf(model: string, promptTokens: number): StoredModel {
  const size = promptTokens * 23_040;
  const source = `${model}#prompt-${promptTokens.toString(16).padStart(16, '0')}`;
  return { source, size, storedBytes: size, complete: true, lastUsed: new Date(), sha256: null, promptTokens };
}

if (query.get('chats') === 'two') stored.push(chatOf(stored[0]!.source, 2000), chatOf('file:looms.gguf', 1200));

/** What the page uses of it. */
export const models: Models = {
  list: async () => [...stored],
  delete: async (source) => {
    const kept = stored.filter((model) => model.source !== source && !model.source.startsWith(`${String(source)}#`));
    return stored.splice(0, Infinity, ...kept).length > kept.length;
  },
  usage: async () => ({ stored: 5e8, used: 5.1e8, quota: Number(query.get('quota') ?? 1e10), persisted: false }),
  persist: async () => false,
  export: async () => new Blob(['GGUF, and ', 'the rest']).stream(),
  import: async (file, { as, onProgress }) => {
    failIfAsked('import');
    const size = file instanceof Blob ? file.size : 0;
    for (let quarters = 1; quarters <= 4; quarters += 1) {
      onProgress?.((size * quarters) / 4);
      await wait(Number(query.get('importing') ?? 2));
    }
    const rest = { size, storedBytes: size, complete: true, lastUsed: new Date(), sha256: null };
    stored.push({ source: String(as), ...rest });
    return stored.at(-1)!;
  },
};

export async function estimate(): Promise<Estimate> {
  await wait(QUICK ? 2 : 300);
  failIfAsked('header');
  const fits = query.get('fits') !== 'no';
  const tight = { fits: false, reason: '4.6 GB are needed, and a module addresses 4 GiB.' };
  const fit = { fits, reason: fits ? null : 'It does not fit: a buffer needs 5 GB, and this GPU allows 2 GB.' };
  return {
    name: 'a model',
    architecture: 'llama',
    parameters: 1_235_814_432,
    quantization: 'Q4_K',
    contextLength: CONTEXT,
    trainedContextLength: 131_072,
    weightBytes: 8.1e8,
    activationBytes: 9e6,
    loadedBytes: 8.19e8,
    kvCacheBytes: 1.34e8,
    kvCache: 'f16',
    totalBytes: 9.53e8,
    chatsBytes: 2.4e6,
    scoreBytes: 1.94e7,
    promptBytes: 2.9e7,
    largestBufferBytes: 2.6e8,
    gpuTime: query.has('gpu')
      ? {
          family: 'Intel Iris Xe',
          promptTokens: 512,
          promptSeconds: { least: 0.6, most: 4.2 },
          tokenSeconds: { least: 0.013, most: 0.06 },
        }
      : null,
    ...(query.has('tight') ? { cpu: tight, gpu: null } : { cpu: fit, gpu: fit }),
  };
}

/** Ends with the options that it was asked with. */
async function* answer(
  { signal, prefix = '', ...options }: SendOptions = {},
  before = 0,
  text = '',
): AsyncGenerator<Piece> {
  await wait(query.has('wait') ? Number(query.get('wait')) : 400);
  failIfAsked('chat');
  let id = 0;
  const said = new URLSearchParams(location.hash.slice(1)).get('say');
  const whole = said ?? (text || `${ANSWER}\nAsked with \`${JSON.stringify(options)}\` after ${before} messages`);
  const lines = Number(query.get('lines') ?? 0);
  const piece = lines > 0 ? new RegExp(`(?:[^\\n]*\\n){1,${lines}}|[^\\n]+$`, 'g') : /\s*\S+/g;
  let told = prefix;
  for (const text of whole.slice(prefix.length).match(piece) ?? []) {
    if (signal?.aborted) break;
    const seen = options.inspect ? stepOf(told, text, options) : { id };
    yield { text, finish: null, ...seen };
    id += 1;
    told += text;
    await wait(Number(query.get('wait') ?? 15));
  }
  const usage = { promptTokens: 38, cachedTokens: 12, completionTokens: id, timeToFirstTokenMs: 402 };
  const drafts = options.speculate ? { draftedTokens: id, acceptedTokens: Math.floor(id / 4) } : {};
  const speeds = { promptTokensPerSecond: 310, tokensPerSecond: 64.2 };
  const reason = signal?.aborted ? 'abort' : 'stop';
  yield { text: '', id: null, finish: { reason, usage: { ...usage, ...drafts, ...speeds } } };
}
