/**
 * Stands in for weft-llm under `vite --mode fake`, to look at every state of the page without a
 * model. The address says which: `?load=CODE` and `?chat=CODE` fail with that error, `?slow` loads
 * for half a minute, `#say=TEXT` answers with that.
 */

import { WeftError, type ErrorCode } from '../../js/src/common/errors.js';
import type {
  GenerateOptions,
  Llm,
  LoadOptions,
  Message,
  Models,
  Piece,
  Progress,
  StoredModel,
} from '../../js/src/types/index.js';

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

> The weft is what moves; the warp is what holds.

See [a page about looms](https://example.org/looms "Looms"). What follows must neither run nor fetch:
<img src="https://example.org/x.png" onerror="alert(1)"> ![a loom](https://example.org/loom.png)
[a script](javascript:alert(1)) [a page](data:text/html,<script>alert(1)</script>) ![by reference][loom]

<svg onload="alert(1)"><style>@import '//example.org/x.css';</style></svg>
<iframe src="https://example.org"></iframe><script>alert(1)</script>

[loom]: https://example.org/loom.png
`;

function failIfAsked(call: 'load' | 'chat'): void {
  const code = query.get(call);
  if (code) throw new WeftError(code as ErrorCode, `the engine says: a made-up failure of ${call}, 512 of 2048`);
}

const RATE = 98e5;

function progressAt(phase: Progress['phase'], loaded: number, total: number): Progress {
  const file = 'SmolLM2-135M-Instruct.Q4_1.gguf';
  const rest = { fileLoaded: loaded, fileTotal: total, fromStore: 0, bytesPerSecond: RATE };
  return { phase, loaded, total, file, ...rest, secondsLeft: (total - loaded) / RATE };
}

/** What the page uses of it. */
interface Used extends Pick<Llm, 'info' | 'tokenize' | 'detokenize' | 'dispose'> {
  generate(prompt: string, options?: GenerateOptions): AsyncIterable<Piece>;
  chat(messages: readonly Message[], options?: GenerateOptions): AsyncIterable<Piece>;
}

export async function load({ signal, onProgress }: LoadOptions): Promise<Used> {
  const total = 98_000_000;
  const steps = query.has('slow') ? 300 : 10;
  for (let step = 0; step <= steps; step++) {
    signal?.throwIfAborted();
    onProgress?.(progressAt('download', (total / steps) * step, total));
    await wait(100);
  }
  failIfAsked('load');
  onProgress?.(progressAt('prepare', total, total));
  await wait(300);
  return {
    info: {
      kind: 'decoder',
      tasks: ['generate', 'chat'],
      labels: [],
      maskToken: null,
      name: 'SmolLM2 135M Instruct',
      architecture: 'llama',
      parameters: 134_515_008,
      quantization: 'Q4_1',
      fingerprint: '0123456789abcdef',
      layers: 30,
      kvWidth: 384,
      hiddenSize: 576,
      vocabularySize: 49152,
      contextLength: 2048,
      trainedContextLength: 8192,
      hasChatTemplate: true,
      roles: ['system', 'user', 'assistant', 'tool'],
      engine: {
        kind: 'gpu',
        description: 'a made-up adapter',
        notes: [],
        deviceLosses: 0,
        reason: 'WebGPU offers an adapter.',
        memoryBytes: 137e6,
        wasmMemoryBytes: 12e6,
        build: 'weft-relaxed-threads',
        threads: 1,
      },
      download: { fetchedBytes: total, fromStoreBytes: 0, storage: 'none', notes: [] },
      shared: false,
      notShared: null,
    },
    chat: (_, options) => answer(options),
    generate: (_, options) => answer(options),
    tokenize: async () => [],
    detokenize: async () => '',
    dispose: () => undefined,
  };
}

const stored: StoredModel[] = [
  { source: 'https://example.org/SmolLM2-135M-Instruct.Q4_1.gguf', size: 98_362_432, storedBytes: 98_362_432 },
  { source: 'hf:example/a-model/A-Model-with-a-rather-long-name-1B.Q8_0.gguf@main', size: 13e8, storedBytes: 4e8 },
].map((model) => ({ ...model, complete: model.size === model.storedBytes, lastUsed: new Date(), sha256: null }));

/** What the page uses of it. */
export const models: Pick<Models, 'list' | 'delete' | 'usage'> = {
  list: async () => [...stored],
  delete: async (source) =>
    stored.splice(
      stored.findIndex((model) => model.source === source),
      1,
    ).length > 0,
  usage: async () => ({ stored: 5e8, used: 5.1e8, quota: 1e10, persisted: false }),
};

/** Ends with the options that it was asked with. */
async function* answer({ signal, ...options }: GenerateOptions = {}): AsyncGenerator<Piece> {
  await wait(400);
  failIfAsked('chat');
  let id = 0;
  const said = new URLSearchParams(location.hash.slice(1)).get('say');
  const asked = said ?? `${ANSWER}\nAsked with \`${JSON.stringify(options)}\``;
  for (const text of asked.match(/\s*\S+/g) ?? []) {
    if (signal?.aborted) break;
    yield { text, id: id++, finish: null };
    await wait(15);
  }
  const usage = { promptTokens: 38, cachedTokens: 12, completionTokens: id, timeToFirstTokenMs: 402 };
  const speeds = { promptTokensPerSecond: 310, tokensPerSecond: 64.2 };
  const reason = signal?.aborted ? 'abort' : 'stop';
  yield { text: '', id: null, finish: { reason, usage: { ...usage, ...speeds } } };
}
