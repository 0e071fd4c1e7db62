// How long each check took: a table, at the end of a run and in CONTRIBUTING.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { inRoot } from './run.mjs';

const DOCUMENT = inRoot('CONTRIBUTING.md');
const [BEGIN, END] = ['<!-- npm test -- --times writes this -->', '<!-- until here -->'];

/** `times` are `{ name, area, seconds }`; the slowest comes first. */
export function timesTable(times) {
  const rows = [...times].sort((a, b) => b.seconds - a.seconds);
  return [
    '| check | area | seconds |',
    '|---|---|---:|',
    ...rows.map(({ name, area, seconds }) => `| ${name} | ${area} | ${seconds < 1 ? '< 1' : Math.round(seconds)} |`),
  ].join('\n');
}

/** `text` with the table between its marks. */
export function withTimes(text, times, { cores, total }) {
  const [before, after] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (before < 0 || after < before) throw new Error(`CONTRIBUTING.md has lost its line \`${BEGIN}\` or \`${END}\``);
  const about = `${cores} cores, two checks at a time, ${Math.round(total)} s in all.`;
  return `${text.slice(0, before)}${BEGIN}\n\n${about}\n\n${timesTable(times)}\n\n${text.slice(after)}`;
}

export function writeTimes(times, total) {
  const text = readFileSync(DOCUMENT, 'utf8');
  writeFileSync(DOCUMENT, withTimes(text, times, { cores: availableParallelism(), total }));
}
