// The code in documents for users. tests/bundlers/snippets.test.mjs compiles it, and runs what it
// can.

import { readdir, readFile } from 'node:fs/promises';
import { inRoot } from './run.mjs';

const FENCE = /^(?<indent> *)```(?<language>\w+)(?<about>[^\n]*)\n(?<code>.*?)^\k<indent>```$/gms;

/** Languages that are compiled, and JSON, which is parsed. */
const CODE = new Set(['js', 'ts', 'jsx', 'tsx', 'json']);

/** Documents with code for users, as paths in the repository. */
export async function documents() {
  const docs = (await readdir(inRoot('docs'))).filter((name) => name.endsWith('.md'));
  return ['README.md', 'js/README.md', ...docs.map((name) => `docs/${name}`)];
}

/** The code blocks of a document. Behind the language may stand `run`, `syntax` or `file=NAME`. */
export async function blocksOf(document) {
  return blocksIn(document, await readFile(inRoot(document), 'utf8'));
}

/**
 * @returns {{ document: string, line: number, language: string, code: string, run: boolean,
 *   syntax: boolean, file?: string }[]}
 */
export const blocksIn = (document, text) => fencesIn(document, text).filter(({ language }) => CODE.has(language));

/** All blocks, including commands and markup. */
export function fencesIn(document, text) {
  return [...text.matchAll(FENCE)].map(({ index, groups: { indent, language, about, code } }) => {
    const words = about.trim().split(/\s+/).filter(Boolean);
    const file = words.find((word) => word.startsWith('file='))?.slice('file='.length);
    const unknown = words.find((word) => !['run', 'syntax'].includes(word) && !word.startsWith('file='));
    if (unknown) throw new Error(`${document}: a block of code is ${unknown}, which means nothing`);
    return {
      document,
      line: text.slice(0, index).split('\n').length,
      language,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      run: words.includes('run'),
      syntax: words.includes('syntax'),
      ...(file && { file }),
    };
  });
}
