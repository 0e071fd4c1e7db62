/** A short message that goes by itself, with at most one thing to do about it. */
import { byId } from './dom';

const shownForMs = 8000;

export class Notice {
  readonly #box = byId('notice', HTMLElement);
  #timer: ReturnType<typeof setTimeout> | undefined;

  show(text: string, label: string, act: () => void): void {
    clearTimeout(this.#timer);
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.addEventListener('click', () => {
      act();
      this.hide();
    });
    const words = document.createElement('span');
    words.textContent = text;
    this.#box.replaceChildren(words, button);
    // Never taken away from under a finger or the focus.
    const hide = () => {
      if (this.#box.matches(':hover, :focus-within')) this.#timer = setTimeout(hide, shownForMs);
      else this.hide();
    };
    this.#timer = setTimeout(hide, shownForMs);
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#box.replaceChildren();
  }
}
