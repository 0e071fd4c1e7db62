// docs/RELIABILITY.md has a table of what can fail. Its rows are the names of the tests in `*.faults.test.mjs`, which read
// "fault → what the user sees → what is kept": so a row is tested, or it is not there.

import { readdirSync, readFileSync } from 'node:fs';
import { inRoot } from './run.mjs';

export const document = inRoot('docs/RELIABILITY.md');

const [BEGIN, END] = ['<!-- what follows is written by scripts/faults.mjs -->', '<!-- until here -->'];

/** A test with its name, as the formatter leaves it. */
const TEST = /^ *test\(\s*(?<quote>['"`])(?<name>.*?)(?<!\\)\k<quote>/gms;

/** The rows of a file: `[fault, seen, kept]`. Fails where a test is named otherwise. */
export function faultsOf(source) {
  return [...source.matchAll(TEST)].map(({ groups: { name } }) => {
    const parts = name.replaceAll('\\', '').split(' → ');
    if (parts.length !== 3) throw new Error(`"${name}" is no "fault → what the user sees → what is kept"`);
    return parts;
  });
}

/** The whole document: `text` with its table written anew. */
export function withTable(text) {
  const files = ['js/test', 'tests/web'].flatMap((folder) =>
    readdirSync(inRoot(folder))
      .filter((name) => name.endsWith('.faults.test.mjs'))
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
