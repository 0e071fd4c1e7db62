/** Writes a stream to a file of the user. */

/** Of Chromium: a file that the user has chosen, written as the bytes come. */
interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
}

/**
 * Asks where to, and returns whether the user chose a place. Where the browser cannot write as
 * bytes come, they are collected first and then downloaded.
 */
export async function save(
  name: string,
  open: () => Promise<ReadableStream<Uint8Array>>,
  onBytes: (written: number) => void,
): Promise<boolean> {
  const { showSaveFilePicker } = globalThis as Picker;
  // Before anything is awaited: the browser shows it only as an answer to a click.
  const file = await showSaveFilePicker?.({ suggestedName: name }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    throw error;
  });
  if (file === null) return false;
  let written = 0;
  const counted = (await open()).pipeThrough(
    new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>({
      transform(bytes, controller) {
        written += bytes.length;
        onBytes(written);
        controller.enqueue(bytes as Uint8Array<ArrayBuffer>);
      },
    }),
  );
  if (file) await counted.pipeTo(await file.createWritable());
  else download(name, await new Response(counted).blob());
  return true;
}

function download(name: string, content: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has taken the address over by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
