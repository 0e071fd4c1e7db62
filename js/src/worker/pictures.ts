/** Pictures of a prompt: the browser decodes them, and the engine takes their pixels. */

import { invalidOption, messageOf, WeftError } from '../common/errors.js';
import type { PictureSource, PlainMessage } from '../common/protocol.js';
import type { RuntimeLlm, RuntimePixels, RuntimePlaced } from './runtime.js';

/** Lines that are copied at a time: the memory of the wasm module never shrinks. */
const LINES = 64;

/** A message as a chat template reads it. */
export function templateMessage({ parts, ...message }: PlainMessage): object {
  if (!parts) return message;
  const content = parts.map((part) => (typeof part === 'string' ? { type: 'text', text: part } : { type: 'image' }));
  return { ...message, content };
}

/** The pictures of a prompt, which outlive the model that they are shown to. */
export class Pictures {
  readonly #sources: readonly PictureSource[];
  #bitmaps: readonly (ImageBitmap | ImageData)[] | undefined;
  #decoding: Promise<void> | undefined;
  #shown: { readonly llm: RuntimeLlm; readonly handles: number[] } | undefined;

  constructor(sources: readonly PictureSource[]) {
    this.#sources = sources;
  }

  /** Decodes them; undefined if they are. */
  decode(): Promise<void> | undefined {
    if (this.#bitmaps || this.#sources.length === 0) return undefined;
    return (this.#decoding ??= Promise.all(this.#sources.map(decoded)).then((bitmaps) => {
      this.#bitmaps = bitmaps;
    }));
  }

  /**
   * Lets the model see one more tile, so that other calls have their turns between two. Returns
   * whether it has seen all of them. A picture that comes twice is seen once.
   */
  async see(llm: RuntimeLlm): Promise<boolean> {
    if (this.#shown?.llm !== llm) this.#shown = { llm, handles: [] };
    const { handles } = this.#shown;
    const last = handles.at(-1);
    if (last !== undefined && !(await llm.look_on(last))) return false;
    const next = this.#bitmaps?.[handles.length];
    if (!next) return true;
    handles.push(llm.look(pixelsOf(llm, next)));
    return false;
  }

  /** Puts them in the places of the image tokens of a prompt; undefined without pictures. */
  place(llm: RuntimeLlm, ids: Uint32Array): RuntimePlaced | undefined {
    if (this.#shown?.llm !== llm || this.#shown.handles.length === 0) return undefined;
    const { handles } = this.#shown;
    this.#shown = undefined;
    return llm.place(ids, Uint32Array.from(handles));
  }

  /** The model forgets what it was seeing. */
  stop(): void {
    const { llm, handles } = this.#shown ?? {};
    this.#shown = undefined;
    try {
      for (const handle of handles ?? []) llm?.stop_looking(handle);
    } catch {
      // a model that was lost has nothing to forget
    }
  }

  free(): void {
    this.stop();
    for (const bitmap of this.#bitmaps ?? []) if ('close' in bitmap) bitmap.close();
    this.#bitmaps = undefined;
  }
}

async function decoded(source: PictureSource, index: number): Promise<ImageBitmap | ImageData> {
  if (source.type === 'pixels') return source.pixels;
  const blob = source.type === 'blob' ? source.blob : await fetched(source.url);
  try {
    // pixels as the file has them, upright
    return await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
  } catch (cause) {
    const got = `${blob.size} bytes of ${blob.type || 'an unknown type'}: ${messageOf(cause)}`;
    throw invalidOption('image', 'a picture in a format that this browser decodes', `picture ${index + 1}, ${got}`);
  }
}

async function fetched(url: string): Promise<Blob> {
  const what = `the picture ${url} could not be read`;
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    const remedy = 'Its server must allow it (CORS), and so must the content security policy (`connect-src`).';
    throw new WeftError('NETWORK', `${what}: ${messageOf(cause)}. ${remedy}`, { cause });
  }
  if (response.ok) return response.blob();
  const status = `${response.status} ${response.statusText}`.trimEnd();
  throw new WeftError('NETWORK', `${what}: the server answered ${status}`);
}

function pixelsOf(llm: RuntimeLlm, bitmap: ImageBitmap | ImageData): RuntimePixels {
  const { width, height } = bitmap;
  const pixels = llm.pixels(width, height);
  const strip = new OffscreenCanvas(width, LINES).getContext('2d', { willReadFrequently: true });
  for (let top = 0; top < height; top += LINES) {
    const lines = Math.min(LINES, height - top);
    if ('data' in bitmap) {
      pixels.push(new Uint8Array(bitmap.data.buffer, bitmap.data.byteOffset + 4 * width * top, 4 * width * lines));
      continue;
    }
    if (!strip) throw new WeftError('NOT_SUPPORTED', 'this browser has no canvas in workers, which pictures need');
    strip.clearRect(0, 0, width, LINES);
    strip.drawImage(bitmap, 0, top, width, lines, 0, 0, width, lines);
    pixels.push(new Uint8Array(strip.getImageData(0, 0, width, lines).data.buffer));
  }
  return pixels;
}
