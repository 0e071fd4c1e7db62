// The rooms of js/src: imports go downwards only, and never in a circle. Imports of types count.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { test } from 'node:test';
import { parseSync, Visitor } from 'rolldown/utils';

/**
 * Lowest first. Rooms on one line do not import each other. A name that ends with `.ts` is a file
 * beside the rooms.
 */
const LAYERS = [
  ['types'],
  ['common'],
  ['assets.ts'],
  ['tools'],
  ['answers'],
  ['store'],
  ['download'],
  ['options'],
  ['session', 'openai'],
  ['page', 'worker'],
  ['index.ts', 'all-builds.ts', 'prompt-api', 'remote'],
  ['ai-sdk', 'langchain.ts'],
];

/** What the package exports, and the file of the worker: no other module imports these. */
const ENTRIES = [
  ...['index.ts', 'all-builds.ts', 'langchain.ts', 'worker/worker.ts'],
  ...['prompt-api/index.ts', 'openai/fetch.ts', 'remote/index.ts', 'ai-sdk/index.ts'],
];

const SRC = new URL('../src/', import.meta.url);

test('imports of js/src go downwards', async () => {
  const paths = (await readdir(SRC, { recursive: true })).filter((path) => path.endsWith('.ts'));
  const modules = new Map();
  for (const path of paths) modules.set(path, importsOf(await readFile(new URL(path, SRC), 'utf8'), path));
  const count = [...modules.values()].flat().length;
  assert.ok(count > 300, `only ${count} imports found: does this test still read the sources?`);
  assert.deepEqual(violations(modules), []);
});

const REFUSED = {
  'an import that goes upwards': [
    { 'common/a.ts': `import { b } from '../options/b.js';`, 'options/b.ts': '' },
    'common/a.ts imports options/b.ts, which is not below it',
  ],
  'a type that the page takes from the worker': [
    { 'page/a.ts': `import type { B } from '../worker/b.js';`, 'worker/b.ts': '' },
    'page/a.ts imports worker/b.ts, which is not below it',
  ],
  'an import within an expression': [
    { 'store/a.ts': `const a = await import('../page/b.js');`, 'page/b.ts': '' },
    'store/a.ts imports page/b.ts, which is not below it',
  ],
  'the type of an import': [
    { 'store/a.ts': `export type A = import('../page/b.js').B;`, 'page/b.ts': '' },
    'store/a.ts imports page/b.ts, which is not below it',
  ],
  'an entry that another module imports': [
    { 'remote/a.ts': `export * from './index.js';`, 'remote/index.ts': '' },
    'remote/a.ts imports remote/index.ts, which is an entry',
  ],
  'a circle of types': [
    {
      'store/a.ts': `import type { B } from './b.js';`,
      'store/b.ts': `export type * from './c.js';`,
      'store/c.ts': `export type { A } from './a.js';`,
    },
    'store/a.ts → store/b.ts → store/c.ts → store/a.ts is a circle',
  ],
  'a file of no room': [{ 'new.ts': '' }, 'new.ts is in no room that this test knows'],
};

for (const [what, [files, expected]] of Object.entries(REFUSED)) {
  test(`refuses ${what}`, () => {
    const modules = new Map(Object.entries(files).map(([path, text]) => [path, importsOf(text, path)]));
    assert.deepEqual(violations(modules), [expected]);
  });
}

/** Paths within js/src that a module names in an import or an export. */
function importsOf(text, path) {
  const { program, errors } = parseSync(path, text);
  assert.deepEqual(errors, []);
  const found = [];
  const take = ({ source }) => {
    const named = source?.value ?? '';
    const target = posix.join(posix.dirname(path), named).replace(/\.js$/, '.ts');
    if (named.startsWith('.') && !target.startsWith('../generated/') && !found.includes(target)) found.push(target);
  };
  const nodes = [
    'ImportDeclaration',
    'ExportNamedDeclaration',
    'ExportAllDeclaration',
    'ImportExpression',
    'TSImportType',
  ];
  new Visitor(Object.fromEntries(nodes.map((node) => [node, take]))).visit(program);
  return found;
}

/** `modules`: paths, and the paths that each imports. */
function violations(modules) {
  const roomOf = (path) => path.split('/')[0];
  const levelOf = (path) => LAYERS.findIndex((layer) => layer.includes(roomOf(path)));
  const found = [];
  for (const [path, imports] of modules) {
    if (levelOf(path) < 0) found.push(`${path} is in no room that this test knows`);
    for (const target of imports) {
      const isBelow = roomOf(target) === roomOf(path) || levelOf(target) < levelOf(path);
      if (!isBelow) found.push(`${path} imports ${target}, which is not below it`);
      else if (ENTRIES.includes(target)) found.push(`${path} imports ${target}, which is an entry`);
    }
  }
  return found.length > 0 ? found : circles(modules);
}

/** Every circle that a walk along the imports closes. */
function circles(modules) {
  const [done, found] = [new Set(), []];
  const walk = (path, way) => {
    const begun = way.indexOf(path);
    if (begun >= 0) found.push(`${[...way.slice(begun), path].join(' → ')} is a circle`);
    if (begun >= 0 || done.has(path)) return;
    for (const target of modules.get(path) ?? []) walk(target, [...way, path]);
    done.add(path);
  };
  for (const path of modules.keys()) walk(path, []);
  return found;
}
