/** The times of operations, summed over the layers. */

import type { OperationTime } from 'weft-llm';

export interface Total {
  operation: string;
  milliseconds: number;
  bytes: number;
  times: number;
}

/** The longest first. */
export function totalsOf(times: readonly OperationTime[]): Total[] {
  const totals = new Map<string, Total>();
  for (const { operation, milliseconds, bytes } of times) {
    const total = totals.get(operation) ?? { operation, milliseconds: 0, bytes: 0, times: 0 };
    total.milliseconds += milliseconds;
    total.bytes += bytes;
    total.times += 1;
    totals.set(operation, total);
  }
  return [...totals.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}
