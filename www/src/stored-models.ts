/** The stored models: loads one again, even without a network, or deletes it. */

import { models, type StoredModel } from 'weft-llm';
import { announce, byId, cloneTemplate, formatBytes, within } from './dom.js';

const section = byId('stored', HTMLElement);
const list = byId('stored-list', HTMLElement);
const usage = byId('stored-usage', HTMLElement);

/** Matches all parts of a split model but the first; they cannot be loaded by themselves. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/;

/**
 * Reads the store again. `onLoad` gets the source of a model. Shows nothing if the store cannot be
 * read.
 */
export async function showStored(onLoad: (source: string) => void): Promise<void> {
  try {
    const [stored, { used, quota }] = await Promise.all([models.list(), models.usage()]);
    stored.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
    list.replaceChildren(...stored.map((model) => describe(model, onLoad)));
    section.hidden = stored.length === 0;
    usage.textContent =
      used === null || quota === null
        ? ''
        : `${formatBytes(used)} of the ${formatBytes(quota)} that this page may use.`;
  } catch {
    section.hidden = true;
  }
}

function describe({ source, size, storedBytes, complete }: StoredModel, onLoad: (source: string) => void): HTMLElement {
  const item = cloneTemplate('stored-template');
  const name = source.split(/[/@?]/).findLast((part) => /\.gguf$/i.test(part)) ?? source;
  within(item, '.name', HTMLElement).textContent = name;
  within(item, '.name', HTMLElement).title = source;
  const bytes = formatBytes(storedBytes);
  within(item, '.size', HTMLElement).textContent = complete
    ? bytes
    : `${size === null ? bytes : `${bytes} of ${formatBytes(size)}`}, not yet whole`;

  const load = within(item, '.load', HTMLButtonElement);
  load.ariaLabel = `Load ${name}`;
  load.hidden = LATER_PART.test(source);
  load.addEventListener('click', () => onLoad(source));

  const remove = within(item, '.delete', HTMLButtonElement);
  remove.ariaLabel = `Delete ${name}`;
  remove.addEventListener('click', async () => {
    remove.disabled = true;
    const deleted = await models.delete(source).catch(() => false);
    announce(deleted ? `${name} is deleted.` : `${name} could not be deleted.`);
    await showStored(onLoad);
    // The focused button is gone.
    const next = list.querySelector<HTMLButtonElement>('.delete') ?? byId('load-default', HTMLElement);
    next.focus();
  });
  return item;
}
