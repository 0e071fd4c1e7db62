/** What a misspelt name was meant to be. */

/** The one of `known` that is nearest to `name`; undefined where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  const foreign = FOREIGN.get(wanted);
  const ours =
    foreign && known.find((other) => [foreign, OPENAI[foreign]].some((name) => name && plain(name) === plain(other)));
  if (ours) return ours;
  const most = Math.max(1, Math.floor(wanted.length / 3));
  const ranked = known
    .map((other) => ({ other, edits: distance(wanted, plain(other)) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.other;
}

/** `max_tokens` and `maxTokens` are spelt the same. */
const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** What other libraries call an option, and weft's name of it. */
const FOREIGN: ReadonlyMap<string, string> = new Map(
  Object.entries({
    constraint: ['responseformat', 'jsonschema', 'schema', 'grammar', 'format', 'guidedjson'],
    contextLength: ['nctx', 'numctx', 'contextsize', 'contextwindow', 'contextwindowsize', 'maxcontext'],
    device: ['backend', 'gpu', 'accelerator'],
    maxTokens: ['maxnewtokens', 'npredict', 'numpredict', 'maxcompletiontokens', 'maxoutputtokens'],
    model: ['url', 'modelurl', 'modelpath', 'src', 'path', 'modelid'],
    onProgress: ['progresscallback', 'progress', 'initprogresscallback'],
    penaltyLastN: ['repeatlastn'],
    quantize: ['dtype', 'quantization', 'quant'],
    reasoning: ['enablethinking', 'think', 'thinking', 'reasoningeffort'],
    repetitionPenalty: ['repeatpenalty', 'penaltyrepeat'],
    signal: ['abortsignal'],
    stop: ['stopsequences', 'stopstrings', 'stoptokens'],
    store: ['cache', 'usecache', 'cachedir'],
    threads: ['nthreads', 'numthreads'],
    token: ['accesstoken', 'hftoken', 'apikey', 'authtoken'],
    toolChoice: ['functioncall'],
    tools: ['functions'],
    topLogprobs: ['logprobs'],
    user: ['human'],
    assistant: ['ai', 'bot', 'model'],
  }).flatMap(([ours, theirs]) => theirs.map((name) => [name, ours] as const)),
);

/** Options that are called otherwise in requests of OpenAI's shape, also when they are spelt alike. */
const OPENAI: Readonly<Record<string, string>> = { constraint: 'response_format', reasoning: 'reasoning_effort' };

/** Characters to insert, delete, replace or swap with their neighbour (Damerau-Levenshtein, each pair swapped once). */
function distance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[j - 2] ?? 0) + 1 : Infinity,
      );
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
