// The licences in the npm package: our own two, and the notices of every crate that is compiled
// into the wasm. MIT, Apache-2.0 and the like ask that copies carry them, and a compiled module is
// a copy.

import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { metadataOf } from './licences.mjs';
import { inRoot } from './run.mjs';

const licenceFile = /^(licen[cs]e|unlicense|copying|copyright|notice)/i;

/** Writes LICENSE-MIT, LICENSE-APACHE and THIRD-PARTY-NOTICES.md into js/, where npm packs them. */
export async function writeNotices() {
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) await copyFile(inRoot(name), inRoot('js', name));
  const shipped = ['Cargo.toml', 'grammar/Cargo.toml'].flatMap((manifest) =>
    shippedCrates(metadataOf(manifest, 'wasm32-unknown-unknown', ['--no-default-features'])),
  );
  const crates = [...new Map(shipped.map((crate) => [crate.id, crate])).values()].sort(byName);
  await writeFile(inRoot('js/THIRD-PARTY-NOTICES.md'), notices(await Promise.all(crates.map(withTexts))));
  return `${crates.length} crates`;
}

/**
 * The crates that end up in what the root package compiles to, from the output of `cargo metadata`:
 * what is needed for its tests or its build alone does not ship, nor does a procedural macro, which
 * runs in the compiler.
 */
export function shippedCrates({ packages, resolve }) {
  const crates = new Map(packages.map((crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const shipped = new Set([resolve.root]);
  // A set's iteration goes on to what is added meanwhile.
  for (const id of shipped) {
    for (const { pkg, dep_kinds } of nodes.get(id).deps) {
      const macro = crates.get(pkg).targets.some(({ kind }) => kind.includes('proc-macro'));
      if (!macro && dep_kinds.some(({ kind }) => kind === null)) shipped.add(pkg);
    }
  }
  shipped.delete(resolve.root);
  return [...shipped].map((id) => crates.get(id)).sort(byName);
}

const byName = (a, b) => compare(a.name, b.name) || compare(a.version, b.version);
const compare = (a, b) => (a < b ? -1 : Number(a > b));

async function withTexts({ name, version, license, repository, manifest_path }) {
  const folder = dirname(manifest_path);
  const files = (await readdir(folder)).filter((file) => licenceFile.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return { name: `${name} ${version}`, licence: license, repository, texts };
}

/**
 * The notices as Markdown: the crates with their licences, then every licence text once, under the
 * crates that carry it. `crates` have `name`, `licence`, `repository` and `texts`.
 */
export function notices(crates) {
  const carriers = new Map();
  for (const { name, texts } of crates) {
    for (const text of texts) {
      // Texts that differ in line ends and spaces alone are the same.
      const key = text.replace(/\s+/g, ' ').trim();
      const entry = carriers.get(key) ?? { text: text.replaceAll('\r\n', '\n').trimEnd(), names: [] };
      entry.names.push(name);
      carriers.set(key, entry);
    }
  }
  const lines = crates.map(({ name, licence, repository, texts }) => {
    const source = texts.length ? '' : `; it comes without a licence text${repository ? `, see ${repository}` : ''}`;
    return `- ${name}: ${licence}${source}`;
  });
  return [
    '# Third-party notices',
    'The WebAssembly modules are built from these crates and the Rust standard library (MIT OR Apache-2.0, the Rust Project ' +
      'Developers, https://github.com/rust-lang/rust). The full text of Apache-2.0 is in LICENSE-APACHE too.',
    lines.join('\n'),
    ...[...carriers.values()].map(({ text, names }) => `## ${names.join(', ')}\n\n~~~text\n${text}\n~~~`),
    '',
  ].join('\n\n');
}
