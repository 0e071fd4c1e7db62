// Runs tasks, some at a time, each after the tasks that it needs.
//
// A task is `{ name, needs, lock, light, run }`. `needs` names tasks that must have passed before
// it starts. Two tasks with the same `lock` never run at once. A `light` task waits for the
// network, so it starts at once, beside those that keep the processors busy.

import { step } from './run.mjs';

/** Compilers end on one core, and browser tests wait for their page: two at once fill two cores. */
const AT_ONCE = 2;

/** The tasks that `chosen` selects and all that they need, in the order of `tasks`. */
export function withNeeds(tasks, chosen) {
  const wanted = new Set();
  const add = (task) => {
    if (wanted.has(task)) return;
    wanted.add(task);
    for (const need of task.needs ?? []) add(named(tasks, need));
  };
  tasks.filter(chosen).forEach(add);
  return tasks.filter((task) => wanted.has(task));
}

function named(tasks, name) {
  const found = tasks.find((task) => task.name === name);
  if (!found) throw new Error(`no task is called ${name}`);
  return found;
}

/**
 * Runs `tasks`, at most `most` that are not light at a time: always the first of the list that can
 * run.
 * @param {(task) => Promise<boolean>} run returns whether the task passed.
 * @returns {Promise<{ passed: object[], failed: object[], notRun: object[] }>} tasks. `notRun`
 *   needed one that failed.
 */
export async function runTasks(tasks, run, most = AT_ONCE) {
  const [passed, failed] = [new Set(), new Set()];
  const running = new Map();
  let waiting = [...tasks];
  const ready = ({ lock, light, needs = [] }) => {
    const others = [...running.keys()];
    return (
      (light || others.filter((other) => !other.light).length < most) &&
      !others.some((other) => lock && other.lock === lock) &&
      needs.every((need) => [...passed].some(({ name }) => name === need))
    );
  };
  while (true) {
    for (let next = waiting.find(ready); next; next = waiting.find(ready)) {
      const task = next;
      waiting = waiting.filter((other) => other !== task);
      const done = run(task).then((well) => {
        (well ? passed : failed).add(task);
        running.delete(task);
      });
      running.set(task, done);
    }
    if (!running.size) break;
    await Promise.race(running.values());
  }
  return { passed: [...passed], failed: [...failed], notRun: waiting };
}

/** Runs a task as a step. A set-up prints its steps itself, and only if it does something. */
export const stepOf = (task) => (task.setUp ? task.run() : step(task.name, task.run));

/** Runs the task `name` and all that it needs. Throws the first error when all have ended. */
export async function runTask(tasks, name) {
  let first;
  await runTasks(
    withNeeds(tasks, (task) => task.name === name),
    (task) =>
      stepOf(task).then(
        () => true,
        (error) => {
          first ??= error;
          return false;
        },
      ),
  );
  if (first) throw first;
}
