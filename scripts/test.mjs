// `npm test`: installs what is missing, then runs every check of lib/checks.mjs. A failing check
// does not keep the others from running, unless they need what it makes.
//
// `npm test -- --only rust,web` runs the checks of some areas, and what these need.
// `npm test -- --quick` runs what a person runs before each commit, and names what it leaves out.
// `npm test -- --times` also writes each check's time into CONTRIBUTING.md.

import { parseArgs } from 'node:util';
import { missingModules, PACKAGE } from './lib/build.mjs';
import { checks, cleanUp, quickPackage } from './lib/checks.mjs';
import { main, seconds } from './lib/run.mjs';
import { setUps } from './lib/setups.mjs';
import { runTasks, stepOf, withNeeds } from './lib/tasks.mjs';
import { timesTable, writeTimes } from './lib/times.mjs';

main(async () => {
  const start = performance.now();
  const { values } = parseArgs({
    options: { only: { type: 'string' }, quick: { type: 'boolean' }, times: { type: 'boolean' } },
  });
  const areas = chosenAreas(values.only);
  const table = values.quick ? quickChecks() : checks;
  const tasks = withNeeds([...setUps, ...table], ({ setUp, area }) => !setUp && areas.includes(area));

  const times = [];
  const result = await runTasks(tasks, async (task) => {
    const began = performance.now();
    try {
      await stepOf(task);
      return true;
    } catch (error) {
      console.log(error.message);
      return false;
    } finally {
      if (!task.setUp) times.push({ ...task, seconds: (performance.now() - began) / 1000 });
    }
  });
  await cleanUp();

  const names = (list) => list.map(({ name }) => name).join(', ');
  console.log(`\n${timesTable(times)}\n`);
  console.log(`${seconds(start)} in all`);
  if (values.times) writeTimes(times, (performance.now() - start) / 1000);
  if (values.quick) console.log(`left out: ${names(leftOut(table))}`);
  if (result.failed.length) console.log(`failed: ${names(result.failed)}`);
  if (result.notRun.length) console.log(`not run, because they need what failed: ${names(result.notRun)}`);
  console.log(`${result.passed.filter(({ setUp }) => !setUp).length} passed, ${result.failed.length} failed`);
  process.exitCode = result.failed.length ? 1 : 0;
});

function chosenAreas(only) {
  const areas = [...new Set(checks.map(({ area }) => area))];
  const chosen = only?.split(',') ?? areas;
  const unknown = chosen.filter((area) => !areas.includes(area));
  if (unknown.length) throw new Error(`--only ${unknown} is not an area; the areas are ${areas.join(', ')}`);
  return chosen;
}

/** Builds no wasm: checks of the package run if all its modules exist. */
function quickChecks() {
  const quick = [quickPackage, ...checks].filter((check) => check.quick);
  if (!missingModules().length) return quick;
  return quick.filter(({ name, needs }) => name !== PACKAGE && !needs?.includes(PACKAGE));
}

const leftOut = (table) => checks.filter(({ name }) => !table.some((check) => check.name === name));
