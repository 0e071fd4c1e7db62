/** “View source”: the function of calls.ts that feeds a panel, as it stands in that file. */

import { html, type TemplateResult } from 'lit';
import type * as calls from './calls.js';
import source from './calls.ts?raw';
import { t } from '../text/text.js';

export type Call = keyof typeof calls;

const sourceOf = (call: Call) =>
  new RegExp(`export (async function ${call}\\b[\\s\\S]*?\\n})`).exec(source)?.[1] ?? source;

export function viewSource(call: Call): TemplateResult {
  return html`<details class="source">
    <summary>${t('view-source')}</summary>
    <pre tabindex="0" dir="ltr" aria-label=${t('source-of-panel')}><code>${sourceOf(call)}</code></pre>
  </details>`;
}
