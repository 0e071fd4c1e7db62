/** What a content security policy forbids, told by the browser in an event of its own. */

interface Violation {
  /** The directive of the policy that forbids it, `worker-src` for example. */
  readonly directive: string;
  /** The address that is forbidden, or a word like `blob`. */
  readonly blocked: string;
}

/** A page may break its policy all the time, and only what happened last is of interest. */
const MOST = 32;

/** What is forbidden in this page or worker from now on until `end`. */
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
