/** The box to write in: Enter sends, Shift+Enter breaks the line, Escape stops the answer. */
import { byId, focusText } from './dom';

export interface ComposerActions {
  send(text: string): void;
  stop(): void;
}

export class Composer {
  readonly #prompt = byId('prompt', HTMLTextAreaElement);
  readonly #send = byId('send', HTMLButtonElement);
  readonly #stop = byId('stop', HTMLButtonElement);
  readonly #actions: ComposerActions;
  /** A model is loaded. */
  #ready = false;
  /** An answer is being written. */
  #busy = false;

  constructor(actions: ComposerActions) {
    this.#actions = actions;
    this.#prompt.addEventListener('input', () => this.#update());
    this.#prompt.addEventListener('keydown', (event) => {
      // While an input method composes, Enter chooses a character. Safari says so only by the key code.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.submit();
    });
    byId('composer', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    this.#stop.addEventListener('click', () => this.#actions.stop());
    document.addEventListener('keydown', (event) => {
      const inDialog = document.querySelector('dialog[open]') !== null;
      if (event.key === 'Escape' && this.#busy && !event.isComposing && !inDialog) this.#actions.stop();
    });
  }

  setReady(ready: boolean): void {
    this.#ready = ready;
    this.#update();
  }

  /** While an answer is written, Stop stands where Send was, and takes over its focus. */
  setBusy(busy: boolean): void {
    const [from, to] = busy ? [this.#send, this.#stop] : [this.#stop, this.#send];
    const hadFocus = document.activeElement === from;
    this.#busy = busy;
    this.#update();
    if (!hadFocus) return;
    if (busy) to.focus();
    else focusText(this.#prompt);
  }

  focus(): void {
    focusText(this.#prompt);
  }

  submit(): void {
    const text = this.#prompt.value.trim();
    if (text === '' || !this.#ready || this.#busy) return;
    this.#set('');
    this.#actions.send(text);
  }

  /** Gives a question back that got no answer, before whatever was written since. */
  giveBack(text: string): void {
    this.#set([text, this.#prompt.value].filter(Boolean).join('\n\n'));
  }

  #set(text: string): void {
    this.#prompt.value = text;
    this.#update();
  }

  #update(): void {
    this.#send.hidden = this.#busy;
    this.#stop.hidden = !this.#busy;
    this.#send.disabled = !this.#ready || this.#prompt.value.trim() === '';
    // As high as its text; CSS sets the limit.
    this.#prompt.style.height = 'auto';
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}
