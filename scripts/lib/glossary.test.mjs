// docs/GLOSSARY.md: each of its words names what stands for it in the code.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { textOf } from './documents.mjs';
import { inRoot } from './run.mjs';

const GLOSSARY = textOf('docs/GLOSSARY.md');

/** The rows of its tables: `{ word, meaning, names }`. */
const rows = [...GLOSSARY.matchAll(/^\| (?!word |---)(.*?) \| (.*?) \| (.*?) \|$/gm)].map(
  ([, word, meaning, names]) => ({
    word,
    meaning,
    names: [...names.matchAll(/`(.*?)`/g)].map(([, name]) => name),
  }),
);

const withoutComments = (source) => source.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');

/** Every identifier of the sources; a comment is no use of a word. */
const known = new Set(
  ['src', 'grammar/src', 'js/src', 'shaders'].flatMap((folder) =>
    readdirSync(inRoot(folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap(
        ({ parentPath, name }) => withoutComments(readFileSync(join(parentPath, name), 'utf8')).match(/\w+/g) ?? [],
      ),
  ),
);

test('each word of the glossary names what the code has', () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  assert.deepEqual(
    rows.flatMap(({ word, names }) =>
      (names.length ? names : [`(no name for ${word})`]).filter((name) => !known.has(name)),
    ),
    [],
  );
});

test('words of the glossary are in order, and each is there once', () => {
  for (const section of GLOSSARY.split(/^## /m).slice(1)) {
    const words = rows.filter(({ word }) => section.includes(`\n| ${word} |`)).map(({ word }) => word.toLowerCase());
    assert.deepEqual(
      words,
      [...new Set(words)].sort((a, b) => a.localeCompare(b, 'en')),
    );
  }
});
