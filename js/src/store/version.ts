/** What a server tells of a file, and whether two answers are of the same bytes. */

/** Null for what the server does not tell. */
export interface Version {
  /** In bytes. */
  readonly size: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** `unknown`: neither is told. */
export type Identity = 'same' | 'different' | 'unknown';

/**
 * A strong ETag decides where both have one (RFC 9110, 8.8.1). A weak one may stay when bytes
 * change, so that alone it proves no more than a difference. Else the times of the last change
 * decide.
 */
export function compareVersions(a: Version, b: Version): Identity {
  const differ = (x: unknown, y: unknown) => x !== null && y !== null && x !== y;
  if (differ(a.size, b.size) || differ(a.etag, b.etag)) return 'different';
  if (isStrong(a.etag) && a.etag === b.etag) return 'same';
  if (differ(a.lastModified, b.lastModified)) return 'different';
  return a.lastModified !== null && a.lastModified === b.lastModified ? 'same' : 'unknown';
}

/** Whether a later answer can be told to be of the same bytes. */
export function isProvable(version: Version): boolean {
  return compareVersions(version, version) === 'same';
}

export function isStrong(etag: string | null): etag is string {
  return etag?.startsWith('"') ?? false;
}
