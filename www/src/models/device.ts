/** What a model can find on this device: memory, storage, speed. */

import type { CatalogModel } from './catalog.js';
import { t } from '../text/text.js';

export interface Device {
  /** Bytes of memory, rounded by the browser; null where it does not tell. */
  readonly memory: number | null;
  /** Bytes that the browser lets the page store in addition; null where it does not tell. */
  readonly room: number | null;
}

/** What WebAssembly can address; the CPU engine’s models need a quarter GB beside them. */
const ADDRESSABLE = 2 ** 32;
const BESIDE = 2 ** 28;

/** What the rest of the browser and of the system needs at least, as a share of the memory. */
const OTHERS = 0.25;

/** The browser's figure ends here: more memory is told as this much. */
const MOST_TOLD = 8 * 2 ** 30;

/** `impossible`: it will not run. `unlikely`: it may run. `not kept`: it runs, once. */
export interface Obstacle {
  readonly kind: 'impossible' | 'unlikely' | 'not kept';
  readonly why: string;
}

/** What stands in the way of a model of this size, if its size alone shows it. */
export function obstacle(bytes: number, { memory, room }: Device, format: (bytes: number) => string): Obstacle | null {
  if (memory !== null && memory < MOST_TOLD && bytes > memory * (1 - OTHERS)) {
    return { kind: 'impossible', why: t('obstacle-memory', { memory: format(memory) }) };
  }
  if (bytes + BESIDE > ADDRESSABLE) {
    return { kind: 'unlikely', why: t('obstacle-gpu', { room: format(ADDRESSABLE) }) };
  }
  if (room !== null && bytes > room) {
    return { kind: 'not kept', why: t('obstacle-room', { room: format(room) }) };
  }
  return null;
}

/** The largest model for the same use that this device has memory for; of its family, if one is. */
export function whatWould(
  wanted: Pick<CatalogModel, 'bytes' | 'family' | 'uses'>,
  all: readonly CatalogModel[],
  device: Device,
): CatalogModel | undefined {
  const size = (bytes: number) => String(bytes);
  const fit = all
    .filter(({ bytes, uses }) => bytes < wanted.bytes && uses[0] === wanted.uses[0])
    .filter(({ bytes }) => obstacle(bytes, device, size) === null)
    .sort((a, b) => b.bytes - a.bytes);
  return fit.find(({ family }) => family === wanted.family) ?? fit[0];
}
