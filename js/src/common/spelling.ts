/** Guesses what a misspelt name was meant to be. */

/** Returns the closest of `known`; undefined if none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  const meant = FOREIGN.filter(({ theirs }) => theirs.includes(wanted)).map(({ ours }) => plain(ours));
  const ours = known.find((other) => meant.includes(plain(other)));
  if (ours !== undefined) return ours;
  const most = Math.max(1, Math.floor(wanted.length / 3));
  const ranked = known
    .map((other) => ({ other, edits: distance(wanted, plain(other)) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.other;
}

/** Makes `max_tokens` and `maxTokens` equal. */
const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

const SCHEMAS = [
  ...['constraint', 'responseformat', 'jsonschema', 'schema', 'grammar', 'format', 'json'],
  ...['guidedjson', 'guidedregex', 'outputschema', 'responseschema', 'responsemodel'],
];

const THOUGHTS = ['reasoning', 'reasoningeffort', 'enablethinking', 'think', 'thinking', 'thinkingbudget'];

/**
 * Names of options in other libraries, and weft's names for them, not all of which exist in every
 * place.
 */
const FOREIGN: readonly { readonly ours: string; readonly theirs: readonly string[] }[] = Object.entries({
  baseURL: ['url', 'endpoint', 'host', 'apibase', 'baseuri'],
  chat_template_kwargs: ['chattemplateargs', 'templatekwargs'],
  constraint: SCHEMAS,
  contextLength: ['nctx', 'numctx', 'ctxsize', 'contextsize', 'contextwindow', 'contextwindowsize', 'maxcontext'],
  device: ['backend', 'gpu', 'webgpu', 'usegpu', 'usewebgpu', 'gpulayers', 'ngpulayers', 'accelerator'],
  kvCache: [
    'kvtype',
    'cachetype',
    'cachetypek',
    'cachetypev',
    'typek',
    'typev',
    'kvdtype',
    'kvcachetype',
    'kvcachedtype',
  ],
  headers: ['defaultheaders', 'extraheaders'],
  maxTokens: ['maxnewtokens', 'npredict', 'numpredict', 'maxcompletiontokens', 'maxoutputtokens', 'maxlength'],
  model: ['url', 'modelurl', 'modelpath', 'src', 'path', 'modelid', 'file', 'files', 'blob'],
  onProgress: ['progresscallback', 'progress', 'initprogresscallback'],
  penaltyLastN: ['repeatlastn'],
  prefixCache: ['promptcache', 'cacheprompt', 'prefixcaching', 'enableprefixcaching', 'usepromptcache'],
  quantize: ['dtype', 'quantization', 'quant'],
  reasoning: THOUGHTS,
  reasoning_effort: THOUGHTS,
  repetitionPenalty: ['repeatpenalty', 'penaltyrepeat'],
  response_format: SCHEMAS,
  ropeScaling: ['ropetype', 'ropescale', 'ropefreqscale', 'ropescalingtype', 'yarn'],
  signal: ['abortsignal', 'abort', 'abortcontroller'],
  stop: ['stopsequences', 'stopstrings', 'stoptokens', 'stoptokenids', 'stopwords'],
  store: ['cache', 'usecache', 'cachedir', 'storage'],
  temperature: ['temp'],
  threads: ['nthreads', 'numthreads'],
  token: ['accesstoken', 'hftoken', 'apikey', 'authtoken', 'auth'],
  toolChoice: ['functioncall'],
  tools: ['functions'],
  topLogprobs: ['logprobs'],
  user: ['human'],
  variables: ['chattemplatekwargs', 'templatekwargs', 'templatevariables'],
  assistant: ['ai', 'bot', 'model'],
}).map(([ours, theirs]) => ({ ours, theirs }));

/**
 * Number of characters to insert, delete, replace or swap with a neighbour (Damerau-Levenshtein
 * distance, each pair swapped once).
 */
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
