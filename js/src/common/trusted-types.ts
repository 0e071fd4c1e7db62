/**
 * Trusted Types: under `require-trusted-types-for 'script'`, URLs of workers must come from a
 * policy that the page allows by name.
 */

/** Missing in TypeScript's DOM library. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(address: string): string },
  ): { createScriptURL(address: string): unknown };
}

/** Name of the policy, for the directive `trusted-types`. */
export const POLICY = 'weft-llm';

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

/**
 * Converts the URL of the package's worker to the type that the browser requires. If the page does
 * not allow the policy it stays a string, which the browser refuses if it requires Trusted Types
 * and the page has no default policy.
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

/** Whether the page refused the policy. */
export const isUntrusted = (): boolean => 'trustedTypes' in globalThis && !policy;
