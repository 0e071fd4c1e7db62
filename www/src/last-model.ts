/** Which model this tab loaded last, so that a reload of the page can load it again. */

import { models, type ModelSource } from 'weft-llm';
import { isGiven } from './models/served.js';
import { sourceName } from './names.js';

/** Its address, or the name of a file of the user. */
export interface LastModel {
  model: string | null;
  file: string | null;
}

const STORE = 'weft-last-model';

export function keepLast(source: ModelSource): void {
  const isAddress = typeof source === 'string';
  const last: LastModel = { model: isAddress ? source : null, file: isAddress ? null : sourceName(source) };
  try {
    sessionStorage.setItem(STORE, JSON.stringify(last));
  } catch {
    // Storage is forbidden: a reload of the page asks for a model.
  }
}

export function lastModel(): LastModel | null {
  try {
    const { model, file } = JSON.parse(sessionStorage.getItem(STORE) ?? '{}') as Partial<LastModel>;
    if (typeof model === 'string') return { model, file: null };
    return typeof file === 'string' ? { model: null, file } : null;
  } catch {
    return null;
  }
}

/** Whether it is loaded without a download. */
export async function isHere(model: string): Promise<boolean> {
  const stored = await models.list().catch(() => []);
  return isGiven(model) || stored.some(({ source, complete }) => source === model && complete);
}
