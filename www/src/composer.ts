/** The input field: Enter sends, Shift+Enter starts a new line, Escape stops. */

import { byId } from './dom.js';

const form = byId('composer', HTMLFormElement);
const prompt = byId('prompt', HTMLTextAreaElement);
const send = byId('send', HTMLButtonElement);
const stop = byId('stop', HTMLButtonElement);

let busy = false;

/** `onSend` returns whether the text was accepted; otherwise it stays. */
export function startComposer(events: { onSend: (text: string) => boolean; onStop: () => void }): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (busy || text === '' || !events.onSend(text)) return;
    setPrompt('');
  });
  prompt.addEventListener('keydown', (event) => {
    // An Enter that ends the composition of a character belongs to the input method. Safari signals
    // that only by key code 229.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  });
  prompt.addEventListener('input', update);
  stop.addEventListener('click', () => {
    events.onStop();
    prompt.focus();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && busy && !event.isComposing && !document.querySelector('dialog[open]'))
      events.onStop();
  });
  update();
}

/** While an answer streams, the Send button is a Stop button. The user's draft stays. */
export function setBusy(value: boolean): void {
  const hadFocus = document.activeElement === send || document.activeElement === stop;
  busy = value;
  send.hidden = busy;
  stop.hidden = !busy;
  if (hadFocus) prompt.focus();
}

export function setPrompt(text: string): void {
  prompt.value = text;
  update();
}

export function promptIsEmpty(): boolean {
  return prompt.value === '';
}

export function focusPrompt(): void {
  prompt.focus();
}

function update(): void {
  send.disabled = prompt.value.trim() === '';
  // The height follows the text; CSS limits it.
  prompt.style.height = 'auto';
  prompt.style.height = `${prompt.scrollHeight + prompt.offsetHeight - prompt.clientHeight}px`;
}
