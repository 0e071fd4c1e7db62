/** Figures as people read them. */

/** For example `98.4 MB`, in decimal units like download sizes elsewhere. */
export function bytes(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e8 ? 1 : 0)} MB`;
  return `${(count / 1e9).toFixed(2)} GB`;
}

/** For example `320 ms`, `4.2 s`, `3 min`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1e3) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 1e4) return `${(milliseconds / 1e3).toFixed(1)} s`;
  if (milliseconds < 9e4) return `${Math.round(milliseconds / 1e3)} s`;
  return `${Math.round(milliseconds / 6e4)} min`;
}

/** For example `135 M`. */
export function parameters(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} K`;
  return count < 1e9 ? `${Math.round(count / 1e6)} M` : `${(count / 1e9).toFixed(1)} B`;
}
