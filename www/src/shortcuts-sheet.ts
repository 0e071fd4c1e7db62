/** The sheet of shortcuts, where they can be turned off. */

import { html, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { HELP, shortcuts, shortcutsAreOn, turnShortcuts } from './shortcuts.js';

const ELSEWHERE = [
  ['Enter', 'Send what was written'],
  ['Shift Enter', 'Begin a new line'],
  ['Esc', 'Stop the answer; without one, leave the field'],
] as const;

class ShortcutsSheet extends Component {
  protected override render(): TemplateResult {
    const row = (keys: string, label: string) =>
      html`<tr>
        <td>${label}</td>
        <td>${keys.split(' ').map((key) => html`<kbd>${key}</kbd>`)}</td>
      </tr>`;
    return html`<dialog id="shortcuts" aria-labelledby="shortcuts-title" @click=${this.#onBackdrop}>
      <div class="chats">
        <div class="title">
          <h2 id="shortcuts-title">Keyboard shortcuts</h2>
          <button type="button" class="primary" @click=${this.#close}>Done</button>
        </div>
        <table>
          <caption class="hint">
            While the question is written
          </caption>
          <tbody>
            ${ELSEWHERE.map(([keys, label]) => row(keys, label))}
          </tbody>
        </table>
        <table>
          <caption class="hint">
            While nothing is typed
          </caption>
          <tbody>
            ${shortcuts.map(({ key, label }) => row(key, label))} ${row(HELP, 'Show these shortcuts')}
          </tbody>
        </table>
        <label class="check">
          <input type="checkbox" .checked=${shortcutsAreOn()} @change=${this.#onTurn} />
          Single keys are shortcuts
        </label>
      </div>
    </dialog>`;
  }

  async open(): Promise<void> {
    await this.updateComplete;
    this.find<HTMLDialogElement>('dialog').showModal();
  }

  #close(): void {
    this.find<HTMLDialogElement>('dialog').close();
  }

  #onTurn(event: Event): void {
    turnShortcuts((event.target as HTMLInputElement).checked);
  }

  #onBackdrop(event: MouseEvent): void {
    if (event.target === this.find('dialog')) this.#close();
  }
}

customElements.define('shortcuts-sheet', ShortcutsSheet);

export async function open(): Promise<void> {
  const there = document.querySelector<ShortcutsSheet>('shortcuts-sheet');
  const sheet = there ?? new ShortcutsSheet();
  if (!there) document.querySelector('weft-page')?.append(sheet);
  await sheet.open();
}
