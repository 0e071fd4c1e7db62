/** Cuts texts into passages that overlap. */

import { t } from '../text/text.js';

export interface Passage {
  file: string;
  /** Of a PDF, from 1. */
  page: number | null;
  text: string;
}

const WORDS = 200;
const OVERLAP = 40;
/** Languages without spaces have no words of this kind. */
const LONGEST = 1500;

/** The passages of a text, or of a page. */
export function passagesOf(text: string): string[] {
  const words = [...text.matchAll(/\S+\s*/g)].flatMap(([word]) => word.match(/[^]{1,30}/gu) ?? []);
  const passages: string[] = [];
  let from = 0;
  while (from < words.length) {
    let to = from;
    let length = 0;
    while (to < words.length && to - from < WORDS && length < LONGEST) length += words[to++]!.length;
    passages.push(words.slice(from, to).join('').trim());
    if (to === words.length) break;
    from = Math.max(to - OVERLAP, from + 1);
  }
  return passages;
}

export const placeOf = ({ file, page }: Passage) => (page === null ? file : t('files-page', { file, page }));
