/**
 * Shortcuts: single keys, pressed while nothing is typed. Each presses a button of the page, if it
 * can be seen or is in a menu. Keys with modifiers are the browser's.
 */

const turn = 'chat-turn:last-child .turn';

/** Their labels are the messages `shortcut-` with their names. */
export const shortcuts: readonly { key: string; name: string; button: string }[] = [
  { key: 'n', name: 'new-chat', button: '#new-chat' },
  { key: 'p', name: 'prompt', button: '#prompt, #compare-prompt' },
  { key: 'e', name: 'edit', button: `${turn} .edit` },
  { key: 'r', name: 'regenerate', button: `${turn} .regenerate` },
  { key: 'y', name: 'copy', button: `${turn} .copy` },
  { key: ',', name: 'previous', button: '.versions button:first-child' },
  { key: '.', name: 'next', button: '.versions button:last-child' },
  { key: 'c', name: 'chats', button: '#open-chats' },
  { key: 's', name: 'settings', button: '#open-settings' },
  { key: 'm', name: 'model', button: '#change-model' },
  { key: 'v', name: 'compare', button: '#open-compare' },
];

/** Opens the sheet of shortcuts. */
export const HELP = '?';

const STORE = 'weft-shortcuts';

/**
 * Speech recognition types letters, so that people who speak to the page must be able to turn them
 * off: https://www.w3.org/WAI/WCAG22/Understanding/character-key-shortcuts
 */
let areOn = true;
try {
  areOn = localStorage.getItem(STORE) !== 'off';
} catch {
  // Storage is forbidden: they are on.
}

export const shortcutsAreOn = () => areOn;

export function turnShortcuts(on: boolean): void {
  areOn = on;
  try {
    localStorage.setItem(STORE, on ? 'on' : 'off');
  } catch {
    // It lasts until the page is closed.
  }
}

export async function openShortcuts(): Promise<void> {
  const { open } = await import('./shortcuts-sheet.js');
  await open();
}

export function listenForShortcuts(): void {
  document.addEventListener('keydown', (event) => {
    if (!areOn || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTypedInto(event.target)) return;
    if (document.querySelector('dialog[open], :popover-open')) return;
    if (event.key === HELP) return void openShortcuts();
    const found = shortcuts.find(({ key }) => key === event.key);
    const button = found && [...document.querySelectorAll<HTMLElement>(found.button)].findLast(isThere);
    if (!button) return;
    event.preventDefault();
    if (button.matches('textarea')) button.focus();
    else button.click();
  });
}

/** Seen, or in a menu that is closed. */
const isThere = (button: HTMLElement) =>
  button.checkVisibility() ||
  (!button.hidden && button.closest('[popover]')?.parentElement?.checkVisibility() === true);

/** A list and a slider use keys too. */
function isTypedInto(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches('input, textarea, select, [contenteditable]');
}
