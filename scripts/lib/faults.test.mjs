import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { document, faultsOf, withTable } from './faults.mjs';

test('docs/RELIABILITY.md has the table that the tests give: `node scripts/faults.mjs` writes it', () => {
  const text = readFileSync(document, 'utf8');
  assert.equal(text, withTable(text));
});

test('the names of tests are rows, whatever their quotes', () => {
  const source = `test('a → b → c', () => {});\n  test(\n    "it's → d\\\\"e → f",\n  );`;
  assert.deepEqual(faultsOf(source), [
    ['a', 'b', 'c'],
    ["it's", 'd"e', 'f'],
  ]);
  assert.deepEqual(faultsOf("test('no row', () => {});"), []);
});
