import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTask, runTasks, withNeeds } from './tasks.mjs';

const tasks = [
  { name: 'download', light: true },
  { name: 'build' },
  { name: 'native', lock: 'target' },
  { name: 'native again', lock: 'target' },
  { name: 'page', needs: ['build'] },
  { name: 'browser', needs: ['page', 'download'] },
];

/** Runs them and returns what began and ended, in order; those in `fails` do not pass. */
async function log(most, fails = []) {
  const events = [];
  let now = 0;
  let mostRunning = 0;
  const run = async ({ name, light }) => {
    events.push(name);
    if (!light) mostRunning = Math.max(mostRunning, (now += 1));
    await new Promise((resolve) => setImmediate(resolve));
    if (!light) now -= 1;
    events.push(`${name}.`);
    return !fails.includes(name);
  };
  const { passed, failed, notRun } = await runTasks(tasks, run, most);
  const names = (list) => list.map(({ name }) => name);
  return { passed: names(passed), failed: names(failed), notRun: names(notRun), events, mostRunning };
}

test('tasks run together, each after what it needs', async () => {
  const { passed, failed, notRun, events, mostRunning } = await log(2);
  assert.equal(mostRunning, 2);
  assert.deepEqual([passed.length, failed, notRun], [6, [], []]);
  assert.ok(events.indexOf('page') > events.indexOf('build.'));
  assert.ok(events.indexOf('browser') > events.indexOf('page.'));
});

test('a light task takes no place of another', async () => {
  const { events } = await log(2);
  assert.deepEqual(events.slice(0, 3), ['download', 'build', 'native']);
});

test('two tasks with one lock do not run together', async () => {
  const { events } = await log(5);
  assert.ok(events.indexOf('native again') > events.indexOf('native.'));
});

test('a task whose need failed does not run, and all others do', async () => {
  const { passed, failed, notRun } = await log(2, ['build']);
  assert.deepEqual([passed, failed, notRun], [['download', 'native', 'native again'], ['build'], ['page', 'browser']]);
});

test('a chosen task brings what it needs', () => {
  const names = (chosen) => withNeeds(tasks, ({ name }) => name === chosen).map(({ name }) => name);
  assert.deepEqual(names('browser'), ['download', 'build', 'page', 'browser']);
  assert.deepEqual(names('native'), ['native']);
  assert.throws(() => withNeeds([{ name: 'a', needs: ['b'] }], () => true), /no task is called b/);
});

test('one task with its needs throws the first error when all that could run have ended', async () => {
  const ended = [];
  const task = (name, needs, error) => ({
    name,
    needs,
    setUp: true,
    async run() {
      ended.push(name);
      if (error) throw error;
    },
  });
  const own = [task('a', [], new Error('a fails')), task('b', []), task('c', ['a', 'b']), task('d', [])];
  await assert.rejects(runTask(own, 'c'), /a fails/);
  assert.deepEqual(ended, ['a', 'b']);
  await runTask(own, 'd');
  assert.deepEqual(ended, ['a', 'b', 'd']);
});
