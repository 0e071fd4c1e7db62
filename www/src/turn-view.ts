/** One question and its answer, as drawn. */
import type { Finish } from 'weft-llm';
import { fromTemplate, oncePerFrame, within } from './dom';
import { MarkdownView } from './markdown';
import { duration } from './units';

export interface TurnActions {
  regenerate(): void;
  /** The conversation grew on the page. */
  grown(): void;
}

export class TurnView {
  readonly element = fromTemplate('turn-template');
  readonly #answer = within(this.element, '.answer', HTMLElement);
  readonly #stats = within(this.element, '.stats', HTMLElement);
  readonly #markdown = new MarkdownView(this.#answer);
  readonly #frame: ReturnType<typeof oncePerFrame>;
  #text = '';

  constructor(question: string, actions: TurnActions) {
    within(this.element, '.question', HTMLElement).textContent = question;
    within(this.element, '.regenerate', HTMLElement).addEventListener('click', () => actions.regenerate());
    this.element.addEventListener('click', (event) => {
      const button = event.target instanceof Element ? event.target.closest('button') : null;
      if (button?.classList.contains('copy')) void copy(button, this.#text);
      if (button?.classList.contains('copy-code')) {
        void copy(button, button.parentElement?.querySelector('pre')?.textContent ?? '');
      }
    });
    this.#frame = oncePerFrame(() => {
      this.#markdown.show(this.#text);
      actions.grown();
    });
  }

  /** The answer so far, and more will come. */
  stream(text: string): void {
    this.#text = text;
    this.element.classList.add('streaming');
    this.#answer.setAttribute('aria-busy', 'true');
    this.#frame.request();
  }

  /** The answer is complete; `note` says how it ended and what it cost. */
  finish(text: string, note: string): void {
    this.#frame.cancel();
    this.#text = text;
    this.#markdown.show(text);
    this.#stats.textContent = note;
    this.element.classList.remove('streaming');
    this.#answer.removeAttribute('aria-busy');
  }
}

/** What an answer cost and why it ended. `contextLength`: tokens that fit. */
export function describeFinish(
  { reason, usage }: Finish,
  contextLength: number,
  maxTokens: number | undefined,
): string {
  const used = usage.promptTokens + usage.completionTokens;
  const words = [
    `${usage.tokensPerSecond.toFixed(1)} tokens/s`,
    `first token after ${duration(usage.timeToFirstTokenMs)}`,
    `${usage.promptTokens} in${usage.cachedTokens > 0 ? ` (${usage.cachedTokens} cached)` : ''}, ${usage.completionTokens} out`,
    `${used} of ${contextLength} in context`,
  ];
  if (reason === 'abort') words.unshift('Stopped');
  if (reason === 'length') {
    const byLimit = maxTokens !== undefined && usage.completionTokens >= maxTokens;
    words.unshift(byLimit ? `Ended at the limit of ${maxTokens} tokens` : 'Ended because the context is full');
  }
  return words.join(' · ');
}

async function copy(button: HTMLButtonElement, text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Copying is blocked';
  }
  setTimeout(() => (button.textContent = 'Copy'), 2000);
}
