import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import {
  allCode,
  allDocuments,
  anchorsIn,
  brokenLinks,
  longComments,
  longLines,
  missingPaths,
  textOf,
} from './documents.mjs';
import { inRoot } from './run.mjs';

const documents = allDocuments();

/** `{ path: faults }` of the files that have any. */
const faults = (check, paths = documents) =>
  Object.fromEntries(paths.map((path) => [path, check(path)]).filter(([, found]) => found.length));

test('documents link to files and headings that exist', () =>
  assert.deepEqual(
    faults((document) => brokenLinks(document)),
    {},
  ));

test('files that documents of the code name exist', () =>
  assert.deepEqual(
    faults((document) => missingPaths(document)),
    {},
  ));

test('lines of documents end at column 120', () =>
  assert.deepEqual(
    faults((document) => longLines(textOf(document))),
    {},
  ));

test('comments in code end at column 100', () =>
  assert.deepEqual(
    faults((path) => longComments(path), allCode()),
    {},
  ));

test('the index of decisions has every decision, under its own title', () => {
  const folder = 'docs/decisions';
  const rows = [...textOf(`${folder}/README.md`).matchAll(/^\| (\d+) \| \[(.*)\]\((.*)\) \|$/gm)];
  const files = readdirSync(inRoot(folder)).filter((name) => name !== 'README.md');
  assert.deepEqual(
    rows.map(([, , , file]) => file),
    files,
  );
  for (const [, number, title, file] of rows) {
    assert.ok(file.startsWith(`${number.padStart(4, '0')}-`), file);
    assert.ok(
      textOf(`${folder}/${file}`).startsWith(`# ${number}. ${title}\n`),
      `the title of ${file} is not ${title}`,
    );
  }
});

test('the tour of the code is short', () => {
  const lines = textOf('docs/ARCHITECTURE.md').trimEnd().split('\n');
  assert.ok(lines.length <= 120, `${lines.length} lines`);
});

test('comments that are too long are found, and code and tables are not', () => {
  const long = 'x '.repeat(50);
  assert.deepEqual(longComments('a.rs', `// ${long}\n//! | ${long}\n*y = ${long};\n    /// ${long}`), [1, 4]);
  assert.deepEqual(longComments('a.ts', `/** ${long} */\n * ${long}\nconst y = '${long}';`), [1, 2]);
  assert.deepEqual(longComments('a.py', `# ${long}\ny = '# ${long}'`), [1]);
});

test('broken links, missing paths and long lines are found', () => {
  const text =
    '# A `b` c\n\n[x](#a-b-c) [y](#d) [z](nothing.md) [w](https://example.org) `src/nothing.rs` `src/lib.rs`\n';
  assert.deepEqual(anchorsIn(text), ['a-b-c']);
  assert.deepEqual(brokenLinks('CONTRIBUTING.md', text), ['#d', 'nothing.md']);
  assert.deepEqual(missingPaths('CONTRIBUTING.md', text), ['src/nothing.rs']);
  assert.deepEqual(missingPaths('README.md', text), []);
  const long = 'x '.repeat(80);
  assert.deepEqual(longLines(`${long}\n| ${long}\n\`\`\`\n${long}\n\`\`\`\n${long}`), [1, 6]);
});
