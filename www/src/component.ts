/** What the components of the page have in common. */

import { LitElement } from 'lit';
import { number, onLanguage, t } from './text/text.js';

/**
 * A component without a shadow tree: one style sheet, and labels that name elements of other
 * components. https://lit.dev/docs/components/shadow-dom/#implementing-createrenderroot
 */
export abstract class Component extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  #stopListening = () => {};

  /** Another language is shown at once. */
  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = onLanguage(() => this.requestUpdate());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stopListening();
  }

  protected find<T extends HTMLElement>(selector: string): T {
    const element = this.querySelector<T>(selector);
    if (!element) throw new TypeError(`<${this.localName}> has no ${selector}`);
    return element;
  }
}

/** A device whose keyboard covers the page when a field is focused. */
export const hasTouchKeyboard = () => matchMedia('(pointer: coarse)').matches;

/** `digits`: behind the point. */
export function formatBytes(bytes: number, digits = bytes >= 1e9 || (bytes >= 1e6 && bytes < 1e7) ? 1 : 0): string {
  const write = (amount: number, unit: string) =>
    number(amount, { style: 'unit', unit, minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (bytes < 1e6) return write(bytes / 1e3, 'kilobyte');
  if (bytes < 1e9) return write(bytes / 1e6, 'megabyte');
  return write(bytes / 1e9, 'gigabyte');
}

/** How much of something is there; its whole may be unknown. */
export function amountOf(bytes: number, total: number | null): string {
  if (total === null) return formatBytes(bytes);
  return t('amount-of', { amount: formatBytes(bytes), total: formatBytes(total) });
}

/** How many weights a model has, in millions or billions. */
export const weightsOf = (count: number): string =>
  count < 1e9 ? t('weights-millions', { count: count / 1e6 }) : t('weights-billions', { count: count / 1e9 });
