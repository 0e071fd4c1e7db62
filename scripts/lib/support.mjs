// The lists in README.md and js/README.md of what weft runs and reads, from the tables in
// `src/model/architecture.rs` and `src/format/block.rs`.

import { readFileSync } from 'node:fs';
import { inRoot } from './run.mjs';
import { section } from './section.mjs';

const textOf = (path) => readFileSync(inRoot(path), 'utf8');

export const DOCUMENTS = ['README.md', 'js/README.md'];

/**
 * What people call the models of each architecture, by kind: few know GGUF's names. An architecture
 * may have models of two kinds. The file has more of them for docs/MODELS.md.
 */
export const MODELS = Object.fromEntries(
  JSON.parse(textOf('tests/fixtures/architectures/models.json')).map((row) => [row.architecture, row]),
);

/** The rows of the table of architectures: `{ name, experts, encoder }`. */
export function architectures(source = textOf('src/model/architecture.rs')) {
  const [, table] = /^const ARCHITECTURES: .*?\[\n(.*?)^\];/ms.exec(source);
  const rows = table.replaceAll(/^ *\/\/.*\n/gm, '').split(/^ {4}(?=\w)/m);
  return rows.filter(Boolean).map((row) => ({
    name: nameIn(row) ?? nameIn(definitionOf(row, source)),
    experts: /\bexperts: Some/.test(row),
    encoder: /\bencoder: true/.test(row) || /\.\.BERT\b|^BERT,/.test(row),
  }));
}

const nameIn = (row) => /name: "([\w-]+)"|gpt\("([\w-]+)"/.exec(row)?.slice(1).find(Boolean);

/** The constant that a row is, or that names it. */
function definitionOf(row, source) {
  const constant = /\.\.([A-Z_\d]+) |^([A-Z_\d]+),/.exec(row).slice(1).find(Boolean);
  return source.slice(source.indexOf(`const ${constant}: Architecture`));
}

/** ggml's names of the block types that weft reads. */
export function blockTypes(source = textOf('src/format/block.rs')) {
  const [, table] = /const GGML_TYPES: .*?\[(.*?)\];/s.exec(source);
  const names = [...table.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  return [...source.matchAll(/^ *Self::\w+ => \((\d+), \d+, /gm)].map(([, id]) => names[id]);
}

/** The list itself. */
export function support() {
  const known = new Set(architectures().map(({ name }) => name));
  const unknown = [...known].filter((name) => !MODELS[name]);
  if (unknown.length)
    throw new Error(`tests/fixtures/architectures/models.json does not say which models are ${unknown}`);
  const all = Object.entries(MODELS).filter(([name]) => known.has(name));
  const of = (kind) =>
    all.flatMap(([name, models]) => (models[kind] ? together(`${models[kind]} (\`${name}\`)`) : [])).join(', ');
  return [
    `- **Decoders**: ${of('decoder')}.`,
    `- **Mixtures of experts**, of which only the chosen ones are computed: ${of('experts')}.`,
    `- **Encoders**: ${of('encoder')}.`,
    `- **Block types** of GGUF files: ${blockTypes().join(', ')}.`,
  ]
    .map(wrapped)
    .join('\n');
}

const NO_BREAK = '\u00a0';

/** A name stays on its line. */
const together = (text) => text.replaceAll(/(?<!,) /g, NO_BREAK);

/** An item of a list, broken at column 120. */
function wrapped(item) {
  const lines = [];
  for (const word of item.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= 120) lines[lines.length - 1] += ` ${word}`;
    else lines.push(last === undefined ? word : `  ${word}`);
  }
  return lines.join('\n').replaceAll(NO_BREAK, ' ');
}

/** The document with a current list. */
export const withSupport = (document, text = textOf(document)) =>
  section(document, text, 'scripts/support.mjs', support());
