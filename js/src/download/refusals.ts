/** Explains why a file cannot be fetched and what helps, as far as browsers let it be known. */

import { serializeError, WeftError } from '../common/errors.js';
import type { watchViolations } from '../common/violations.js';

/** Codes of errors about the content of the files. */
export const OF_THE_FILES: ReadonlySet<string> = new Set([
  ...['INVALID_FILE', 'TRUNCATED_FILE', 'INVALID_MODEL'],
  ...['UNSUPPORTED_MODEL', 'UNSUPPORTED_TENSOR_TYPE', 'UNSUPPORTED_TOKENIZER'],
]);

/** The request. */
export interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it goes to a hub, by an `hf:` address. */
  readonly isHub?: boolean;
}

/** Remedy for a response with this status; empty if there is none. */
export function remedyFor(status: number, asked: Asked): string {
  if (status === 401 || status === 403) return wayIn(asked);
  if (status === 404 || status === 410) return whereabouts(asked);
  return '';
}

function wayIn({ headers, isHub = false }: Asked): string {
  if (!isHub)
    return 'It wants to know who asks: give `load` a `fetch` that says so. `token` goes to `hf:` addresses alone.';
  return headers['Authorization'] === undefined
    ? 'The repository is private or gated, or there is none of that name: give `token`, of an account that may read it.'
    : 'This `token` may not read it. Of a gated model, ask for access on the hub, with the account whose token it is.';
}

/** Where a missing file may be. */
export function whereabouts({ url, isHub = false }: Asked): string {
  if (isHub)
    return 'Does the hub have it under that name? It is written `hf:owner/repository/path/to/file.gguf@revision`.';
  const { origin, pathname } = new URL(url);
  if (origin !== globalThis.location?.origin) return 'Is the address right?';
  const [, owner, repository] = /([\w.-]+)\/([\w.-]+?)\/?$/.exec(pathname) ?? [];
  const isName = owner !== undefined && !/\.(gguf|json|safetensors|bin)$/i.test(repository ?? '');
  const hub = isName ? `'hf:${owner}/${repository}'` : "'hf:owner/repository/file.gguf'";
  return `Is the file among those that the server serves as they are (\`public/\` with most bundlers)? A model of a hub is written ${hub}.`;
}

/**
 * Explains a `fetch` that failed without a response. `forbidden`: what the content security policy
 * forbade meanwhile. `certain`: another attempt cannot help.
 */
export async function reasonFor(
  { url, isHub = false }: Asked,
  forbidden: ReturnType<typeof watchViolations>['found'],
): Promise<{ readonly reason: string; readonly certain: boolean }> {
  const { origin, protocol, hostname } = new URL(url);
  const page = globalThis.location;
  if (page?.protocol === 'https:' && protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(hostname)) {
    return {
      reason: 'A page over https may not fetch what is served over http (mixed content): serve it over https.',
      certain: true,
    };
  }
  // The event of a policy violation is a task of its own.
  await new Promise((resolve) => setTimeout(resolve));
  if (forbidden.some(({ directive, blocked }) => directive === 'connect-src' && url.startsWith(blocked))) {
    const source = origin === page?.origin ? "'self'" : origin;
    const redirected = isHub && origin === 'https://huggingface.co' ? ' https://*.hf.co' : '';
    return {
      reason: `The content security policy forbids it. Allow it: \`connect-src ${source}${redirected}\`.`,
      certain: true,
    };
  }
  if (globalThis.navigator?.onLine === false) return { reason: 'The browser is offline.', certain: false };
  if (page && origin === page.origin) return { reason: 'Is the server running?', certain: false };
  const reason = page
    ? 'Most likely its server does not allow other origins (CORS): it must send Access-Control-Allow-Origin. Else, is the address right, and the server up?'
    : 'Is the address right, the network up, and does the server allow other origins (CORS)?';
  return { reason, certain: false };
}

/** Adds the file's source to an error about its first bytes. */
export function explained(error: unknown, asked: Asked | undefined): unknown {
  const { code, message } = serializeError(error);
  if (!asked || (code !== 'INVALID_FILE' && code !== 'TRUNCATED_FILE')) return error;
  const isPage = message.includes('looks like a web page');
  return new WeftError(code, isPage ? answeredPage(asked) : `${asked.url} is no model: ${message}`, { cause: error });
}

/** Explains a response that is a web page: app servers send their start page for missing files. */
export function answeredPage(asked: Asked): string {
  return `${asked.url} answered a web page, not a model. ${whereabouts(asked)}`;
}
