import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildTasks, PACKAGE, usual } from './build.mjs';
import { checks, quickPackage } from './checks.mjs';
import { setUps } from './setups.mjs';
import { withNeeds } from './tasks.mjs';

const namesOf = (tasks) => tasks.map(({ name }) => name);

test('every check has its own name, an area, and needs that exist', () => {
  const all = [...setUps, ...checks];
  assert.deepEqual(namesOf(withNeeds(all, () => true)), [...new Set(namesOf(all))]);
  assert.deepEqual([...new Set(checks.map(({ area }) => area))].sort(), ['js', 'packages', 'rust', 'web']);
});

test('an area sets up what its checks need and nothing else', () => {
  const names = namesOf(withNeeds([...setUps, ...checks], ({ area }) => area === 'rust'));
  for (const absent of ['npm packages', 'browsers', PACKAGE]) assert.ok(!names.includes(absent), absent);
  assert.ok(names.includes('Vulkan driver'));
});

test('quick checks compile no wasm', () => {
  const table = [...setUps, quickPackage, ...checks.filter(({ quick }) => quick)];
  const names = namesOf(withNeeds(table, ({ quick }) => quick));
  assert.deepEqual(
    names.filter((name) => /wasm|bindgen|browser/.test(name)),
    [],
  );
  assert.ok(names.includes('package tests'));
});

test('the first look needs one module', () => {
  const names = namesOf(withNeeds([...setUps, ...buildTasks([usual])], ({ name }) => name === PACKAGE));
  assert.deepEqual(
    names.filter((name) => name.startsWith('compile')),
    ['compile weft-relaxed-threads.wasm'],
  );
});
