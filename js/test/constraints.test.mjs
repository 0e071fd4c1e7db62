// Constrained answers: what the generation loop makes of what the module says, and the built module itself.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';

/** Allows `count` tokens, any; then the answer must end. Its mask is how many are left. */
class FakeGrammars {
  static log = [];
  static before = () => {};

  constructor(bytes, ends, end) {
    FakeGrammars.log.push(['read', ...bytes, ...ends, end]);
  }

  constrain(constraint) {
    FakeGrammars.log.push(['constrain', constraint]);
    let left = JSON.parse(constraint).choices.length;
    return {
      mask: () => Uint32Array.of(left),
      accept: (id) => FakeGrammars.before(id) || (left -= 1),
      ignored: () => '[]',
      may_end: () => left === 0,
      must_end: () => left === 0,
      free: () => FakeGrammars.log.push(['free']),
    };
  }
}

const load = (t, fake = new FakeLlm()) => {
  FakeGrammars.log = [];
  FakeGrammars.before = () => {};
  const started = { times: 0 };
  const grammars = async () => {
    started.times += 1;
    return { Grammars: FakeGrammars };
  };
  return loadFake(t, fake, { grammars }).then((loaded) => ({ ...loaded, started }));
};

test('every token is drawn from what is allowed, and a whole answer ends at once', async (t) => {
  const { llm, fake, started } = await load(t);
  const pieces = await collect(llm.generate('a b c d', { constraint: { choices: ['x', 'y'] } }));
  assert.equal(pieces.map(({ text }) => text).join(''), 'ab');
  assert.deepEqual([pieces.at(-1).finish.reason, pieces.at(-1).finish.fits], ['stop', true]);
  assert.equal(fake.options.constrained, true);
  assert.equal('constraint' in fake.options, false);
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'allow'),
    [
      ['allow', 2],
      ['allow', 1],
    ],
  );
  // the vocabulary is read once
  await collect(llm.generate('a', { constraint: { choices: ['x', 'y'] } }));
  assert.deepEqual(
    FakeGrammars.log.map(([what]) => what),
    ['read', 'constrain', 'free', 'constrain', 'free'],
  );
  assert.deepEqual(FakeGrammars.log[0], ['read', 97, 98, 99, 1, 2, 3, 2]);
  assert.equal(started.times, 1);
});

test('an answer that was cut says that it does not fit; one without a constraint says nothing', async (t) => {
  const { llm, started } = await load(t);
  const [, cut] = await collect(llm.generate('a', { constraint: { choices: ['x', 'y', 'z'] } }));
  assert.equal(cut.finish.fits, false);
  const [, free] = await collect(llm.generate('a'));
  assert.equal('fits' in free.finish, false);
  assert.equal(started.times, 1);
});

test('nothing is fetched for answers that are not constrained', async (t) => {
  const { llm, started } = await load(t);
  await collect(llm.generate('a'));
  assert.equal(started.times, 0);
});

test('a crash of the module ends the answer, not the model', async (t) => {
  const { llm, fake } = await load(t);
  FakeGrammars.before = () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  const failed = collect(llm.generate('a b', { constraint: { choices: ['x'] } }));
  await assert.rejects(failed, { code: 'INVALID_CONSTRAINT', message: /crashed.*unreachable/ });
  assert.equal(fake.log.at(-1)[0], 'stop');
  assert.equal((await collect(llm.generate('a'))).length, 2);
});

test('a module that cannot be fetched is tried again with the next constraint', async (t) => {
  let times = 0;
  FakeGrammars.before = () => {};
  const grammars = async () => {
    times += 1;
    if (times === 1) throw new TypeError('offline');
    return { Grammars: FakeGrammars };
  };
  const { llm } = await loadFake(t, new FakeLlm(), { grammars });
  const ask = () => collect(llm.generate('a', { constraint: { choices: ['x'] } }));
  await assert.rejects(ask(), /offline/);
  assert.equal((await ask()).at(-1).finish.fits, true);
});

test('what is no constraint is named at the call', async (t) => {
  const { llm } = await load(t);
  for (const constraint of [null, 'json', {}, { gbnf: '' }, { regex: 'a', lark: 'b' }]) {
    assert.throws(() => llm.generate('a', { constraint }), { code: 'INVALID_OPTION', message: /`constraint`/ });
  }
});

/** The module as it is built, with a token a byte. */
async function realGrammars() {
  const { default: start, Grammars } = await import('../generated/weft-grammar.js');
  const wasm = new URL('../generated/weft-grammar_bg.wasm', import.meta.url);
  await start({ module_or_path: await readFile(wasm) });
  const bytes = Uint8Array.from([...Array(255).keys(), 0xff, ...new TextEncoder().encode('<end>')]);
  const ends = Uint32Array.from([...Array(255).keys(), 260], (end, i) => (i < 255 ? end + 1 : 261));
  return new Grammars(bytes, ends, 255);
}

const END = 255;
const allows = (mask, id) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;

/** Whether `text` is one of the answers that `constrained` allows. */
function accepts(constrained, text) {
  for (const byte of new TextEncoder().encode(text)) {
    if (!allows(constrained.mask(), byte)) return false;
    constrained.accept(byte);
  }
  return allows(constrained.mask(), END);
}

test('the built module: constraints of every kind, and what they refuse', async () => {
  const grammars = await realGrammars();
  const fits = (constraint, text) => accepts(grammars.constrain(JSON.stringify(constraint)), text);
  assert.ok(fits({ jsonSchema: { type: 'array', items: { type: 'integer' } } }, '[1, 22]'));
  assert.ok(!fits({ jsonSchema: { type: 'array', items: { type: 'integer' } } }, '[1, "a"]'));
  assert.ok(fits({ regex: '[a-f]+é' }, 'abé') && !fits({ regex: '[a-f]+' }, 'xyz'));
  assert.ok(fits({ lark: 'start: "a" start | "b"' }, 'aab'));
  assert.ok(fits({ choices: ['yes', 'no'] }, 'no') && !fits({ choices: ['yes', 'no'] }, 'nope'));
  for (const constraint of [{ jsonSchema: { not: {} } }, { regex: '(' }, { lark: 'x' }, { choices: [] }]) {
    assert.throws(() => grammars.constrain(JSON.stringify(constraint)), { code: 'INVALID_CONSTRAINT' });
  }
});
