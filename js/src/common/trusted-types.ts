/**
 * Trusted Types: under `require-trusted-types-for 'script'`, addresses of workers must come from a
 * policy that the page allows by name.
 */

/** TypeScript's library lacks it. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(address: string): string },
  ): { createScriptURL(address: string): unknown };
}

/** The policy's name, for the directive `trusted-types`. */
export const POLICY = 'weft-llm';

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

/**
 * An address of the package's own worker, as the browser wants it. Where the page does not allow
 * the policy it stays a string, which the browser refuses if it requires Trusted Types, and the
 * page has no default policy.
 */
export function trusted(address: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  if (!trustedTypes) return address;
  try {
    policy ??= trustedTypes.createPolicy(POLICY, { createScriptURL: (own) => own });
  } catch {
    return address;
  }
  return policy.createScriptURL(address) as string;
}

/** Whether the policy could not be made. */
export const isUntrusted = (): boolean => 'trustedTypes' in globalThis && !policy;
