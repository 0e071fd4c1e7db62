/**
 * Keeps the end of the conversation in sight. It follows from the moment a question is sent until
 * the reader scrolls up, and again when the reader comes back to the end.
 */
export class Follower {
  #following = true;
  /** Position after the last scroll, by this or by the reader. */
  #top = 0;
  readonly #resized: ResizeObserver;

  constructor(
    readonly scroller: HTMLElement,
    content: Element,
    /** Whether the scroller shows the conversation now. */
    readonly isShown: () => boolean,
    /** Called when the end goes out of sight or comes back. */
    readonly onChange: (atEnd: boolean) => void,
  ) {
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#resized = new ResizeObserver(() => {
      if (!isShown()) return;
      if (this.#following) this.#toEnd();
      else this.#report();
    });
    this.#resized.observe(scroller);
    this.#resized.observe(content);
  }

  follow(): void {
    this.#following = true;
    this.#toEnd();
  }

  /** Stays where the reader is, whatever becomes of the end. */
  stay(): void {
    this.#following = false;
  }

  #toEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#top = this.scroller.scrollTop;
    this.#report();
  }

  /**
   * Content that grows or shrinks moves the end; only a reader moves up while the end stays below.
   */
  #scrolled(): void {
    if (!this.isShown()) return;
    const { scrollTop } = this.scroller;
    if (this.#isAtEnd()) this.#following = true;
    else if (scrollTop < this.#top - 1) this.#following = false;
    this.#top = scrollTop;
    this.#report();
  }

  /** With zoom, positions are fractions of a pixel. */
  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < 2;
  }

  #report(): void {
    this.onChange(this.#following || this.#isAtEnd());
  }
}
