/** Short messages to screen readers, after their current speech. */

/** Long enough to be noticed; then the message leaves the page, so that nobody finds it there. */
const SHOWN_MS = 2000;

let clearing: ReturnType<typeof setTimeout> | undefined;

export function announce(text: string): void {
  const announcer = document.getElementById('announcer');
  if (!announcer) return;
  clearTimeout(clearing);
  announcer.textContent = text;
  clearing = setTimeout(() => (announcer.textContent = ''), SHOWN_MS);
}
