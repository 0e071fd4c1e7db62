import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notices, shippedCrates } from './notices.mjs';

test('normal dependencies ship, at any depth, without procedural macros and theirs', () => {
  const crate = (name, kind = 'lib', version = '1.0.0') => ({
    id: `${name} ${version}`,
    name,
    version,
    targets: [{ kind: [kind] }],
  });
  const dep = (pkg, ...kinds) => ({ pkg, dep_kinds: kinds.map((kind) => ({ kind })) });
  const metadata = {
    packages: [
      ...['root', 'deep', 'both', 'built', 'tested', 'syntax'].map((name) => crate(name)),
      crate('macros', 'proc-macro'),
      crate('deep', 'lib', '0.9.0'),
    ],
    resolve: {
      root: 'root 1.0.0',
      nodes: [
        {
          id: 'root 1.0.0',
          deps: [
            dep('both 1.0.0', 'build', null),
            dep('built 1.0.0', 'build'),
            dep('tested 1.0.0', 'dev'),
            dep('macros 1.0.0', null),
          ],
        },
        { id: 'both 1.0.0', deps: [dep('deep 1.0.0', null), dep('deep 0.9.0', null)] },
        { id: 'deep 1.0.0', deps: [dep('both 1.0.0', null)] },
        { id: 'deep 0.9.0', deps: [] },
        { id: 'macros 1.0.0', deps: [dep('syntax 1.0.0', null)] },
      ],
    },
  };
  assert.deepEqual(
    shippedCrates(metadata).map(({ id }) => id),
    ['both 1.0.0', 'deep 0.9.0', 'deep 1.0.0'],
  );
});

test('the notices name every crate, and have every text once', () => {
  const text = notices([
    { name: 'a 1.0.0', licence: 'MIT', repository: null, texts: ['MIT\n\nCopyright a\n', 'Apache'] },
    { name: 'b 2.0.0', licence: 'Apache-2.0', repository: null, texts: ['Apache\r\n'] },
    { name: 'c 3.0.0', licence: 'Zlib', repository: 'https://c.example', texts: [] },
  ]);
  assert.match(text, /^- a 1\.0\.0: MIT\n- b 2\.0\.0: Apache-2\.0\n- c 3\.0\.0: Zlib; .*see https:\/\/c\.example$/m);
  assert.deepEqual(
    [...text.matchAll(/^## (.+)\n\n~~~text\n([^]*?)\n~~~$/gm)].map(([, names, body]) => [names, body]),
    [
      ['a 1.0.0', 'MIT\n\nCopyright a'],
      ['a 1.0.0, b 2.0.0', 'Apache'],
    ],
  );
});
