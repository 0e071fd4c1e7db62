/** Files and folders that are dropped on the page. */

import type { ModelSource } from 'weft-llm';
import { isPicture } from './pictures.js';

/** Sorts the parts of a split model by their numbers, as in `model-00002-of-00003.gguf`. */
export function inOrder(files: File[]): File[] {
  return files.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

interface Drops {
  onModel(model: ModelSource): void;
  onPictures(files: readonly File[]): void;
  /** Whether something is held over the page. */
  onHover(over: boolean): void;
}

export function acceptDrops({ onModel, onPictures, onHover }: Drops): void {
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  // Without these two listeners the browser would navigate to the file.
  document.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    onHover(true);
  });
  document.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    onHover(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    const folder = folderIn(event.dataTransfer);
    if (folder) void folder.then(onModel);
    else if (files.length > 0 && files.every(isPicture)) onPictures(files);
    else if (files.length > 0) onModel(inOrder(files));
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) onHover(false);
  });
}

/**
 * The dropped folder; undefined unless exactly one folder was dropped. Must be called during the
 * event.
 */
function folderIn(dropped: DataTransfer | null): Promise<ModelSource> | undefined {
  const [item, ...others] = dropped?.items ?? [];
  const entry = item?.webkitGetAsEntry();
  if (!item || others.length > 0 || !entry?.isDirectory) return undefined;
  // A handle can read subfolders, but not every browser provides it.
  const { getAsFileSystemHandle } = item as { getAsFileSystemHandle?: () => Promise<FileSystemHandle> };
  if (getAsFileSystemHandle) return getAsFileSystemHandle.call(item) as Promise<FileSystemDirectoryHandle>;
  return filesIn(entry as FileSystemDirectoryEntry);
}

/** The files of a folder, without subfolders. */
async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // Each call returns some of the entries, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return inOrder(files);
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(await new Promise<File>((...settle) => (entry as FileSystemFileEntry).file(...settle)));
    }
  }
}
