/** Keeps the end of a growing conversation in sight, until the reader scrolls up to read. */
import { byId } from './dom';

export class Follow {
  readonly #box = byId('main', HTMLElement);
  readonly #toEnd = byId('to-end', HTMLButtonElement);
  #following = true;
  #lastTop = 0;

  constructor() {
    this.#box.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener('click', () => this.jump());
    // A phone's keyboard and a growing prompt take height from below.
    new ResizeObserver(() => this.grown()).observe(this.#box);
  }

  /** The conversation grew: follow it, or offer to. */
  grown(): void {
    if (this.#following) this.#box.scrollTop = this.#box.scrollHeight;
    else this.#toEnd.hidden = this.#atEnd();
  }

  /** Goes to the end and follows from there. */
  jump(): void {
    this.#following = true;
    this.#toEnd.hidden = true;
    this.grown();
  }

  #scrolled(): void {
    const top = this.#box.scrollTop;
    // Only a move upwards stops following; growth alone leaves the position where it was.
    this.#following = this.#atEnd() || (this.#following && top >= this.#lastTop);
    this.#toEnd.hidden = this.#following;
    this.#lastTop = top;
  }

  #atEnd(): boolean {
    return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < 8;
  }
}
