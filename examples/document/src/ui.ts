// The page around the model: a form, a Stop button, a bar for the download and a line of status.

import type { Progress } from 'weft-llm';

export const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;

const form = find<HTMLFormElement>('form');
const stop = find<HTMLButtonElement>('#stop');
const status = find('#status');
const loading = find('#loading');
const loaded = find('#loaded');
const answer = find('[aria-live]');
const bar = find<HTMLProgressElement>('progress');

export function say(words: string, isError = false) {
  loading.hidden = true;
  status.textContent = words;
  status.classList.toggle('error', isError);
}

/** Moves the bar, from 0 to 1. */
export function progress(done: number, words: string) {
  loading.hidden = false;
  loaded.textContent = words;
  bar.value = done;
}

export function onProgress({ loaded, total }: Progress) {
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  progress(total ? loaded / total : 0, `${megabytes(loaded)} of ${total ? megabytes(total) : '?'} MB`);
}

/** Calls `work` when the form is submitted. Stop aborts the signal; errors are shown. */
export function onSubmit(work: (fields: FormData, signal: AbortSignal) => Promise<void>) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!stop.hidden) return; // still at work
    const controller = new AbortController();
    const { signal } = controller;
    stop.onclick = () => controller.abort();
    stop.hidden = false;
    answer.ariaBusy = 'true'; // a screen reader waits for the whole answer
    say('Loading the model…');
    try {
      await work(new FormData(form), signal);
      say(signal.aborted ? 'Stopped.' : 'Done.');
    } catch (error) {
      if (signal.aborted) say('Stopped.');
      else say(error instanceof Error ? error.message : String(error), true);
    } finally {
      // A button that goes away must not take the keyboard's focus with it.
      if (document.activeElement === stop) find<HTMLElement>('form button').focus();
      stop.hidden = true;
      answer.ariaBusy = 'false';
    }
  });
}
