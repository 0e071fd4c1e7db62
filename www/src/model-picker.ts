/** The ways to name a model: the default one, an address, files chosen or dropped. */
import type { ModelSource } from 'weft-llm';
import { byId } from './dom';

/** The model that the project ships with; `models/` lies beside the page. */
export const defaultModel = new URL('models/SmolLM2-135M-Instruct.Q4_1.gguf', document.baseURI);

/** Calls `choose` for every model that the user picks. */
export function setUpModelPicker(choose: (model: ModelSource) => void): void {
  byId('load-default', HTMLButtonElement).addEventListener('click', () => choose(defaultModel));

  const url = byId('model-url', HTMLInputElement);
  byId('url-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    choose(new URL(url.value));
  });

  const files = byId('model-file', HTMLInputElement);
  files.addEventListener('change', () => {
    const chosen = [...(files.files ?? [])];
    // Emptied, so that choosing the same file again is a change too.
    files.value = '';
    chooseFiles(chosen, choose);
  });

  setUpDropping(choose);
}

function setUpDropping(choose: (model: ModelSource) => void): void {
  const veil = byId('drop', HTMLElement);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true;
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener('dragleave', (event) => {
    // Null where the pointer left the window, and not only one element for the next.
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener('drop', (event) => {
    veil.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    chooseFiles([...(event.dataTransfer?.files ?? [])], choose);
  });
}

/** Parts are named so that their order is the order of their names: `…-00001-of-00003.gguf`. */
function chooseFiles(files: File[], choose: (model: ModelSource) => void): void {
  const [first, ...rest] = files.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  if (first) choose(rest.length === 0 ? first : [first, ...rest]);
}
