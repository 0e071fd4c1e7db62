// What a machine can hold a document to: files and headings that it names exist, and its lines end
// at column 120.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inRoot, output } from './run.mjs';

/** Columns of a line of text. */
export const WIDTH = 120;

/** Documents for those who change weft: what they name in backquotes as a path is a file here. */
const OF_THE_CODE =
  /^(CONTRIBUTING|docs\/(ARCHITECTURE|GLOSSARY|PERFORMANCE|RELIABILITY|adding-.*|decisions\/.*))\.md$/;

/** Folders whose files documents name. */
const FOLDERS = 'benches|docs|examples|fuzz|grammar|js|scripts|shaders|src|tests|tools|www';

/** Every document, as a path in the repository; `docs/api` is not written by hand. */
export function allDocuments() {
  const paths = output('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md']).split('\n');
  return paths.filter((path) => !path.startsWith('docs/api/') && existsSync(inRoot(path)));
}

export const textOf = (document) => readFileSync(inRoot(document), 'utf8');

/** Text without blocks of code, line for line. */
const withoutCode = (text) => text.replaceAll(/^( *)```.*?^\1```$/gms, (block) => block.replaceAll(/[^\n]/g, ''));

/** The id that a heading has as a target of links. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

export const anchorsIn = (text) =>
  [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

/** What a document links to within the repository and is not there. */
export function brokenLinks(document, text = textOf(document)) {
  const links = [...withoutCode(text).matchAll(/\]\((?<target>[^)\s]+)\)/g)].map(({ groups }) => groups.target);
  return links.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path, anchor] = target.split('#');
    const file = path ? join(dirname(document), path) : document;
    if (!existsSync(inRoot(file))) return true;
    return anchor && !anchorsIn(file === document ? text : textOf(file)).includes(anchor);
  });
}

/** The files that a document of the code names in backquotes and that are not there. */
export function missingPaths(document, text = textOf(document)) {
  if (!OF_THE_CODE.test(document)) return [];
  const named = withoutCode(text).matchAll(new RegExp(`\`((?:${FOLDERS})/[\\w./-]+)\``, 'g'));
  return [...named].map(([, path]) => path).filter((path) => !existsSync(inRoot(path)));
}

/** The numbers of lines that are too long, of those that can be broken. */
export function longLines(text) {
  return withoutCode(text)
    .split('\n')
    .flatMap((line, index) => ([...line].length > WIDTH && !/^ *(\||<!--|!\[)/.test(line) ? [index + 1] : []));
}
