// Which check runs when: some at a time, each after those whose products it reads.

/** The checks that `chosen` picks and all that they need, in the order of `checks`. */
export function withNeeds(checks, chosen) {
  const wanted = new Set();
  const add = (check) => {
    if (wanted.has(check)) return;
    wanted.add(check);
    for (const need of check.needs ?? []) add(named(checks, need));
  };
  checks.filter(chosen).forEach(add);
  return checks.filter((check) => wanted.has(check));
}

function named(checks, name) {
  const found = checks.find((check) => check.name === name);
  if (!found) throw new Error(`no check is called ${name}`);
  return found;
}

/**
 * Runs `checks`, at most `most` at a time: the first of the list that can run does. One waits while
 * another builds in its `folder`, and until all that it `needs` have passed.
 *
 * @param {(check) => Promise<boolean>} run says whether the check passed.
 * @returns {Promise<{ passed: string[], failed: string[], notRun: string[] }>} names
 */
export async function runChecks(checks, most, run) {
  const [passed, failed] = [new Set(), new Set()];
  const running = new Map();
  let waiting = [...checks];
  const ready = ({ folder, needs = [] }) =>
    needs.every((need) => passed.has(need)) && ![...running.keys()].some((other) => folder && other.folder === folder);
  while (true) {
    while (running.size < most) {
      const next = waiting.find(ready);
      if (!next) break;
      waiting = waiting.filter((check) => check !== next);
      const done = run(next).then((well) => {
        (well ? passed : failed).add(next.name);
        running.delete(next);
      });
      running.set(next, done);
    }
    // What still waits needs a check that failed.
    if (!running.size) break;
    await Promise.race(running.values());
  }
  return { passed: [...passed], failed: [...failed], notRun: waiting.map(({ name }) => name) };
}
