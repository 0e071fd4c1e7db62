/** Keeps the end of the conversation visible, unless the reader has scrolled away. */

import { byId } from './dom.js';

const NEAR_PX = 48;

const scroller = byId('main', HTMLElement);
const toEnd = byId('to-end', HTMLButtonElement);
let following = true;

export function followEnd(): void {
  scroller.scrollTop = scroller.scrollHeight;
  measure();
}

export function startScroll(): void {
  scroller.addEventListener('scroll', measure);
  const resized = new ResizeObserver(() => {
    if (following && inChat()) followEnd();
    else measure();
  });
  resized.observe(byId('turns', HTMLElement));
  resized.observe(scroller);
  toEnd.addEventListener('click', followEnd);
}

function measure(): void {
  if (!inChat()) return; // the other views scroll themselves
  following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  toEnd.hidden = following;
}

const inChat = () => document.body.dataset['view'] === 'chat';
