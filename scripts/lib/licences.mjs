// The licence of every dependency, compared with those that MIT OR Apache-2.0 may be combined with
// on no condition but a notice.
//
// Advisories: `npm audit` runs if the registry can be reached. cargo-deny and cargo-audit are not
// used: both fetch their advisory database at every run, and building either takes longer than all
// other checks of licences.

import { readFile } from 'node:fs/promises';
import { inRoot, output } from './run.mjs';

const allowed = new Set(
  ['0BSD', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'BSD-2-Clause', 'BSD-3-Clause', 'BSL-1.0'].concat([
    'CC0-1.0',
    'ISC',
    'MIT',
    'Unicode-3.0',
    'Unlicense',
    'Zlib',
  ]),
);

/** Unmodified build tools that no user receives. */
const allowedForTools = new Set([...allowed, 'BlueOak-1.0.0', 'CC-BY-4.0', 'MPL-2.0', 'Python-2.0']);

/**
 * Throws, naming each dependency whose licence is not allowed. Returns the number of dependencies.
 */
export async function checkLicences() {
  const crates = ['Cargo.toml', 'grammar/Cargo.toml', 'sound/Cargo.toml', 'tools/bindgen/Cargo.toml'].flatMap(cratesOf);
  const packages = await npmPackages();
  const refused = [...crates, ...packages].filter(({ licence, permit }) => !allows(licence, permit));
  if (refused.length) {
    const lines = refused.map(({ name, licence }) => `  ${name}: ${licence ?? 'no licence given'}`);
    throw new Error(`licences that scripts/lib/licences.mjs does not allow:\n${lines.join('\n')}`);
  }
  return `${crates.length} crates, ${packages.length} npm packages`;
}

function cratesOf(manifest) {
  const host = /^host: (.+)$/m.exec(output('rustc', ['-vV']))[1];
  const found = new Map();
  for (const platform of ['wasm32-unknown-unknown', host]) {
    for (const { name, version, license } of metadataOf(manifest, platform).packages) {
      found.set(`${name} ${version}`, { name: `${name} ${version}`, licence: license, permit: allowed });
    }
  }
  return [...found.values()];
}

/**
 * What `cargo metadata` says of the dependencies of a manifest, on one platform and with
 * `features`.
 */
export function metadataOf(manifest, platform, features = []) {
  const common = ['--format-version', '1', '--locked', '--filter-platform', platform];
  const args = ['metadata', ...common, '--manifest-path', inRoot(manifest), ...features];
  const metadata = output('cargo', args);
  if (!metadata) throw new Error(`\`cargo ${args.join(' ')}\` failed: is the lock file up to date?`);
  return JSON.parse(metadata);
}

async function npmPackages() {
  const { packages } = JSON.parse(await readFile(inRoot('package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && !link)
    .map(([path, { license, dev, devOptional }]) => ({
      name: path,
      licence: license,
      permit: dev || devOptional ? allowedForTools : allowed,
    }));
}

/** Whether the licences of `permit` meet an SPDX expression. Old crates write `/` for OR. */
export function allows(expression, permit) {
  if (!expression) return false;
  const tokens = expression.replaceAll('/', ' OR ').match(/[()]|[^\s()]+/g);
  const either = () => {
    let met = both();
    while (tokens[0] === 'OR') met = [tokens.shift(), both()][1] || met;
    return met;
  };
  const both = () => {
    let met = one();
    while (tokens[0] === 'AND') met = [tokens.shift(), one()][1] && met;
    return met;
  };
  const one = () => {
    let name = tokens.shift();
    if (name === '(') return [either(), tokens.shift()][0];
    if (tokens[0] === 'WITH') name = [name, tokens.shift(), tokens.shift()].join(' ');
    return permit.has(name);
  };
  const met = either();
  return met && tokens.length === 0;
}
