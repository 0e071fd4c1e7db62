/** Pictures that a question is asked with: `data:` URLs, so that a chat is saved with them. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Message } from 'weft-llm';
import { t } from './text/text.js';

/** Largest file that is kept as it is, in bytes. */
const MOST_BYTES = 1 << 20;

/** Pixels of the longer side of what is kept of a larger one: models read no more. */
const LONGEST = 2048;

export const isPicture = ({ type }: Blob): boolean => type.startsWith('image/');

/** Rejects for what the browser does not decode. */
export async function readPicture(file: Blob): Promise<string> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  try {
    if (scale === 1 && file.size <= MOST_BYTES) return await addressOf(file);
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await addressOf(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 }));
  } finally {
    bitmap.close();
  }
}

function addressOf(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error as DOMException);
    reader.readAsDataURL(blob);
  });
}

/** Content of the message: the pictures, then the question. */
export function contentOf(question: string, pictures: readonly string[]): Message['content'] {
  if (pictures.length === 0) return question;
  const parts = pictures.map((url) => ({ type: 'image_url', image_url: url }) as const);
  return [...parts, { type: 'text', text: question }];
}

/** `remove`: called with the index of one that the user does not want any more. */
export function pictureList(
  pictures: readonly string[],
  remove?: (index: number) => void,
): TemplateResult | typeof nothing {
  if (pictures.length === 0) return nothing;
  return html`<ul class="pictures" aria-label=${t('pictures')}>
    ${pictures.map(
      (url, index) =>
        html`<li>
          <img src=${url} alt=${t('picture', { number: index + 1 })} />
          ${
            remove
              ? html`<button
                  type="button"
                  aria-label=${t('picture-remove', { number: index + 1 })}
                  @click=${() => remove(index)}
                >
                  ×
                </button>`
              : nothing
          }
        </li>`,
    )}
  </ul>`;
}
