// What can be measured: a case is a runtime, its engine, its threads, and a browser or none.

/** CPU threads that are compared. */
const threadCounts = [1, 2];

const cpu = (host, runtime, engine = 'cpu') => threadCounts.map((threads) => ({ host, runtime, engine, threads }));
const gpu = (host, runtime, engine = 'gpu') => [{ host, runtime, engine, threads: null }];

/** weft alone. */
export const weft = [
  ...cpu('chromium', 'weft'),
  ...gpu('chromium', 'weft'),
  ...gpu('firefox', 'weft'),
  ...cpu('native', 'weft'),
  ...gpu('native', 'weft'),
];

/** weft and its peers, in an order in which compared cases run close together. */
export const peers = [
  ...cpu('chromium', 'weft'),
  ...cpu('chromium', 'wllama'),
  ...cpu('chromium', 'transformers', 'wasm-q8'),
  ...cpu('chromium', 'transformers', 'wasm-q4'),
  ...cpu('native', 'llama.cpp'),
  ...gpu('chromium', 'weft'),
  ...gpu('chromium', 'transformers', 'webgpu-q8'),
  ...cpu('firefox', 'weft'),
  ...cpu('firefox', 'wllama'),
  ...gpu('firefox', 'weft'),
  ...gpu('firefox', 'wllama'),
];

/** The name of a case in tables and for --only: `chromium/weft/cpu/2`. */
export const nameOf = ({ host, runtime, engine, threads }) =>
  [host, runtime, engine, threads].filter(Boolean).join('/');

/** The cases whose name contains one of `words` as parts: `weft`, `firefox/wllama`, `cpu/2`. */
export function choose(cases, words) {
  if (!words) return cases;
  const isNamed = (word) => (each) => `/${nameOf(each)}/`.includes(`/${word}/`);
  const unknown = words.filter((word) => !cases.some(isNamed(word)));
  if (unknown.length) throw new Error(`--only ${unknown}: no such case; they are ${cases.map(nameOf).join(', ')}`);
  return cases.filter((each) => words.some((word) => isNamed(word)(each)));
}
