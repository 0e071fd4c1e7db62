// What can be checked of documents: the files and headings that they name exist, and lines end at
// column 120. Comments in code end at column 100.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inRoot, output } from './run.mjs';

/** Columns of a line of text, and of a comment that stands alone on its line. */
const WIDTH = 120;
const COMMENT_WIDTH = 100;

/** Files with comments, by what begins one. A line of a block comment begins with `*`. */
const COMMENTS = new Map([
  ...['rs', 'wgsl'].map((extension) => [extension, /^\s*\/\//]),
  ...['ts', 'tsx', 'mjs', 'js', 'jsx', 'css', 'cpp'].map((extension) => [extension, /^\s*(\/\/|\/?\*)/]),
  ...['py', 'toml'].map((extension) => [extension, /^\s*#/]),
]);

/** Documents for developers: a path in backquotes must be a file here. */
const OF_THE_CODE =
  /^(CONTRIBUTING|docs\/(ARCHITECTURE|GLOSSARY|PERFORMANCE|RELIABILITY|adding-.*|decisions\/.*))\.md$/;

/** Folders whose files documents name. */
const FOLDERS = 'benches|docs|examples|fuzz|grammar|js|scripts|shaders|sound|src|tests|tools|www';

/** Every document, as a path in the repository; `docs/api` is not written by hand. */
export function allDocuments() {
  const paths = output('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md']).split('\n');
  return paths.filter((path) => !path.startsWith('docs/api/') && existsSync(inRoot(path)));
}

/** Every file of code, as a path in the repository. */
export function allCode() {
  const paths = output('git', ['ls-files', '--cached', '--others', '--exclude-standard']).split('\n');
  return paths.filter((path) => COMMENTS.has(extensionOf(path)) && existsSync(inRoot(path)));
}

const extensionOf = (path) => path.split('.').at(-1);

export const textOf = (document) => readFileSync(inRoot(document), 'utf8');

/** Text without blocks of code, line for line. */
const withoutCode = (text) => text.replaceAll(/^( *)```.*?^\1```$/gms, (block) => block.replaceAll(/[^\n]/g, ''));

/** The id of a heading, for links. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

export const anchorsIn = (text) =>
  [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

/** Links of a document to files or headings that do not exist. */
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

/** Files that a document for developers names in backquotes and that do not exist. */
export function missingPaths(document, text = textOf(document)) {
  if (!OF_THE_CODE.test(document)) return [];
  const named = withoutCode(text).matchAll(new RegExp(`\`((?:${FOLDERS})/[\\w./-]+)\``, 'g'));
  return [...named].map(([, path]) => path).filter((path) => !existsSync(inRoot(path)));
}

/** The numbers of lines that are too long and can be broken. */
export function longLines(text) {
  return withoutCode(text)
    .split('\n')
    .flatMap((line, index) => ([...line].length > WIDTH && !/^ *(\||<!--|!\[)/.test(line) ? [index + 1] : []));
}

/** The numbers of lines with a comment that is too long. Rows of tables cannot be broken. */
export function longComments(path, text = textOf(path)) {
  const comment = COMMENTS.get(extensionOf(path));
  return text
    .split('\n')
    .flatMap((line, index) =>
      comment.test(line) && [...line].length > COMMENT_WIDTH && !/^\s*\/\/[/!]? \|/.test(line) ? [index + 1] : [],
    );
}
