/** Checks pictures in messages. */

import { invalidOption } from '../common/errors.js';
import type { PictureSource } from '../common/protocol.js';
import type { ImagePart, ImageUrlPart } from '../types/index.js';

const EXPECTED =
  'a Blob, the bytes of a file, ImageData, or what a page shows: an ImageBitmap, image, canvas, video or VideoFrame';

/** Whether a part of a message is a picture. */
export function isPicture(part: unknown): part is ImagePart | ImageUrlPart {
  const { type } = (part ?? {}) as { type?: unknown };
  return type === 'image' || type === 'image_url';
}

/** Returns what crosses to the worker: a copy of what the page shows now. */
export function checkPicture(at: string, part: ImagePart | ImageUrlPart): PictureSource {
  if (part.type === 'image_url') {
    const { image_url: given } = part;
    const url = checkUrl(`${at}.image_url`, typeof given === 'string' ? given : given?.url);
    return url.startsWith('data:') ? { type: 'blob', blob: dataOf(`${at}.image_url`, url) } : { type: 'url', url };
  }
  const value: unknown = part.value;
  if (value instanceof Blob) return { type: 'blob', blob: value };
  if (value instanceof ArrayBuffer) return { type: 'blob', blob: new Blob([value]) };
  if (ArrayBuffer.isView(value)) return { type: 'blob', blob: new Blob([value as ArrayBufferView<ArrayBuffer>]) };
  if (isA('ImageData', value)) return { type: 'pixels', pixels: value as ImageData };
  const size = sizeOf(value);
  if (!size) throw invalidOption(`${at}.value`, EXPECTED, value);
  return { type: 'pixels', pixels: drawn(`${at}.value`, value as CanvasImageSource, size) };
}

/** The worker has another base URL than the page. */
function checkUrl(at: string, url: unknown): string {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const address = typeof url === 'string' && URL.canParse(url, base) ? new URL(url, base) : undefined;
  if (address && /^(https?|data|blob):$/.test(address.protocol)) return address.href;
  throw invalidOption(at, 'a URL: https:, data: or blob:', url);
}

/** The bytes in a `data:` URL, which the page's policy may not let it fetch. */
function dataOf(at: string, url: string): Blob {
  const comma = url.indexOf(',');
  const about = url.slice('data:'.length, comma);
  try {
    const text = decodeURIComponent(url.slice(comma + 1));
    const isBase64 = /;\s*base64$/i.test(about);
    const bytes = isBase64 ? Uint8Array.from(atob(text), (char) => char.charCodeAt(0)) : new TextEncoder().encode(text);
    return new Blob([bytes], { type: about.split(';')[0] ?? '' });
  } catch {
    throw invalidOption(at, 'a data: URL in base64', `${url.slice(0, 60)}…`);
  }
}

/** Pixels of what a canvas can draw; undefined for anything else. */
function sizeOf(value: unknown): readonly [width: number, height: number] | undefined {
  if (isA('HTMLImageElement', value)) {
    const { naturalWidth, naturalHeight } = value as HTMLImageElement;
    return [naturalWidth, naturalHeight];
  }
  if (isA('HTMLVideoElement', value)) {
    const { videoWidth, videoHeight } = value as HTMLVideoElement;
    return [videoWidth, videoHeight];
  }
  if (isA('VideoFrame', value)) {
    const { displayWidth, displayHeight } = value as VideoFrame;
    return [displayWidth, displayHeight];
  }
  if (!['ImageBitmap', 'HTMLCanvasElement', 'OffscreenCanvas'].some((name) => isA(name, value))) return undefined;
  const { width, height } = value as ImageBitmap;
  return [width, height];
}

function drawn(at: string, source: CanvasImageSource, [width, height]: readonly [number, number]): ImageData {
  if (width === 0 || height === 0) throw invalidOption(at, 'a picture that has been loaded', 'one without pixels');
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw invalidOption(at, 'a picture that this browser can draw', `${width} × ${height}`);
  context.drawImage(source, 0, 0, width, height);
  try {
    return context.getImageData(0, 0, width, height);
  } catch {
    throw invalidOption(at, 'a picture of this origin, or with CORS headers', 'one that pages may not read');
  }
}

/** Not every browser and worker has these classes. */
function isA(name: string, value: unknown): boolean {
  const known: unknown = (globalThis as Record<string, unknown>)[name];
  return typeof known === 'function' && value instanceof known;
}
