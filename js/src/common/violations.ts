/** A violation of the content security policy, as reported by the browser's event. */

interface Violation {
  /** The violated directive, `worker-src` for example. */
  readonly directive: string;
  /** The blocked URL, or a word like `blob`. */
  readonly blocked: string;
}

/** Maximum number of recorded violations; the last ones matter. */
const MOST = 32;

/** Records violations in this page or worker until `end`. */
export function watchViolations(): { readonly found: readonly Violation[]; end(): void } {
  const found: Violation[] = [];
  const listener = (event: Event) => {
    const { effectiveDirective, blockedURI } = event as SecurityPolicyViolationEvent;
    if (found.length === MOST) found.shift();
    found.push({ directive: effectiveDirective, blocked: blockedURI });
  };
  globalThis.addEventListener?.('securitypolicyviolation', listener);
  return { found, end: () => globalThis.removeEventListener?.('securitypolicyviolation', listener) };
}
