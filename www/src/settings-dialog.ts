/** The settings dialog. Its fields are the table of settings.ts. */

import { html, nothing, type TemplateResult } from 'lit';
import { announce } from './announcer.js';
import { Component } from './component.js';
import type { Conversation } from './conversation.js';
import { settingField, type Field } from './setting-field.js';
import { openShortcuts } from './shortcuts.js';
import { change, chatDefaults, groups, isValid, loadSettings, ofChat, reset, setting, settings } from './settings.js';
import { chooseLanguage, currentLanguage, languages, t } from './text/text.js';

/** Sends `reload` when the user wants to load the model again with the new settings. */
export class SettingsDialog extends Component {
  #loadedWith: string | null = null;
  /** Null: the settings of new chats are shown. */
  #chat: Conversation | null = null;
  #languageFailed = false;

  /** With a chat, its own settings are shown. */
  open(chat: Conversation | null): void {
    this.#chat = chat;
    this.#fill();
    this.#dialog.showModal();
  }

  /** Compares the settings with those of the loaded model, to offer loading it again. */
  noteLoaded(): void {
    this.#loadedWith = JSON.stringify(loadSettings());
    this.requestUpdate();
  }

  get #dialog(): HTMLDialogElement {
    return this.find<HTMLDialogElement>('dialog');
  }

  protected override render(): TemplateResult {
    const needsReload = this.#loadedWith !== null && this.#loadedWith !== JSON.stringify(loadSettings());
    return html`
      <dialog id="settings" aria-labelledby="settings-title" @click=${this.#onBackdrop} @close=${this.#onClose}>
        <form method="dialog" id="settings-form" @input=${this.#onInput}>
          <div class="title">
            <h2 id="settings-title">${t('settings-title')}</h2>
            <button type="submit" class="primary">${t('done')}</button>
          </div>
          ${this.#scope()}
          ${groups.map(({ legend, settings }) => {
            const fields = settings.map((one) => settingField(one, this.#value(one.name)));
            return legend === null
              ? fields
              : html`<fieldset>
                  <legend>${t(`settings-${legend}`)}</legend>
                  ${fields}
                  ${
                    legend === 'loading' && needsReload
                      ? html`<p id="reload-hint">
                          ${t('settings-need-reload')}
                          <button type="button" id="reload" @click=${this.#onReload}>${t('settings-reload')}</button>
                        </p>`
                      : nothing
                  }
                </fieldset>`;
          })}
          ${this.#language()}
          <button type="button" id="reset-settings" @click=${this.#onReset}>${t('settings-reset')}</button>
          <button type="button" id="open-shortcuts" @click=${this.#onShortcuts}>${t('shortcuts-title')}</button>
        </form>
      </dialog>
    `;
  }

  /** Whose settings these are. */
  #scope(): TemplateResult {
    if (!this.#chat) return html`<p class="hint">${t('settings-of-new-chats')}</p>`;
    const usual = ofChat.every(({ name }) => this.#value(name) === setting(name));
    return html`<div id="settings-scope">
      <p class="hint">${t('settings-of-chat')}</p>
      <button type="button" id="make-default" aria-disabled=${usual} @click=${this.#onMakeDefault}>
        ${usual ? t('settings-are-usual') : t('settings-make-usual')}
      </button>
    </div>`;
  }

  #language(): TemplateResult {
    return html`<fieldset>
      <legend>${t('settings-page')}</legend>
      <div class="field">
        <label for="language">${t('settings-language')}</label>
        <select id="language" @change=${this.#onLanguage}>
          ${languages.map(
            ({ id, name, direction }) =>
              html`<option value=${id} lang=${id} dir=${direction} .selected=${id === currentLanguage()}>
                ${name}
              </option>`,
          )}
        </select>
        <small role="status">${this.#languageFailed ? t('settings-language-failed') : nothing}</small>
      </div>
    </fieldset>`;
  }

  async #onLanguage(event: Event): Promise<void> {
    const field = event.target as HTMLSelectElement;
    this.#languageFailed = !(await chooseLanguage(field.value));
    field.value = currentLanguage();
    this.requestUpdate();
  }

  #value(name: string): string {
    return setting(name, this.#chat?.settings);
  }

  #onInput(event: Event): void {
    const { name, value } = event.target as Field;
    const own = ofChat.find((one) => one.name === name);
    if (this.#chat && own) {
      if (isValid(own, value)) this.#chat.changeSettings({ ...(this.#chat.settings ?? chatDefaults()), [name]: value });
    } else change({ [name]: value });
    this.requestUpdate();
  }

  #onMakeDefault(): void {
    change(Object.fromEntries(ofChat.map(({ name }) => [name, this.#value(name)])));
    announce(t('settings-made-usual'));
    this.requestUpdate();
  }

  #onReset(): void {
    reset();
    this.#chat?.changeSettings(chatDefaults());
    this.#fill();
  }

  #fill(): void {
    for (const { name } of settings) this.#field(name).value = this.#value(name);
    this.requestUpdate();
  }

  #onReload(): void {
    this.#dialog.close();
    this.dispatchEvent(new Event('reload'));
  }

  #onShortcuts(): void {
    this.#dialog.close();
    void openShortcuts();
  }

  /** Only a click on the backdrop has the dialog itself as its target. */
  #onBackdrop(event: MouseEvent): void {
    if (event.target === this.#dialog) this.#dialog.close();
  }

  /**
   * “Done” refuses a number out of range. Escape and the backdrop do not, so the last valid value
   * is restored.
   */
  #onClose(): void {
    for (const one of settings) {
      const field = this.#field(one.name);
      if (!isValid(one, field.value) || !field.checkValidity()) field.value = this.#value(one.name);
    }
  }

  #field(name: string): Field {
    return this.find<Field & HTMLElement>(`[name=${name}]`);
  }
}

customElements.define('settings-dialog', SettingsDialog);
