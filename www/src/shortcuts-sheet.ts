/** The sheet of shortcuts, where they can be turned off. */

import { html, type TemplateResult } from 'lit';
import { Component } from './component.js';
import { HELP, shortcuts, shortcutsAreOn, turnShortcuts } from './shortcuts.js';
import { t } from './text/text.js';

const ELSEWHERE = [
  ['Enter', 'send'],
  ['Shift Enter', 'new-line'],
  ['Esc', 'stop'],
] as const;

class ShortcutsSheet extends Component {
  protected override render(): TemplateResult {
    const row = (keys: string, name: string) =>
      html`<tr>
        <td>${t(`shortcut-${name}`)}</td>
        <td dir="ltr">${keys.split(' ').map((key) => html`<kbd>${key}</kbd>`)}</td>
      </tr>`;
    return html`<dialog id="shortcuts" aria-labelledby="shortcuts-title" @click=${this.#onBackdrop}>
      <div class="chats">
        <div class="title">
          <h2 id="shortcuts-title">${t('shortcuts-title')}</h2>
          <button type="button" class="primary" @click=${this.#close}>${t('done')}</button>
        </div>
        <table>
          <caption class="hint">
            ${t('shortcuts-writing')}
          </caption>
          <tbody>
            ${ELSEWHERE.map(([keys, name]) => row(keys, name))}
          </tbody>
        </table>
        <table>
          <caption class="hint">
            ${t('shortcuts-reading')}
          </caption>
          <tbody>
            ${shortcuts.map(({ key, name }) => row(key, name))} ${row(HELP, 'help')}
          </tbody>
        </table>
        <label class="check">
          <input type="checkbox" .checked=${shortcutsAreOn()} @change=${this.#onTurn} />
          ${t('shortcuts-on')}
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
