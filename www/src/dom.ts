/** Access to the page's elements by their ids in index.html. */

/** Errors: a `TypeError` with the id if the page does not match its script. */
export function byId<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new TypeError(`index.html has no ${type.name} #${id}`);
}

export function within<T extends Element>(parent: ParentNode, selector: string, type: new () => T): T {
  const element = parent.querySelector(selector);
  if (element instanceof type) return element;
  throw new TypeError(`index.html has no ${type.name} ${selector}`);
}

/** Copies the only child of a template. */
export function cloneTemplate(id: string): HTMLElement {
  const child = byId(id, HTMLTemplateElement).content.firstElementChild;
  if (!(child instanceof HTMLElement)) throw new TypeError(`the template #${id} is empty`);
  return document.importNode(child, true);
}

const announcer = byId('announcer', HTMLElement);

/** Announces a text to screen readers, after their current speech. */
export function announce(text: string): void {
  announcer.textContent = text;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  if (bytes < 1e7) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
