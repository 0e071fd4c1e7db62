/** The field of a setting, with its label and hint. */

import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import type { Setting } from './settings.js';
import { number, optional, t } from './text/text.js';

export type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/** `prefix`: what ids begin with, where a page has several fields of a setting. */
export function settingField(one: Setting, value: string, prefix = ''): TemplateResult {
  const id = prefix + idOf(one.name);
  const hint = optional(`setting-${one.name}.hint`);
  return html`<div class="field">
    <label for=${id}>${t(`setting-${one.name}`)}</label>
    ${one.kind === 'range' ? html`<span class="value" aria-hidden="true">${number(Number(value))}</span>` : nothing}
    ${control(one, id, value, hint ? `${id}-hint` : nothing)}
    ${hint ? html`<small id="${id}-hint">${hint}</small>` : nothing}
  </div>`;
}

const idOf = (name: string) =>
  name === 'stop' ? 'stop-strings' : name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

function control(one: Setting, id: string, set: string, described: string | typeof nothing): TemplateResult {
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
          (option) =>
            html`<option value=${option} ?selected=${option === set}>${t(`setting-${one.name}-${option}`)}</option>`,
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
        placeholder=${optional(`setting-${one.name}.placeholder`) ?? nothing}
        aria-describedby=${described}
        .value=${value}
      />`;
  }
}
