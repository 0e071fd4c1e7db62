import { copy } from '../chat-turn.js';

/** A click on the button of a block of code. */
export function copyCode(event: Event): void {
  const button = event.target instanceof Element ? event.target.closest('.code-head button') : null;
  const code = button?.closest('.code')?.querySelector('pre');
  if (button && code) void copy(code.textContent ?? '', button as HTMLButtonElement);
}
