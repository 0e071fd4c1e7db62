/** Formulas. KaTeX is fetched when the first one comes; until then, the TeX is shown. */

import { inFrames } from './frames.js';

type Katex = (typeof import('./katex.js'))['katex'];

let loading: Promise<Katex> | undefined;

/** Errors of KaTeX leave the TeX as it is. */
export function showFormula(element: HTMLElement, tex: string, displayMode: boolean): void {
  loading ??= import('./katex.js').then(({ katex }) => katex);
  void loading.then(
    (katex) => inFrames(() => set(katex)),
    () => (loading = undefined), // without a network and cache; the next formula tries again
  );

  function set(katex: Katex): void {
    const made = document.createElement('span');
    // Formulas are untrusted too: no links, no endless macros, no huge sizes.
    const limits = { trust: false, maxExpand: 500, maxSize: 20, strict: false } as const;
    try {
      katex.render(tex, made, { displayMode, throwOnError: true, output: 'htmlAndMathml', ...limits });
    } catch {
      return;
    }
    element.replaceChildren(...made.childNodes);
  }
}
