/** The field of a setting, with its label and hint. */

import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import type { Setting } from './settings.js';

export type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/** `prefix`: what ids begin with, where a page has several fields of a setting. */
export function settingField(one: Setting, value: string, prefix = ''): TemplateResult {
  const id = prefix + idOf(one.name);
  return html`<div class="field">
    <label for=${id}>${one.label}</label>
    ${one.kind === 'range' ? html`<span class="value" aria-hidden="true">${value}</span>` : nothing}
    ${control(one, id, value)} ${one.hint ? html`<small id="${id}-hint">${one.hint}</small>` : nothing}
  </div>`;
}

const idOf = (name: string) =>
  name === 'stop' ? 'stop-strings' : name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

function control(one: Setting, id: string, set: string): TemplateResult {
  const described = one.hint ? `${id}-hint` : nothing;
  // What is typed stays in the field while it is not valid.
  const value = one.kind === 'range' || one.kind === 'choice' ? live(set) : set;
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
          ([option, label]) => html`<option value=${option} ?selected=${option === set}>${label}</option>`,
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
