/** SHA-256 as 64 lower-case hexadecimal digits. The browser computes it on another thread. */
export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The same; null outside of secure contexts, where browsers do not provide it. */
export async function digestWherePossible(bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
  return globalThis.crypto?.subtle ? digest(bytes) : null;
}
