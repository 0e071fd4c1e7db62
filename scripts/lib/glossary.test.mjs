// docs/GLOSSARY.md: each word names its place in the code.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { textOf } from './documents.mjs';
import { inRoot } from './run.mjs';

const GLOSSARY = textOf('docs/GLOSSARY.md');

/** The lines of its tables, without their headings. */
const lines = GLOSSARY.split('\n').filter((line) => /^\| (?!word \|)/.test(line));

/** `{ word, name, path }` of each, as far as it has them. */
const rows = lines.map(
  (line) => /^\| (?<word>.*?) \| .*? \| `(?<name>\w+)` in `(?<path>.*?)` \|$/.exec(line)?.groups ?? { line },
);

const withoutComments = (source) => source.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');

/** A comment is no use of a name. */
const uses = (path, name) =>
  existsSync(inRoot(path)) && new RegExp(`\\b${name}\\b`).test(withoutComments(readFileSync(inRoot(path), 'utf8')));

test('each word of the glossary names what the code has', () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  assert.deepEqual(
    rows.filter(({ path, name }) => !name || !uses(path, name)),
    [],
  );
});

test('words of the glossary are in order, and each is there once', () => {
  for (const section of GLOSSARY.split(/^## /m).slice(1)) {
    const words = [...section.matchAll(/^\| (?!word \|)(.*?) \|/gm)].map(([, word]) => word.toLowerCase());
    assert.deepEqual(
      words,
      [...new Set(words)].sort((a, b) => a.localeCompare(b, 'en')),
    );
  }
});
