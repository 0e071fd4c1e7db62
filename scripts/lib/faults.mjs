// docs/RELIABILITY.md has a table of what can fail. Its rows are the names of the tests that read "fault → what the user sees →
// what is kept": so a row is tested, or it is not there.

import { readdirSync, readFileSync } from 'node:fs';
import { inRoot } from './run.mjs';

export const document = inRoot('docs/RELIABILITY.md');

const [BEGIN, END] = ['<!-- what follows is written by scripts/faults.mjs -->', '<!-- until here -->'];

/** A test with its name, as the formatter leaves it. */
const TEST = /^ *test\(\s*(?<quote>['"`])(?<name>.*?)(?<!\\)\k<quote>/gms;

/** The rows of a file: `[fault, seen, kept]`. What is named otherwise is no row. */
export function faultsOf(source) {
  const names = [...source.matchAll(TEST)].map(({ groups: { name } }) => name.replaceAll('\\', ''));
  return names.map((name) => name.split(' → ')).filter((parts) => parts.length === 3);
}

/** The whole document: `text` with its table written anew. */
export function withTable(text) {
  const files = ['js/test', 'tests/web'].flatMap((folder) =>
    readdirSync(inRoot(folder))
      .filter((name) => name.endsWith('.test.mjs'))
      .map((name) => `${folder}/${name}`),
  );
  const rows = files.flatMap((file) => {
    const link = `[${file.split('/').at(-1)}](../${file})`;
    return faultsOf(readFileSync(inRoot(file), 'utf8')).map((parts) => `| ${[...parts, link].join(' | ')} |`);
  });
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`docs/RELIABILITY.md lacks "${BEGIN}" or "${END}"`);
  const heading = '| fault | what the user sees | what is kept | tested in |\n|---|---|---|---|';
  const table = `${rows.length} rows, each a test.\n\n${heading}\n${rows.join('\n')}`;
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
}
