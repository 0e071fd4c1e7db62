/** How tokens and figures are written. */

import { number, t } from '../text/text.js';

interface Written {
  readonly text: string;
  readonly bytes?: Uint8Array;
}

const MARKS: Readonly<Record<string, string>> = { ' ': '␣', '\n': '⏎', '\r': '␍', '\t': '⇥' };

export const hex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(' ');

/** White space at the ends is seen as a mark, and part of a character as its bytes. */
export function visible({ text, bytes }: Written): string {
  if (bytes && (text === '' || text.includes('\uFFFD'))) return bytes.length > 0 ? `‹${hex(bytes)}›` : '∅';
  if (text === '') return '∅';
  // Zero width, no-break spaces and the like.
  if (!/[^\s\p{C}]/u.test(text.replace(/[ \n\r\t]/g, '.')))
    return `‹${Array.from(text, (char) => `U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`).join(' ')}›`;
  return text.replace(/^\s+|\s+$|[\n\r\t]/g, (spaces) =>
    spaces.replace(/[ \n\r\t]/g, (space) => MARKS[space] ?? space),
  );
}

/** For sentences: without the marks that a screen reader would spell. */
export function quoted(token: Written): string {
  const plain = token.text.trim();
  return t('quoted', { text: plain === '' || plain.includes('\uFFFD') ? visible(token) : plain });
}

const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/** The direction of the first letter: `dir=auto` does not look into isolated tokens. */
export function directionOf(tokens: readonly (Written & { readonly special?: boolean })[]): 'rtl' | 'ltr' {
  for (const { text, special } of tokens) {
    const letter = special ? null : /\p{L}/u.exec(text);
    if (letter) return RIGHT_TO_LEFT.test(letter[0]) ? 'rtl' : 'ltr';
  }
  return 'ltr';
}

export function percent(share: number): string {
  if (share > 0 && share < 0.001) return t('percent-less', { share: written(0.001, 1) });
  return written(share, share < 0.0995 ? 1 : 0);
}

const written = (share: number, digits: number) =>
  number(share, { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });
