import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { document, faultsOf, hostsOf, rows, withTable } from './faults.mjs';

test('the table of docs/RELIABILITY.md is current: `node scripts/faults.mjs` writes it', () => {
  const text = readFileSync(document, 'utf8');
  assert.equal(text, withTable(text));
});

test('names of tests become rows, whatever their quotes', () => {
  const source = `test('a → b → c', () => {});\n  test(\n    "it's → d\\\\"e → f",\n  );`;
  assert.deepEqual(faultsOf(source), [
    ['a', 'b', 'c'],
    ["it's", 'd"e', 'f'],
  ]);
  assert.deepEqual(faultsOf("test('no row', () => {});"), []);
});

test('a test in a loop gives a row for each of its values', () => {
  const source =
    "for (const [what, act] of [\n  ['a', () => left()],\n  ['b', SOMETHING],\n]) {\n  test(`${what} fails → x → y`, () => {});\n}";
  assert.deepEqual(faultsOf(source), [
    ['a fails', 'x', 'y'],
    ['b fails', 'x', 'y'],
  ]);
});

test('a row never shows a variable', () => {
  assert.throws(() => faultsOf('test(`${what} fails → x → y`, () => {});'), /\$\{what\} fails/);
  assert.deepEqual(faultsOf('test(`${what} fails → x`, () => {});'), []);
  assert.deepEqual(
    rows().filter(({ parts }) => parts.some((part) => part.includes('${'))),
    [],
  );
});

test('every row is tested in Chromium', () => {
  const elsewhere = rows().filter(({ hosts }) => !hosts.includes('Chromium'));
  assert.deepEqual(
    elsewhere.map(({ path, parts }) => `${path}: ${parts[0]}`),
    [],
  );
});

test('a test file of Node counts as run in Chromium if one of tests/web imports it', () => {
  const files = new Map([
    ['js/test/a.test.mjs', ''],
    ['js/test/b.test.mjs', 'launchChromium'],
    ['tests/web/c.test.mjs', "launchChromium\nawait import('../../js/test/a.test.mjs');"],
  ]);
  const hosts = [...files.keys()].map((path) => hostsOf(path, files));
  assert.deepEqual(hosts, [['Chromium', 'Node'], ['Node'], ['Chromium']]);
});
