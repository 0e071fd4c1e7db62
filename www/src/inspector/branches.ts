/** What was written after a text: a tree, since one can go back and take another token. */

import { html, nothing, type TemplateResult } from 'lit';
import type { TokenProbability } from 'weft-llm';
import { percent, visible } from './token-text.js';
import { t } from '../text/text.js';

export interface Branch extends TokenProbability {
  readonly parent: Branch | null;
  readonly children: Branch[];
}

export class Branches {
  readonly root: Branch = { id: -1, text: '', probability: 1, parent: null, children: [] };
  at = this.root;

  /** Goes on with a token, on a new branch unless it was taken before. */
  take({ id, text, probability }: TokenProbability): void {
    let next = this.at.children.find((child) => child.id === id);
    if (!next) this.at.children.push((next = { id, text, probability, parent: this.at, children: [] }));
    this.at = next;
  }

  /** The tokens from the end of the text to here. */
  get path(): Branch[] {
    const path: Branch[] = [];
    for (let branch = this.at; branch.parent; branch = branch.parent) path.unshift(branch);
    return path;
  }

  /** Where an arrow key leads: to the token before or behind, or to another one in its place. */
  move(key: string): Branch | null {
    const { parent, children } = this.at;
    const siblings = parent?.children ?? [];
    const here = siblings.indexOf(this.at);
    switch (key) {
      case 'ArrowLeft':
        return parent;
      case 'ArrowRight':
        return children.at(-1) ?? null;
      case 'ArrowUp':
        return siblings[here - 1] ?? null;
      case 'ArrowDown':
        return siblings[here + 1] ?? null;
      default:
        return null;
    }
  }

  render(go: (branch: Branch) => void): TemplateResult {
    const onKey = (event: KeyboardEvent) => {
      const to = event.altKey || event.ctrlKey || event.metaKey ? null : this.move(event.key);
      if (!to) return;
      event.preventDefault();
      go(to);
    };
    return html`<div class="branches" role="group" aria-label=${t('next-branches')} @keydown=${onKey}>
      <ul>
        ${this.#line(this.root, go)}
      </ul>
    </div>`;
  }

  /** Tokens up to the next fork on one line, and a line for each branch under it. */
  #line(first: Branch, go: (branch: Branch) => void): TemplateResult {
    const line = [first];
    let last = first;
    while (last.children.length === 1) line.push((last = last.children[0]!));
    return html`<li>
      ${line.map((branch) => this.#button(branch, go))}
      ${
        last.children.length > 1
          ? html`<ul>
              ${last.children.map((child) => this.#line(child, go))}
            </ul>`
          : nothing
      }
    </li>`;
  }

  #button(branch: Branch, go: (branch: Branch) => void): TemplateResult {
    const here = branch === this.at;
    const onPath = here || this.path.includes(branch);
    return html`<button
      type="button"
      class=${onPath || branch === this.root ? 'on-path' : ''}
      aria-current=${here ? 'step' : nothing}
      tabindex=${here ? 0 : -1}
      title=${branch.parent ? t('next-taken-at', { share: percent(branch.probability) }) : t('next-end.title')}
      @click=${() => go(branch)}
    >
      ${branch.parent ? html`<bdi>${visible(branch)}</bdi>` : t('next-end')}
    </button>`;
  }
}
