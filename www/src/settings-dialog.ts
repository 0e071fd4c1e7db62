/** The settings dialog. Its fields are the table of settings.ts. */

import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { Component } from './component.js';
import { change, groups, isValid, loadSettings, reset, setting, type Setting } from './settings.js';

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/** Sends `reload` when the user wants to load the model again with the new settings. */
export class SettingsDialog extends Component {
  #loadedWith: string | null = null;

  open(): void {
    for (const { name } of groups.flatMap(({ settings }) => settings)) this.#field(name).value = setting(name);
    this.requestUpdate();
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
            <h2 id="settings-title">Settings</h2>
            <button type="submit" class="primary">Done</button>
          </div>
          ${groups.map(({ legend, settings }) =>
            legend === null
              ? settings.map(field)
              : html`<fieldset>
                  <legend>${legend}</legend>
                  ${settings.map(field)}
                  ${
                    legend === 'Loading' && needsReload
                      ? html`<p id="reload-hint">
                          These two take effect when the model is loaded again.
                          <button type="button" id="reload" @click=${this.#onReload}>Load it again</button>
                        </p>`
                      : nothing
                  }
                </fieldset>`,
          )}
          <button type="button" id="reset-settings" @click=${this.#onReset}>Reset all settings</button>
        </form>
      </dialog>
    `;
  }

  #onInput(event: Event): void {
    const field = event.target as Field;
    change({ [field.name]: field.value });
    this.requestUpdate();
  }

  #onReset(): void {
    reset();
    for (const { name, value } of groups.flatMap(({ settings }) => settings)) this.#field(name).value = value;
    this.requestUpdate();
  }

  #onReload(): void {
    this.#dialog.close();
    this.dispatchEvent(new Event('reload'));
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
    for (const one of groups.flatMap(({ settings }) => settings)) {
      const field = this.#field(one.name);
      if (!isValid(one, field.value) || !field.checkValidity()) field.value = setting(one.name);
    }
  }

  #field(name: string): Field {
    return this.find<Field & HTMLElement>(`[name=${name}]`);
  }
}

const idOf = (name: string) =>
  name === 'stop' ? 'stop-strings' : name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

function field(one: Setting): TemplateResult {
  const id = idOf(one.name);
  return html`<div class="field">
    <label for=${id}>${one.label}</label>
    ${one.kind === 'range' ? html`<span class="value" aria-hidden="true">${setting(one.name)}</span>` : nothing}
    ${control(one, id)} ${one.hint ? html`<small id="${id}-hint">${one.hint}</small>` : nothing}
  </div>`;
}

function control(one: Setting, id: string): TemplateResult {
  const described = one.hint ? `${id}-hint` : nothing;
  // What is typed stays in the field while it is not valid.
  const value = one.kind === 'range' || one.kind === 'choice' ? live(setting(one.name)) : setting(one.name);
  switch (one.kind) {
    case 'text':
    case 'lines':
      return html`<textarea
        id=${id}
        name=${one.name}
        dir="auto"
        rows=${one.kind === 'text' ? 3 : 2}
        spellcheck=${one.kind === 'text' ? 'true' : 'false'}
        aria-describedby=${described}
        .value=${value}
      ></textarea>`;
    case 'choice':
      return html`<select id=${id} name=${one.name}>
        ${one.options?.map(
          ([option, label]) =>
            html`<option value=${option} ?selected=${option === setting(one.name)}>${label}</option>`,
        )}
      </select>`;
    default:
      return html`<input
        id=${id}
        name=${one.name}
        type=${one.kind}
        min=${one.min ?? nothing}
        max=${one.max ?? nothing}
        step=${one.step ?? nothing}
        placeholder=${one.placeholder ?? nothing}
        aria-describedby=${described}
        .value=${value}
      />`;
  }
}

customElements.define('settings-dialog', SettingsDialog);
