// docs/RELIABILITY.md has a table of what can fail. Its rows are the names of tests of the form
// "fault → what the user sees → what is kept", so every row is tested.

import { readdirSync, readFileSync } from 'node:fs';
import { inRoot } from './run.mjs';
import { section } from './section.mjs';

export const document = inRoot('docs/RELIABILITY.md');

/** A test with its name, as the formatter leaves it. */
const TEST = /^ *test\(\s*(?<quote>['"`])(?<name>.*?)(?<!\\)\k<quote>/gms;

/** A loop around tests, as the formatter leaves it. */
const LOOP = /^for \(const (?<variables>[^\n]+?) of (?<values>\[.*?\])\)(?: \{)?\n/gms;

/**
 * The rows of a file: `[fault, seen, kept]`. Other names are no rows. Errors: a row whose name is a
 * template that no loop fills in.
 */
export function faultsOf(source) {
  const names = [...source.matchAll(TEST)].filter(({ groups: { name } }) => partsOf(name).length === 3);
  return names.flatMap(({ index, groups: { quote, name } }) =>
    quote === '`' && name.includes('${')
      ? inLoop(name, source.slice(0, index)).map(partsOf)
      : [partsOf(name.replaceAll('\\', ''))],
  );
}

const partsOf = (name) => name.split(' → ');

/** The names that a template gets in the last loop before it. */
function inLoop(template, before) {
  const loop = [...before.matchAll(LOOP)].at(-1)?.groups;
  if (!loop) throw new Error(`no loop that can be read gives this test its name: ${template}`);
  // Only values that names contain must be known.
  const unknown = new Proxy(() => {}, { get: () => unknown, apply: () => unknown });
  const scope = new Proxy({}, { has: () => true, get: (_, key) => (key === Symbol.unscopables ? {} : unknown) });
  const expand = `with (scope) return ${loop.values}.map((${loop.variables}) => \`${template}\`);`;
  return new Function('scope', expand)(scope);
}

/** Test files: path → source. */
function testFiles() {
  const inFolder = (folder) => readdirSync(inRoot(folder)).filter((name) => name.endsWith('.test.mjs'));
  const paths = ['js/test', 'tests/web'].flatMap((folder) => inFolder(folder).map((name) => `${folder}/${name}`));
  return new Map(paths.map((path) => [path, readFileSync(inRoot(path), 'utf8')]));
}

/**
 * Where the tests of a file run. A file of tests/web may import one that Node runs, and so run it
 * in its browser too. `files`: all there are, as a map of paths to sources.
 */
export function hostsOf(path, files) {
  const hosts = path.startsWith('js/test/') ? ['Node'] : [];
  const inChromium = [...files].some(
    ([other, source]) =>
      other.startsWith('tests/web/') &&
      (other === path || source.includes(`import('../../${path}')`)) &&
      /launchChromium|ChromiumVisitor/.test(source),
  );
  return inChromium ? ['Chromium', ...hosts] : hosts;
}

/** All rows: `{ path, parts, hosts }`. */
export function rows(files = testFiles()) {
  return [...files].flatMap(([path, source]) =>
    faultsOf(source).map((parts) => ({ path, parts, hosts: hostsOf(path, files) })),
  );
}

/** `text` with a current table. */
export function withTable(text) {
  const lines = rows().map(({ path, parts, hosts }) => {
    const link = `${hosts.join(', ')}: [${path.split('/').at(-1)}](../${path})`;
    return `| ${[...parts, link].join(' | ')} |`;
  });
  const heading = '| fault | what the user sees | what is kept | tested in |\n|---|---|---|---|';
  const table = `${lines.length} rows, each a test.\n\n${heading}\n${lines.join('\n')}`;
  return section('docs/RELIABILITY.md', text, 'scripts/faults.mjs', table);
}
