/** What the components of the page have in common. */

import { LitElement } from 'lit';

/**
 * A component without a shadow tree: one style sheet, and labels that name elements of other
 * components. https://lit.dev/docs/components/shadow-dom/#implementing-createrenderroot
 */
export abstract class Component extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected find<T extends HTMLElement>(selector: string): T {
    const element = this.querySelector<T>(selector);
    if (!element) throw new TypeError(`<${this.localName}> has no ${selector}`);
    return element;
  }
}

/** A device whose keyboard covers the page when a field is focused. */
export const hasTouchKeyboard = () => matchMedia('(pointer: coarse)').matches;

export function formatBytes(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  if (bytes < 1e7) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
