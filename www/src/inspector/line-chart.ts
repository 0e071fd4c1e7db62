/** A chart of lines by uPlot, which is fetched with the first one. A table says the same. */

import { html, type PropertyDeclarations, type PropertyValues, type TemplateResult } from 'lit';
import type uPlot from 'uplot';
import { Component } from '../component.js';
import { number, t } from '../text/text.js';

export interface Series {
  readonly label: string;
  readonly values: readonly number[];
}

const HEIGHT = 220;
const THREE_DIGITS = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
/** So that colour is not all that tells the lines apart. */
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 5]];

export class LineChart extends Component {
  static override properties: PropertyDeclarations = {
    series: { attribute: false },
    label: {},
    across: {},
  };
  declare series: readonly Series[];
  declare label: string;
  /** What the values are counted by: `layer`. */
  declare across: string;
  #chart: uPlot | null = null;
  #scheme = matchMedia('(prefers-color-scheme: dark)');
  #sizes = new ResizeObserver(([entry]) => this.#fit(entry?.contentRect.width ?? 0));
  readonly #draw = () => void this.#show();

  protected override render(): TemplateResult {
    const rows = Math.max(0, ...this.series.map(({ values }) => values.length));
    return html`<figure class="chart">
      <figcaption>${this.label}</figcaption>
      <ul class="legend">
        ${this.series.map(
          ({ label }, at) =>
            html`<li>
              <svg class="swatch line-${at % 6}" width="34" height="8" aria-hidden="true">
                <line
                  x1="1"
                  x2="33"
                  y1="4"
                  y2="4"
                  stroke-dasharray=${DASHES[at % DASHES.length]!.join(' ') || 'none'}
                ></line>
              </svg>
              ${label}
            </li>`,
        )}
      </ul>
      <div class="plot" aria-hidden="true"></div>
      <details>
        <summary>${t('chart-table')}</summary>
        <div class="scroll" tabindex="0" role="group" aria-label=${t('chart-table.label', { chart: this.label })}>
          <table>
            <thead>
              <tr>
                <th scope="col">${this.across}</th>
                ${this.series.map(({ label }) => html`<th scope="col">${label}</th>`)}
              </tr>
            </thead>
            <tbody>
              ${Array.from(
                { length: rows },
                (_, row) =>
                  html`<tr>
                    <th scope="row">${row}</th>
                    ${this.series.map(({ values }) => html`<td>${number(values[row] ?? 0, THREE_DIGITS)}</td>`)}
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>
      </details>
    </figure>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('series')) void this.#show();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#scheme.addEventListener('change', this.#draw);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#scheme.removeEventListener('change', this.#draw);
    this.#sizes.disconnect();
    this.#chart?.destroy();
    this.#chart = null;
  }

  async #show(): Promise<void> {
    const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
    if (!this.isConnected) return;
    const plot = this.find('.plot');
    this.#chart?.destroy();
    const ink = getComputedStyle(this.find('figcaption')).color;
    const grid = getComputedStyle(plot).borderTopColor;
    const strokes = [...this.querySelectorAll('.swatch')].map((swatch) => getComputedStyle(swatch).color);
    const axis: uPlot.Axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const lines = this.series.map(({ label }, at) => ({
      label,
      stroke: strokes[at] ?? ink,
      width: 2,
      dash: DASHES[at % DASHES.length]!,
      points: { show: false },
    }));
    const options: uPlot.Options = {
      width: plot.clientWidth,
      height: HEIGHT,
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, most * 1.05 || 1] } },
      axes: [axis, { ...axis, size: 60 }],
      cursor: { show: false },
      legend: { show: false },
      series: [{}, ...lines],
    };
    const rows = Math.max(0, ...this.series.map(({ values }) => values.length));
    const data = [Array.from({ length: rows }, (_, row) => row), ...this.series.map(({ values }) => [...values])];
    this.#chart = new Plot(options, data as uPlot.AlignedData, plot);
    this.#sizes.observe(plot);
  }

  #fit(width: number): void {
    if (width > 0 && this.#chart && width !== this.#chart.width) this.#chart.setSize({ width, height: HEIGHT });
  }
}

customElements.define('line-chart', LineChart);
