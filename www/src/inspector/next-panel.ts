/** The next token's distribution, before and after each stage of the sampler. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Constraint, SamplerStage, SamplingOptions } from 'weft-llm';
import { announce } from '../announcer.js';
import { groups, setting, type Setting } from '../settings.js';
import { Branches, type Branch } from './branches.js';
import { next } from './calls.js';
import { Panel } from './panel.js';
import { rowsOf, stageName, type Row } from './stages.js';
import { percent, quoted, visible } from './token-text.js';
import { strength } from './strength.js';
import { number, t } from '../text/text.js';

/** While a slider moves. */
const PAUSE_MS = 120;

const sliders: readonly Setting[] = groups.flatMap(({ settings }) => settings).filter(({ kind }) => kind === 'range');

/** Not the page's 0, at which there is nothing to see after the temperature. */
const START: Readonly<Record<string, string>> = { temperature: '1' };

class NextPanel extends Panel<readonly SamplerStage[]> {
  protected override readonly call = 'next';
  #values = new Map(sliders.map(({ name }) => [name, START[name] ?? setting(name)]));
  #kind: 'none' | 'choices' | 'regex' = 'none';
  #constraint = '';
  #stage: string | null = null;
  #branches = new Branches();
  #timer: ReturnType<typeof setTimeout> | undefined;

  protected override ask(signal: AbortSignal): Promise<readonly SamplerStage[]> {
    const figures = Object.fromEntries([...this.#values].map(([name, value]) => [name, Number(value)]));
    const path = this.#branches.path.map(({ id }) => id);
    return next(this.look.model, [...this.ids, ...path], figures as SamplingOptions, this.#asConstraint(), signal);
  }

  /** A constraint begins at the token that comes next. */
  #asConstraint(): Constraint | null {
    const text = this.#constraint;
    if (this.#kind === 'none' || text.trim() === '') return null;
    if (this.#kind === 'regex') return { regex: text };
    return { choices: text.split('\n').filter((line) => line !== '') };
  }

  protected override controls(): TemplateResult {
    return html`
      <details class="sampling" open>
        <summary>${t('next-sampler')}</summary>
        <div class="sliders" @input=${this.#onInput}>
          ${sliders.map(this.#slider)}
          <div class="field">
            <label for="next-kind">${t('next-constraint')}</label>
            <select id="next-kind" name="kind" @change=${this.#onInput}>
              <option value="none">${t('next-constraint-none')}</option>
              <option value="choices">${t('next-constraint-choices')}</option>
              <option value="regex">${t('next-constraint-regex')}</option>
            </select>
          </div>
          ${
            this.#kind === 'none'
              ? nothing
              : html`<div class="field">
                  <label for="next-constraint"> ${this.#kind === 'regex' ? t('next-matches') : t('next-is')} </label>
                  <textarea
                    id="next-constraint"
                    name="constraint"
                    rows="2"
                    dir="auto"
                    spellcheck="false"
                    placeholder=${this.#kind === 'regex' ? ' [a-z]+' : ' yes'}
                    .value=${this.#constraint}
                  ></textarea>
                </div>`
          }
        </div>
      </details>
      ${this.#branches.render((branch) => void this.#go(branch))}
    `;
  }

  readonly #slider = ({ name, min, max, step }: Setting): TemplateResult => {
    const value = this.#values.get(name) ?? '';
    return html`<div class="field">
      <label for="next-${name}">${t(`setting-${name}`)}</label>
      <span class="value" aria-hidden="true">${number(Number(value))}</span>
      <input id="next-${name}" name=${name} type="range" min=${min} max=${max} step=${step} .value=${value} />
    </div>`;
  };

  protected override show(stages: readonly SamplerStage[]): TemplateResult {
    const stage = stages.find((one) => one.stage === this.#stage) ?? stages.at(-1);
    if (!stage) return html`<p>${t('next-no-token')}</p>`;
    const rows = rowsOf(stages, stage);
    return html`
      <fieldset class="stages">
        <legend>${t('next-stages')}</legend>
        ${stages.map(
          ({ stage: name, left }) =>
            html`<label>
              <input
                type="radio"
                name="next-stage"
                value=${name}
                .checked=${name === stage.stage}
                @change=${() => this.#choose(name, stages)}
              />
              <span>${stageName(name)}</span> <small>${t('next-left', { count: left })}</small>
            </label>`,
        )}
      </fieldset>
      <p class="takes">
        <button type="button" ?disabled=${!rows.some(isLeft)} @click=${() => this.#takeLikeliest(rows)}>
          ${t('next-likeliest')}
        </button>
        <button type="button" ?disabled=${!rows.some(isLeft)} @click=${() => this.#draw(rows)}>
          ${t('next-draw')}
        </button>
        ${
          this.#branches.root.children.length > 0
            ? html`<button type="button" @click=${this.#startOver}>${t('next-forget')}</button>`
            : nothing
        }
      </p>
      <ol class="bars" aria-label=${t('next-tokens')}>
        ${rows.map(this.#row)}
      </ol>
    `;
  }

  readonly #row = (row: Row): TemplateResult => {
    const after = row.cutBy === null ? percent(row.after) : t('next-cut', { stage: stageName(row.cutBy) });
    const before = row.listed ? percent(row.probability) : t('next-less');
    return html`<li class=${row.cutBy === null ? '' : 'cut'}>
      <button type="button" aria-label=${t('next-go-on', { token: quoted(row) })} @click=${() => this.#take(row)}>
        <bdi>${visible(row)}</bdi>
      </button>
      <span class="bar" aria-hidden="true">
        <i class="was" ${strength(row.probability)}></i>
        <i class="now" ${strength(row.after)}></i>
      </span>
      <span class="figures">${t('next-figures', { before, after })}</span>
    </li>`;
  };

  /** `model` stays where it is; the others are followed by the last. */
  #choose(stage: string, stages: readonly SamplerStage[]): void {
    this.#stage = stage === stages.at(-1)?.stage ? null : stage;
    this.requestUpdate();
  }

  #onInput(event: Event): void {
    const { name, value } = event.target as HTMLInputElement;
    if (name === 'kind') this.#kind = value as 'none' | 'choices' | 'regex';
    else if (name === 'constraint') this.#constraint = value;
    else this.#values.set(name, value);
    this.requestUpdate();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), PAUSE_MS);
  }

  #takeLikeliest(rows: readonly Row[]): void {
    const best = rows.filter(isLeft).sort((a, b) => b.after - a.after)[0];
    if (best) this.#take(best);
  }

  /** As the sampler does, among the tokens that are shown. */
  #draw(rows: readonly Row[]): void {
    const left = rows.filter(isLeft);
    let rest = Math.random() * left.reduce((sum, { after }) => sum + after, 0);
    const drawn = left.find(({ after }) => (rest -= after) <= 0) ?? left.at(-1);
    if (drawn) this.#take(drawn);
  }

  #take(row: Row): void {
    this.#branches.take({ ...row, probability: row.after });
    announce(t('next-taken', { token: quoted(row) }));
    void this.refresh();
  }

  async #go(branch: Branch): Promise<void> {
    this.#branches.at = branch;
    void this.refresh();
    await this.updateComplete;
    this.find('.branches [aria-current]').focus();
  }

  #startOver(): void {
    this.#branches = new Branches();
    void this.#go(this.#branches.root);
  }

  protected override reset(): void {
    super.reset();
    this.#branches = new Branches();
  }
}

const isLeft = ({ after }: Row) => after > 0;

customElements.define('next-panel', NextPanel);
