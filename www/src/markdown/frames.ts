/**
 * Work that may take long in all: a little of it in each frame, so that the page answers meanwhile.
 */

const A_FRAME_MS = 6;

const waiting: (() => void)[] = [];
let frame = 0;

export function inFrames(...tasks: (() => void)[]): void {
  waiting.push(...tasks);
  frame ||= requestAnimationFrame(work);
}

function work(): void {
  const end = performance.now() + A_FRAME_MS;
  let done = 0;
  while (done < waiting.length && performance.now() < end) waiting[done++]!();
  waiting.splice(0, done);
  frame = waiting.length > 0 ? requestAnimationFrame(work) : 0;
}
