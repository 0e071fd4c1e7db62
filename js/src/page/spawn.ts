/**
 * Starts the package's worker file from a page, even from another origin, and explains failures.
 */

import { workerAddress } from '../assets.js';
import { messageOf, WeftError } from '../common/errors.js';
import { isUntrusted, POLICY, trusted } from '../common/trusted-types.js';
import { watchViolations } from '../common/violations.js';

/** A worker that may not have started yet. */
export interface Spawned<W> {
  readonly worker: W;
  /** Explains why it did not start. `event`: its first error. */
  explain(event: ErrorEvent): Promise<WeftError>;
  /** Frees what is only needed until the worker runs. */
  release(): void;
}

/**
 * Whether the worker's file is on another origin. Browsers start workers from the page's origin
 * only; a blob of the page then imports the file, which its server must allow (CORS).
 */
export function isElsewhere(address: string = workerAddress(), page: string | undefined = globalThis.origin): boolean {
  const { origin, protocol, host } = new URL(address);
  if (page === undefined || origin === page) return false;
  // URLs with unknown schemes have no origin, but their host can be compared.
  return origin !== 'null' || page !== `${protocol}//${host}`;
}

export function spawn<W>(make: (address: string) => W): Spawned<W> {
  const href = workerAddress();
  const blob = isElsewhere() ? blobOf(`import ${JSON.stringify(href)};`) : undefined;
  const violations = watchViolations();
  const release = () => {
    violations.end();
    if (blob) URL.revokeObjectURL(blob);
  };
  const explain = async ({ message }: ErrorEvent) => {
    const why = (await reasonFor(href, blob, violations.found)) ?? `its script failed. Its address is ${href}.`;
    return new WeftError('WORKER_FAILED', `the worker did not start: ${message ? `${message}: ` : ''}${why}`);
  };
  try {
    const worker = make(trusted(blob ?? href));
    return { worker, explain, release };
  } catch (cause) {
    release();
    const why =
      isUntrusted() && cause instanceof TypeError ? UNTRUSTED : `${messageOf(cause)}. Its address is ${href}.`;
    throw new WeftError('WORKER_FAILED', `the worker did not start: ${why}`, { cause });
  }
}

const blobOf = (script: string) => URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));

const UNTRUSTED = `the page requires Trusted Types and does not allow the package's policy. Add it to the content security policy: \`trusted-types ${POLICY}\`, with 'allow-duplicates' if the package is in the page twice.`;

/** Milliseconds to wait for a server's explanation. */
const PATIENCE = 10_000;

/** Finds the reason as far as possible: browsers hardly tell why a worker failed. */
async function reasonFor(
  address: string,
  blob: string | undefined,
  violations: ReturnType<typeof watchViolations>['found'],
): Promise<string | undefined> {
  // The event of a policy violation may come after the worker's error.
  await new Promise((resolve) => setTimeout(resolve));
  const forbidden = violations.find(
    ({ directive, blocked }) =>
      /^(worker|child|script|default)-src/.test(directive) &&
      (blob ? ['blob', blob].includes(blocked) : blocked !== '' && address.startsWith(blocked)),
  );
  if (forbidden) {
    const source = `${blob ? 'blob: ' : ''}${originOf(address)}`;
    return `the content security policy forbids it (${forbidden.directive}). Allow it: \`worker-src ${source}\`.`;
  }
  let response: Response;
  try {
    response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) });
    await response.body?.cancel();
  } catch (cause) {
    const remedy = blob
      ? 'Its server is of another origin than the page, and must allow that (Access-Control-Allow-Origin); so must the content security policy, in `script-src`, `worker-src` and `connect-src`.'
      : 'Is its server running?';
    return `${address} cannot be fetched (${messageOf(cause)}). ${remedy}`;
  }
  const type = response.headers.get('content-type')?.split(';')[0]?.trim() ?? 'nothing';
  const isPage = type === 'text/html';
  if (!response.ok || isPage) {
    const said = response.ok ? 'a web page' : `${response.status} ${response.statusText}`.trimEnd();
    return `${address} answered ${said}. ${missingRemedy(address)}`;
  }
  if (!/javascript|ecmascript/i.test(type)) {
    return `${address} was served as ${type}. Serve it as text/javascript.`;
  }
  if (globalThis.crossOriginIsolated && !blob && !response.headers.has('cross-origin-embedder-policy')) {
    return `${address} lacks a header that the page has, which a worker needs too. Serve it with Cross-Origin-Embedder-Policy: require-corp.`;
  }
  if (blob) {
    return `a worker of the page may not import ${address}. Does the content security policy allow it, with \`worker-src blob: ${originOf(address)}\`?`;
  }
  return undefined;
}

const originOf = (address: string) => {
  const { origin } = new URL(address);
  return origin === globalThis.origin ? "'self'" : origin;
};

function missingRemedy(address: string): string {
  if (/\/\.?vite\/|\/deps\//.test(address)) {
    return "Vite has moved the package's JavaScript away from it: set `optimizeDeps: { exclude: ['weft-llm'] }` in its configuration.";
  }
  return 'Copy the files `weft*` of node_modules/weft-llm/dist to the folder of the script that holds the package, if your bundler does not follow `new URL(…, import.meta.url)`.';
}
