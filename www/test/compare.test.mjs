// The words in which two answers differ.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './source.mjs';

const { differences } = await source('compare/words');

/** Words that differ stand in brackets. */
const marked = (runs) => runs.map(({ text, differs }) => (differs ? `[${text}]` : text)).join('');
const both = (a, b) => differences(a, b).map(marked);

test('what two texts have in common is not marked', () => {
  assert.deepEqual(both('the same text', 'the same text'), ['the same text', 'the same text']);
  assert.deepEqual(both('', 'new'), ['', '[new]']);
  assert.deepEqual(both('', ''), ['', '']);
});

test('words that were replaced, added or left out are marked', () => {
  assert.deepEqual(both('a warp on the loom', 'a weft on the loom'), ['a [warp ]on the loom', 'a [weft ]on the loom']);
  assert.deepEqual(both('one two', 'one and two'), ['one two', 'one [and ]two']);
  assert.deepEqual(both('a b c d e', 'a x c y e'), ['a [b ]c [d ]e', 'a [x ]c [y ]e']);
});

test('other spaces are no difference, and are kept', () => {
  assert.deepEqual(both('one  two\n\nthree', 'one two three'), ['one  two\n\nthree', 'one two three']);
});

test('the runs make the text again, however long it is', () => {
  const words = (count, step) => Array.from({ length: count }, (_, n) => `w${(n * step) % 97}`).join(' ');
  for (const [a, b] of [
    [words(300, 5), words(280, 7)],
    [words(3000, 5), words(3000, 7)],
  ]) {
    const [left, right] = differences(a, b);
    assert.equal(left.map(({ text }) => text).join(''), a);
    assert.equal(right.map(({ text }) => text).join(''), b);
  }
});
