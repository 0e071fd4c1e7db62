/**
 * Stands in for `weft-llm` under `vite --mode fake`, to see every state of the page within seconds and without a GPU.
 * The page's address says what should happen:
 *   ?load=CODE    loading fails with this error, halfway
 *   ?chat=CODE    answering fails with this error, `?after=N` pieces into the answer (0: before the first)
 *   ?pace=MS      milliseconds a piece (default 25); `?loadMs=MS` milliseconds of loading (default 3000)
 *   ?engine=gpu   pretends to a GPU; default is the CPU
 *   ?full         the context is full after one answer
 */
import type { Finish, Llm, LoadOptions, Message, Piece } from 'weft-llm';
import answers from './answers.md?raw';

const wish = new URLSearchParams(location.search);
const number = (name: string, initial: number) => Number(wish.get(name) ?? initial);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class WeftError extends Error {
  override readonly name = 'WeftError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export async function load({
  model,
  device = 'auto',
  contextLength = 2048,
  signal,
  onProgress,
}: LoadOptions): Promise<Llm> {
  const total = 98_362_432;
  const first = Array.isArray(model) ? (model[0] as string | URL | Blob) : (model as string | URL | Blob);
  const file = first instanceof File ? first.name : (String(first).split('/').at(-1) ?? '');
  onProgress?.({ phase: 'start', loaded: 0, total: null, file });
  const steps = 60;
  for (let step = 0; step <= steps; step++) {
    await sleep(number('loadMs', 3000) / steps);
    if (signal?.aborted) throw new DOMException('loading was cancelled', 'AbortError');
    onProgress?.({ phase: 'download', loaded: Math.round((total * step) / steps), total, file });
    const code = wish.get('load');
    // Insisting on the CPU heals what the GPU caused, as it does in earnest.
    if (code !== null && device !== 'cpu' && step === steps / 2)
      throw new WeftError(code, `the fake engine failed as asked: ${code}`);
  }
  onProgress?.({ phase: 'prepare', loaded: total, total, file });
  await sleep(number('loadMs', 3000) / 4);
  return new FakeLlm(contextLength, wish.get('engine') === 'gpu' && device !== 'cpu' ? 'gpu' : 'cpu');
}

class FakeLlm implements Llm {
  readonly info;
  #calls = 0;
  #disposed = false;

  constructor(contextLength: number, kind: 'gpu' | 'cpu') {
    this.info = {
      name: 'SmolLM2 135M Instruct',
      architecture: 'llama',
      parameters: 134_515_008,
      quantization: 'Q4_1',
      layers: 30,
      hiddenSize: 576,
      vocabularySize: 49_152,
      contextLength,
      trainedContextLength: 8192,
      hasChatTemplate: true,
      engine: {
        kind,
        description: kind === 'gpu' ? 'a pretended adapter' : 'WebAssembly SIMD, 4 threads',
        reason:
          kind === 'gpu'
            ? 'The browser offers a real GPU.'
            : 'This browser offers only a software GPU, which is slower than the CPU.',
        memoryBytes: 143_000_000,
        wasmMemoryBytes: 21_000_000,
      },
    } as const;
  }

  generate(prompt: string): AsyncIterable<Piece> {
    return this.chat([{ role: 'user', content: prompt }]);
  }

  async *chat(
    messages: readonly Message[],
    { signal, maxTokens }: { signal?: AbortSignal; maxTokens?: number } = {},
  ): AsyncGenerator<Piece> {
    if (this.#disposed) throw new WeftError('DISPOSED', 'the model was disposed');
    const parts = answers.split(/^={5,}\n/m);
    const question = messages.at(-1)?.content ?? '';
    const named = parts.findIndex((part) => part.startsWith(`<!-- ${question.split(' ')[0]?.toLowerCase()} -->`));
    const text = (parts[named === -1 ? this.#calls % 3 : named] ?? '').replace(/^<!--.*-->\n/, '').trimEnd();
    const failing = this.#calls === number('at', 0) ? wish.get('chat') : null;
    this.#calls++;
    const start = performance.now();
    await sleep(number('pace', 25) * 8);
    const firstTokenAt = performance.now();
    let count = 0;
    const end = (reason: Finish['reason']): Piece => ({
      text: '',
      id: null,
      finish: {
        reason,
        usage: {
          promptTokens: 31 * messages.length,
          cachedTokens: 31 * (messages.length - 1),
          completionTokens: count,
          timeToFirstTokenMs: firstTokenAt - start,
          promptTokensPerSecond: 400,
          tokensPerSecond: (count / Math.max(1, performance.now() - firstTokenAt)) * 1000,
        },
      },
    });
    for (const piece of text.match(/\s*\S{1,6}/g) ?? []) {
      if (failing !== null && count === number('after', 0))
        throw new WeftError(failing, `the fake engine failed as asked: ${failing}`);
      if (signal?.aborted || this.#disposed) return yield end('abort');
      if (count === maxTokens) return yield end('length');
      yield { text: piece, id: 1000 + count, finish: null };
      count++;
      await sleep(number('pace', 25));
    }
    yield end(wish.has('full') ? 'length' : 'stop');
  }

  tokenize(text: string): Promise<number[]> {
    return Promise.resolve([...text].map((character) => character.codePointAt(0) ?? 0));
  }

  detokenize(ids: readonly number[]): Promise<string> {
    return Promise.resolve(String.fromCodePoint(...ids));
  }

  dispose(): void {
    this.#disposed = true;
  }
}
