import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksIn } from './snippets.mjs';

test('code blocks have their line, lose their indent, and keep the words behind the language', () => {
  const text =
    'a\n\n```js run\none();\n```\n\n- b\n\n  ```jsx file=hook.jsx\n  two();\n    three();\n  ```\n\n```sh\nnpm start\n```\n';
  assert.deepEqual(blocksIn('x.md', text), [
    { document: 'x.md', line: 3, language: 'js', code: 'one();\n', run: true, syntax: false },
    {
      document: 'x.md',
      line: 9,
      language: 'jsx',
      code: 'two();\n  three();\n',
      run: false,
      syntax: false,
      file: 'hook.jsx',
    },
  ]);
  assert.throws(() => blocksIn('x.md', '```js rnu\n```\n'), /rnu/);
});
