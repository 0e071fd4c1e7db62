import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DOCUMENT, findRadv, overBudget, readBudgets, statsTable, withStats } from './gpu-stats.mjs';
import { textOf } from './documents.mjs';

const FINE = {
  VGPRs: 80,
  'Spilled VGPRs': 0,
  'Spilled SGPRs': 0,
  'Scratch size': 0,
  'LDS size': 1536,
  'Subgroups per SIMD': 12,
  Instructions: 700,
  Latency: 10000,
  'Inverse Throughput': 3000,
};
const pipeline = (name, statistics) => ({
  kind: name.split(' ')[0],
  name,
  statistics: { ...FINE, ...statistics },
});
const result = (...pipelines) => ({ gpu: 'a GPU', driver: 'a driver', pipelines });
const { most, families } = readBudgets();

test('each limit is held', () => {
  const over = (statistics) => overBudget(result(pipeline('linear ROWS=2', statistics)), families[0], most);
  assert.deepEqual(over({}), []);
  for (const [what, value, text] of [
    ['Spilled VGPRs', 1, 'at most 0'],
    ['Spilled SGPRs', 1, 'at most 0'],
    ['Scratch size', 4, 'at most 0'],
    ['LDS size', 16385, 'at most 16384'],
    ['Subgroups per SIMD', 7, 'at least 8'],
  ]) {
    assert.deepEqual(over({ [what]: value }), [`RDNA 2: ${what} is ${value}, ${text}: linear ROWS=2`]);
  }
});

test('a statistic that the driver does not say is an error', () => {
  const silent = pipeline('linear', { 'Scratch size': undefined });
  assert.throws(() => overBudget(result(silent), families[0], most), /does not say "Scratch size"/);
});

test('an exception is for its shader and its GPU', () => {
  const exception = { shader: 'slow', least: { 'Subgroups per SIMD': 2 }, why: 'a test' };
  const with_ = { ...families[0], exceptions: [exception] };
  const few = (name) => result(pipeline(`${name} ROWS=2`, { 'Subgroups per SIMD': 2 }));
  assert.deepEqual(overBudget(few('slow'), with_, most), []);
  assert.equal(overBudget(few('slower'), with_, most).length, 1);
  assert.equal(overBudget(few('slow'), families[0], most).length, 1);
  assert.equal(overBudget(result(pipeline('slow', { 'Spilled VGPRs': 3 })), with_, most).length, 1);
});

test('every limit of a GPU and every exception says why', () => {
  for (const family of families)
    for (const { why } of [family, ...(family.exceptions ?? [])]) assert.ok(why.length > 10, family.generation);
});

test('a row has the worst figures of its kind on each GPU', () => {
  const first = result(pipeline('a', {}), pipeline('a', { VGPRs: 96, 'Subgroups per SIMD': 10 }), pipeline('b', {}));
  const second = result(pipeline('a', { VGPRs: 64 }), pipeline('a', {}), pipeline('b', {}));
  const rows = statsTable([first, second]).split('\n').slice(2);
  assert.deepEqual(rows, [
    '| a | 2 | 96 / 80 | 10 / 12 | 1536 | 700 | 10000 | 3000 |',
    '| b | 1 | 80 | 12 | 1536 | 700 | 10000 | 3000 |',
  ]);
});

test('the table goes where the document has its place', () => {
  const text = withStats(textOf(DOCUMENT), [result(pipeline('only', {}))], families.slice(0, 1));
  assert.match(text, /a driver: RDNA 2 \(navi21\)\.\n\n\| \|[^]*\| only \| 1 \|/);
});

test('RADV is found by the name of its file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-radv-'));
  writeFileSync(join(folder, 'lvp_icd.x86_64.json'), '');
  assert.equal(findRadv([folder, join(folder, 'none')]), undefined);
  writeFileSync(join(folder, 'radeon_icd.x86_64.json'), '');
  assert.equal(findRadv([folder]), join(folder, 'radeon_icd.x86_64.json'));
  rmSync(folder, { recursive: true });
});
