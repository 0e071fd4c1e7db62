import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allows } from './licences.mjs';

test('an SPDX expression is met by the permitted licences alone', () => {
  const permit = new Set(['MIT', 'Apache-2.0 WITH LLVM-exception', 'Unicode-3.0']);
  for (const met of [
    'MIT',
    'GPL-3.0 OR MIT',
    'MIT/Apache-2.0',
    'GPL-3.0 OR Apache-2.0 WITH LLVM-exception',
    '(GPL-3.0 OR MIT) AND Unicode-3.0',
  ]) {
    assert.equal(allows(met, permit), true, met);
  }
  for (const unmet of [
    undefined,
    '',
    'GPL-3.0',
    'MIT AND GPL-3.0',
    'Apache-2.0',
    '(MIT OR GPL-3.0) AND GPL-3.0',
    'MIT GPL-3.0',
  ]) {
    assert.equal(allows(unmet, permit), false, unmet);
  }
});
