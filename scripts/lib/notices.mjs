// The licences in the npm package: weft's two, and the notices of every crate in the wasm. MIT,
// Apache-2.0 and similar licences require notices in copies, and a compiled module is a copy.

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
  const texts = notices(await Promise.all(crates.map(withTexts)), await Promise.all(IN_COMMAND.map(npmPackage)));
  await writeFile(inRoot('js/THIRD-PARTY-NOTICES.md'), texts);
  return `${crates.length} crates`;
}

/** What js/build.mjs bundles into the command; it fails if this is not all. */
export const IN_COMMAND = ['@polka/url', 'mrmime', 'sirv', 'totalist'];

async function npmPackage(name) {
  const manifest_path = inRoot('node_modules', name, 'package.json');
  const { version, license, repository } = JSON.parse(await readFile(manifest_path, 'utf8'));
  const url = typeof repository === 'string' ? `https://github.com/${repository}` : (repository?.url ?? null);
  return withTexts({ name, version, license, repository: url, manifest_path });
}

/**
 * The crates that are compiled into the module, from the output of `cargo metadata`. Dependencies
 * of tests or of the build do not ship, nor do procedural macros, which run in the compiler.
 */
export function shippedCrates({ packages, resolve }) {
  const crates = new Map(packages.map((crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const shipped = new Set([resolve.root]);
  // Iterating over a set includes what is added during the iteration.
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
 * The notices as Markdown: the crates and npm packages with their licences, then every licence text
 * once, under those that carry it. Both have `name`, `licence`, `repository` and `texts`.
 */
export function notices(crates, packages = []) {
  const carriers = new Map();
  for (const { name, texts } of [...crates, ...packages]) {
    for (const text of texts) {
      // Texts that differ in line ends and spaces alone are the same.
      const key = text.replace(/\s+/g, ' ').trim();
      const entry = carriers.get(key) ?? { text: text.replaceAll('\r\n', '\n').trimEnd(), names: [] };
      entry.names.push(name);
      carriers.set(key, entry);
    }
  }
  const listed = (all) => all.map(listing).join('\n');
  return [
    '# Third-party notices',
    'The WebAssembly modules are built from these crates and the Rust standard library (MIT OR Apache-2.0, the Rust Project ' +
      'Developers, https://github.com/rust-lang/rust). The full text of Apache-2.0 is in LICENSE-APACHE too.',
    listed(crates),
    ...(packages.length ? ['The command `weft-llm` contains these npm packages.', listed(packages)] : []),
    ...[...carriers.values()].map(({ text, names }) => `## ${names.join(', ')}\n\n~~~text\n${text}\n~~~`),
    '',
  ].join('\n\n');
}

function listing({ name, licence, repository, texts }) {
  const source = texts.length ? '' : `; it comes without a licence text${repository ? `, see ${repository}` : ''}`;
  return `- ${name}: ${licence}${source}`;
}
