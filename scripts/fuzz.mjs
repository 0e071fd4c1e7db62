// `npm run fuzz -- TARGET SECONDS` runs a target of fuzz/. It needs a nightly Rust and cargo-fuzz.
// `npm run fuzz -- pack TARGET` packs the target's corpus again.
//
// The corpus of a target is fuzz/corpus/TARGET.tar.gz. A run unpacks it into
// fuzz/target/kept/TARGET and writes the inputs that it finds into fuzz/target/corpus/TARGET.

import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { inRoot, main, run } from './lib/run.mjs';

/** The same content gives the same archive: no dates, no owners, sorted names. */
const DETERMINISTIC = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

const archive = (target) => inRoot('fuzz/corpus', `${target}.tar.gz`);
const kept = (target) => inRoot('fuzz/target/kept', target);

main(async () => {
  const targets = (await readdir(inRoot('fuzz/fuzz_targets'))).map((name) => name.replace('.rs', ''));
  const pack = process.argv[2] === 'pack';
  const [target, seconds = '60'] = process.argv.slice(pack ? 3 : 2);
  if (!targets.includes(target)) {
    throw new Error(`npm run fuzz -- TARGET SECONDS, or -- pack TARGET; TARGET is one of ${targets.join(', ')}`);
  }
  await (pack ? packCorpus(target) : fuzz(target, seconds));
});

async function fuzz(target, seconds) {
  await unpackCorpus(target);
  const found = inRoot('fuzz/target/corpus', target);
  await mkdir(found, { recursive: true });
  const dictionary = inRoot('fuzz/dictionaries', `${target}.dict`);
  const limits = ['-max_len=8192', '-len_control=0', '-timeout=20', '-rss_limit_mb=1024', '-print_final_stats=1'];
  if (existsSync(dictionary)) limits.push(`-dict=${dictionary}`);
  const options = ['--release', '--sanitizer', 'none', '--fuzz-dir', inRoot('fuzz')];
  const corpora = [found, kept(target)];
  const time = `-max_total_time=${seconds}`;
  const said = await run('cargo', ['+nightly', 'fuzz', 'run', ...options, target, ...corpora, '--', time, ...limits]);
  console.log(said.trim().split('\n').slice(-8).join('\n'));
}

/** Unpacks the archive beside inputs that were added by hand. */
async function unpackCorpus(target) {
  await mkdir(kept(target), { recursive: true });
  await run('tar', ['-xzf', archive(target), '-C', kept(target)]);
}

/** Packs fuzz/target/kept/TARGET: the inputs of the archive and those added by hand. */
async function packCorpus(target) {
  await unpackCorpus(target);
  await run('tar', [...DETERMINISTIC, '-czf', archive(target), '-C', kept(target), ...(await readdir(kept(target)))]);
}
