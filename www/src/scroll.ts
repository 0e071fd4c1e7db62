/** Keeps the end of the conversation in sight, unless the reader has scrolled away from it. */

import { byId } from './dom.js';

const NEAR_PX = 48;

const scroller = byId('main', HTMLElement);
const toEnd = byId('to-end', HTMLButtonElement);
let following = true;

export function followEnd(): void {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
}

export function startScroll(): void {
  scroller.addEventListener('scroll', () => {
    following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
    toEnd.hidden = following || document.body.dataset['view'] !== 'chat';
  });
  const resized = new ResizeObserver(() => {
    if (following && document.body.dataset['view'] === 'chat') followEnd();
  });
  resized.observe(byId('turns', HTMLElement));
  resized.observe(scroller);
  toEnd.addEventListener('click', followEnd);
}
