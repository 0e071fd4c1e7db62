// `npm run fuzz -- TARGET SECONDS`: runs a target of fuzz/, and keeps what it finds. Needs a nightly Rust and cargo-fuzz.

import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { inRoot, main, run } from './lib/run.mjs';

main(async () => {
  const targets = (await readdir(inRoot('fuzz/fuzz_targets'))).map((name) => name.replace('.rs', ''));
  const [target, seconds = '60'] = process.argv.slice(2);
  if (!targets.includes(target)) throw new Error(`npm run fuzz -- TARGET SECONDS, where TARGET is of ${targets}`);

  // New inputs go beside the build; the corpus in the repository stays small.
  const found = inRoot('fuzz/target/corpus', target);
  await mkdir(found, { recursive: true });
  const dictionary = inRoot('fuzz/dictionaries', `${target}.dict`);
  const limits = ['-max_len=8192', '-len_control=0', '-timeout=20', '-rss_limit_mb=1024', '-print_final_stats=1'];
  if (existsSync(dictionary)) limits.push(`-dict=${dictionary}`);
  const options = ['--release', '--sanitizer', 'none', '--fuzz-dir', inRoot('fuzz')];
  const corpora = [found, inRoot('fuzz/corpus', target)];
  const said = await run('cargo', [
    '+nightly',
    'fuzz',
    'run',
    ...options,
    target,
    ...corpora,
    '--',
    `-max_total_time=${seconds}`,
    ...limits,
  ]);
  console.log(said.trim().split('\n').slice(-8).join('\n'));
});
