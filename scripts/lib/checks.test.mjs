import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChecks, withNeeds } from './checks.mjs';

const checks = [
  { name: 'build' },
  { name: 'native', folder: 'target' },
  { name: 'native again', folder: 'target' },
  { name: 'page', needs: ['build'] },
  { name: 'browser', needs: ['page'] },
];

/**
 * Runs them, and says what began and ended in which order; `fails` names those that do not pass.
 */
async function log(most, fails = []) {
  const events = [];
  let now = 0;
  let mostRunning = 0;
  const result = await runChecks(checks, most, async ({ name }) => {
    events.push(name);
    mostRunning = Math.max(mostRunning, (now += 1));
    await new Promise((resolve) => setImmediate(resolve));
    now -= 1;
    events.push(`${name}.`);
    return !fails.includes(name);
  });
  return { ...result, events, mostRunning };
}

test('checks run together, each after what it needs', async () => {
  const { passed, failed, notRun, events, mostRunning } = await log(2);
  assert.equal(mostRunning, 2);
  assert.deepEqual([passed.length, failed, notRun], [5, [], []]);
  assert.ok(events.indexOf('page') > events.indexOf('build.'));
  assert.ok(events.indexOf('browser') > events.indexOf('page.'));
});

test('two checks that build in one folder do not run together', async () => {
  const { events } = await log(5);
  assert.ok(events.indexOf('native again') > events.indexOf('native.'));
});

test('what needs a check that failed does not run, all else does', async () => {
  const { passed, failed, notRun } = await log(2, ['build']);
  assert.deepEqual([passed, failed, notRun], [['native', 'native again'], ['build'], ['page', 'browser']]);
});

test('a chosen check brings what it needs', () => {
  const names = (chosen) => withNeeds(checks, ({ name }) => name === chosen).map(({ name }) => name);
  assert.deepEqual(names('browser'), ['build', 'page', 'browser']);
  assert.deepEqual(names('native'), ['native']);
  assert.throws(() => withNeeds([{ name: 'a', needs: ['b'] }], () => true), /no check is called b/);
});
