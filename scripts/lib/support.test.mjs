import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inRoot } from './run.mjs';
import { architectures, blockTypes, DOCUMENTS, MODELS, withSupport } from './support.mjs';

for (const document of DOCUMENTS) {
  test(`the lists of ${document} are current: \`node scripts/support.mjs\` writes them`, () => {
    const text = readFileSync(inRoot(document), 'utf8');
    assert.equal(text, withSupport(document, text));
  });
}

test('exactly the architectures of the code have models and kinds', () => {
  const kinds = Object.fromEntries(
    architectures().map(({ name, experts, encoder }) => {
      const models = MODELS[name] ?? {};
      assert.deepEqual(
        { name, experts: 'experts' in models, encoder: 'encoder' in models },
        { name, experts, encoder },
      );
      return [name, models];
    }),
  );
  assert.deepEqual(Object.keys(kinds).sort(), Object.keys(MODELS).sort());
});

test('README.md counts the architectures', () => {
  const [, count] = /(\d+) architectures/.exec(readFileSync(inRoot('README.md'), 'utf8'));
  assert.equal(Number(count), architectures().length);
});

test('rows of the table are found, whatever gives them their names', () => {
  const source = `const BASE: Architecture = Architecture {
    name: "base",
};
const OWN: Architecture = Architecture { name: "own", ..BASE };
const ARCHITECTURES: &[Architecture] = &[
    // a remark
    Architecture { experts: Some(Weighting::Softmax), ..BASE },
    OWN,
    Architecture {
        name: "long",
        ..BASE
    },
    Architecture { encoder: true, ..gpt("gpt-x", HALVES, Function::Gelu) },
];
`;
  assert.deepEqual(architectures(source), [
    { name: 'base', experts: true, encoder: false },
    { name: 'own', experts: false, encoder: false },
    { name: 'long', experts: false, encoder: false },
    { name: 'gpt-x', experts: false, encoder: true },
  ]);
});

test('block types have the names of ggml', () => {
  const types = blockTypes();
  const [, count] = /const ALL: \[Self; (\d+)\]/.exec(readFileSync(inRoot('src/format/block.rs'), 'utf8'));
  assert.deepEqual([types.length, types.includes('Q4_K'), types.includes('Q8_K')], [Number(count), true, false]);
});
