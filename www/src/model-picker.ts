/** The ways to say which model: the default one, an address, and files chosen or dropped. */

import type { ModelSource } from 'weft-llm';
import { byId } from './dom.js';

/** Served by `npm start` and by Vite's preview; relative, so that the page works in any folder. */
export const DEFAULT_MODEL = new URL('models/SmolLM2-135M-Instruct.Q4_1.gguf', document.baseURI).href;

export function startPicker(onModel: (model: ModelSource) => void): void {
  const urlForm = byId('url-form', HTMLFormElement);
  const url = byId('model-url', HTMLInputElement);
  const input = byId('model-file', HTMLInputElement);

  byId('load-default', HTMLElement).addEventListener('click', () => onModel(DEFAULT_MODEL));
  urlForm.addEventListener('submit', (event) => {
    event.preventDefault();
    onModel(url.value);
  });
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    input.value = ''; // choosing the same file again is a change too
    if (files.length > 0) onModel(inOrder(files));
  });
  acceptDrops(onModel);
}

/** `model-00002-of-00003.gguf`: the names of a split model's parts sort by their numbers. */
function inOrder(files: File[]): File[] {
  return files.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function acceptDrops(onModel: (model: ModelSource) => void): void {
  const overlay = byId('drop', HTMLElement);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  // Without these two the browser would leave the page to show the file.
  document.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  document.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    overlay.hidden = true;
    const files = [...(event.dataTransfer?.files ?? [])];
    const folder = folderIn(event.dataTransfer);
    if (folder) void folder.then(onModel);
    else if (files.length > 0) onModel(inOrder(files));
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) overlay.hidden = true;
  });
}

/** The one folder that was dropped; undefined where it is something else. To be called while the event lasts. */
function folderIn(dropped: DataTransfer | null): Promise<ModelSource> | undefined {
  const [item, ...others] = dropped?.items ?? [];
  const entry = item?.webkitGetAsEntry();
  if (!item || others.length > 0 || !entry?.isDirectory) return undefined;
  // A handle knows the folders within, which not every browser gives.
  const { getAsFileSystemHandle } = item as { getAsFileSystemHandle?: () => Promise<FileSystemHandle> };
  if (getAsFileSystemHandle) return getAsFileSystemHandle.call(item) as Promise<FileSystemDirectoryHandle>;
  return filesIn(entry as FileSystemDirectoryEntry);
}

/** The files of a folder, without those of the folders within. */
async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // A part of them each time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return inOrder(files);
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(await new Promise<File>((...settle) => (entry as FileSystemFileEntry).file(...settle)));
    }
  }
}
