/** What a server tells of a file, to decide whether two responses have the same bytes. */

/** Each is null if the server does not tell. */
export interface Version {
  /** In bytes. */
  readonly size: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** `unknown`: the server tells too little. */
export type Identity = 'same' | 'different' | 'unknown';

/**
 * Compares strong ETags, if both have one (RFC 9110, 8.8.1). A weak ETag may stay when bytes
 * change, so it only proves a difference. Otherwise compares the times of the last change.
 */
export function compareVersions(a: Version, b: Version): Identity {
  const differ = (x: unknown, y: unknown) => x !== null && y !== null && x !== y;
  if (differ(a.size, b.size) || differ(a.etag, b.etag)) return 'different';
  if (isStrong(a.etag) && a.etag === b.etag) return 'same';
  if (differ(a.lastModified, b.lastModified)) return 'different';
  return a.lastModified !== null && a.lastModified === b.lastModified ? 'same' : 'unknown';
}

/** Whether a later response can be proven to have the same bytes. */
export function isProvable(version: Version): boolean {
  return compareVersions(version, version) === 'same';
}

export function isStrong(etag: string | null): etag is string {
  return etag?.startsWith('"') ?? false;
}
