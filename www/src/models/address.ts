/** What people type to name a model. */

import { catalog } from './catalog.js';

/** The address of a model, for its address or for the name of one of the shelf; null for others. */
export function addressOf(typed: string): string | null {
  const text = typed.trim();
  if (/^(?:https?:\/\/|hf:)./i.test(text)) return text;
  const known = catalog.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  return known?.source ?? null;
}
