// Constrained answers: the generation loop with a fake module, and the built module itself.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { rustRegex } from '../dist/prompt-api/regexp.js';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';

/** Allows any `count` tokens, then the answer must end. Its mask is the number of tokens left. */
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
      forced: () => ((FakeGrammars.forcedAt ?? [1]).includes(left) ? '}' : ''),
      accept: (id) => FakeGrammars.before(id) || (left -= 1),
      ignored: () => [],
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

test('only allowed tokens are sampled, and a complete answer ends at once', async (t) => {
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
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'force'),
    [['force', '}']],
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

test('no mask is made before a token that is not drawn', async (t) => {
  const { llm, fake } = await load(t);
  // two of four tokens
  fake.force = (text) => fake.log.push(['force', text]) && 2;
  FakeGrammars.forcedAt = [3];
  t.after(() => delete FakeGrammars.forcedAt);
  await collect(llm.generate('a b c d', { constraint: { choices: ['w', 'x', 'y', 'z'] } }));
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'allow' || what === 'force'),
    [
      ['allow', 4],
      ['allow', 3],
      ['force', '}'],
      ['allow', 1],
    ],
  );
});

test('a truncated answer is reported as not fitting its constraint; without a constraint there is no report', async (t) => {
  const { llm, started } = await load(t);
  const [, cut] = await collect(llm.generate('a', { constraint: { choices: ['x', 'y', 'z'] } }));
  assert.equal(cut.finish.fits, false);
  const [, free] = await collect(llm.generate('a'));
  assert.equal('fits' in free.finish, false);
  assert.equal(started.times, 1);
});

test('answers without a constraint do not fetch the module', async (t) => {
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

test('an invalid constraint is named at the call', async (t) => {
  const { llm } = await load(t);
  for (const constraint of [null, 'json', {}, { gbnf: '' }, { regex: 'a', lark: 'b' }]) {
    assert.throws(() => llm.generate('a', { constraint }), { code: 'INVALID_OPTION', message: /`constraint`/ });
  }
});

/** The built module, with one token per byte. */
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

/** Whether `constrained` allows the answer `text`. */
function accepts(constrained, text) {
  for (const byte of new TextEncoder().encode(text)) {
    if (!allows(constrained.mask(), byte)) return false;
    constrained.accept(byte);
  }
  return allows(constrained.mask(), END);
}

test('the built module accepts every kind of constraint, and refuses invalid ones', async () => {
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

test('a RegExp of the Prompt API matches as in JavaScript', async () => {
  const grammars = await realGrammars();
  const cases = [
    [/^\d{3}-\d{4}$/, '123-4567', '١٢٣-4567'],
    [/^\w+\W\D[\W\d]$/, 'ab é1', 'é éx'],
    [/^https?:\/\/[^/]+$/, 'https://a', 'https:a'],
    [/^[^]$/, '\n', ''],
    [/^[[]x]$/, '[x]', '['],
    [/^[a-c&&b~~|]+$/, 'a&b~|', '['],
    [/^a{,3}{b}$/, 'a{,3}{b}', 'aa{b}'],
    [/^a{1,2}b{2}$/, 'aabb', 'aab'],
    [/^.$/, 'é', '\r'],
    [/^.$/s, '\n', ''],
    // oxlint-disable-next-line no-useless-escape -- that it is useless is what is tested
    [/^[\b\0]\cJ\<$/, '\b\n<', 'b\n<'],
    [/^\ud83d\ude00\x41$/, '😀A', '😀'],
    [/^\u{1F600}\p{L}$/u, '😀é', '😀1'],
    [/^(?<a>yes|no)\.?$/i, 'YES.', 'maybe'],
    [/^a|b\\$/, 'b\\', 'b'],
  ];
  for (const [expression, right, wrong] of cases) {
    const constraint = JSON.stringify({ regex: rustRegex(expression) });
    for (const [text, expected] of [
      [right, true],
      [wrong, false],
    ]) {
      assert.equal(accepts(grammars.constrain(constraint), text), expected, `${expression} ${JSON.stringify(text)}`);
      // as a whole, as required
      if (expected) assert.match(text, expression);
    }
  }
});

test('vllm#52011: numbers, formats and recursion are bounded, and the bounds can be set', async () => {
  const grammars = await realGrammars();
  const fits = (jsonSchema, text, limits = {}) =>
    accepts(grammars.constrain(JSON.stringify({ jsonSchema }), { limits }), text);
  const deep = (levels) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  const tree = { $ref: '#/$defs/a', $defs: { a: { type: 'array', items: { $ref: '#/$defs/a' } } } };
  for (const [schema, short, long, limits] of [
    [{}, '1'.repeat(20), '1'.repeat(21)],
    [{ type: 'integer' }, '1'.repeat(20), '1'.repeat(2000)],
    [{ type: 'integer', minimum: 3 }, '1'.repeat(20), '1'.repeat(21)],
    [{ type: 'number' }, `0.${'1'.repeat(17)}`, `0.${'1'.repeat(18)}`],
    [{ type: 'number', minimum: 0 }, `0.${'0'.repeat(17)}`, `0.${'0'.repeat(18)}`],
    [{ type: 'number' }, '1e99', '1e100'],
    [{ type: 'number' }, '123.12', '123.123', { digits: 3, fraction: 2 }],
    [{ format: 'date-time' }, '"2024-01-02T03:04:05.123456789Z"', '"2024-01-02T03:04:05.1234567890Z"'],
    [{ format: 'date-time' }, '"2024-01-02T03:04:05.123Z"', '"2024-01-02T03:04:05.1234Z"', { seconds: 3 }],
    [{ type: 'string', format: 'email' }, `"${'a'.repeat(64)}@b.cd"`, `"${'a'.repeat(65)}@b.cd"`],
    [{ type: 'string', format: 'uri' }, `"https://a.b/${'c'.repeat(500)}"`, `"https://a.b/${'c'.repeat(501)}"`],
    [tree, deep(10), deep(11)],
    [tree, deep(2), deep(3), { depth: 2 }],
    [{ type: 'array' }, deep(11), deep(12)],
  ]) {
    assert.ok(fits(schema, short, limits), `${short} fits ${JSON.stringify(schema)}`);
    assert.ok(!fits(schema, long, limits), `${long} does not fit ${JSON.stringify(schema)}`);
  }
});

test('xgrammar#122: a $ref with ~1, %25, an anchor or an address is resolved', async () => {
  const grammars = await realGrammars();
  const $defs = {
    'a/b%': { type: 'integer' },
    c: { $anchor: 'here', const: 'x' },
    d: { $id: 'https://a.b/d', type: 'null' },
  };
  for (const [$ref, text] of [
    ['#/$defs/a~1b%25', '12'],
    ['#here', '"x"'],
    ['https://a.b/d', 'null'],
  ]) {
    const constrained = () => grammars.constrain(JSON.stringify({ jsonSchema: { $ref, $defs } }));
    assert.ok(accepts(constrained(), text) && !accepts(constrained(), 'true'), $ref);
  }
});

test('a keyword that cannot be enforced is refused with its place and a remedy, or skipped and reported', async (t) => {
  const grammars = await realGrammars();
  const unable = {
    type: 'object',
    properties: { 'a/b': { type: 'array', items: { type: 'string' }, uniqueItems: true } },
  };
  for (const [jsonSchema, keyword, pointer] of [
    [unable, 'uniqueItems', '/properties/a~1b'],
    [{ properties: { a: { pattern: '(x)\\1' } } }, 'pattern', '/properties/a'],
    [{ $defs: { a: { not: { items: { minLength: 1 } } } }, $ref: '#/$defs/a' }, 'not', '/$defs/a'],
    [
      {
        oneOf: [
          { type: 'array', items: { const: 1 } },
          { type: 'array', items: { const: 2 } },
        ],
      },
      'oneOf',
      '',
    ],
    [{ anyOf: [{ $ref: 'https://a.b/c' }] }, '$ref', '/anyOf/0'],
  ]) {
    const constraint = JSON.stringify({ jsonSchema });
    const message = new RegExp(
      `\`${keyword.replace('$', '\\$')}\` at #${pointer.replace('$', '\\$')} cannot be enforced: .*onUnsupported: 'ignore'`,
    );
    assert.throws(() => grammars.constrain(constraint), { code: 'INVALID_CONSTRAINT', message });
    const constrained = grammars.constrain(constraint, { onUnsupported: 'ignore' });
    const [ignored] = constrained.ignored();
    assert.deepEqual([ignored.keyword, ignored.pointer, typeof ignored.reason], [keyword, pointer, 'string']);
  }
  const { llm } = await loadFake(t, new FakeLlm(), { grammars: async () => ({ Grammars: IgnoringGrammars }) });
  const pieces = await collect(llm.generate('a', { constraint: { jsonSchema: unable }, onUnsupported: 'ignore' }));
  assert.deepEqual(pieces.at(-1).finish.ignored, IgnoringGrammars.ignored);
  assert.deepEqual(IgnoringGrammars.options, { onUnsupported: 'ignore', limits: {} });
  const request = {
    messages: [{ role: 'user', content: 'a' }],
    on_unsupported: 'ignore',
    response_format: { type: 'json_schema', json_schema: { schema: unable } },
  };
  const answer = await llm.chat.completions.create(request);
  assert.deepEqual(answer.choices[0].schema_ignored, IgnoringGrammars.ignored);
  const streamed = [];
  for await (const { choices } of await llm.chat.completions.create({ ...request, stream: true }))
    streamed.push(...choices);
  assert.deepEqual(streamed.at(-1).schema_ignored, IgnoringGrammars.ignored);
  for (const [options, name] of [
    [{ onUnsupported: 'warn' }, 'onUnsupported'],
    [{ limits: 3 }, 'limits'],
    [{ limits: { digits: 0 } }, 'limits.digits'],
    [{ limits: { digit: 3 } }, 'digit'],
  ]) {
    assert.throws(() => llm.generate('a', options), { code: 'INVALID_OPTION', message: new RegExp(name) });
  }
});

/** Reports an ignored keyword. */
class IgnoringGrammars {
  static ignored = [{ pointer: '/a', keyword: 'uniqueItems', reason: 'why' }];
  static options = null;

  constrain(_, options) {
    IgnoringGrammars.options = options;
    return {
      ignored: () => IgnoringGrammars.ignored,
      mask: () => Uint32Array.of(0xffffffff),
      forced: () => '',
      accept: () => {},
      may_end: () => true,
      must_end: () => true,
      free: () => {},
    };
  }
}

test('100,000 choices and an enum of as many are ready at once, or refused at once', async () => {
  const grammars = await realGrammars();
  const numbered = Array.from({ length: 100_000 }, (_, i) => `choice number ${(i * 7919) % 1_000_003}`);
  const own = numbered.map((_, i) =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(36)).join(i),
  );
  for (const constraintOf of [(choices) => ({ choices }), (texts) => ({ jsonSchema: { enum: texts } })]) {
    const constraint = constraintOf(numbered);
    const text = 'choices' in constraint ? numbered[77] : JSON.stringify(numbered[77]);
    assert.ok(accepts(grammars.constrain(JSON.stringify(constraint)), text));
    const tooMany = () => grammars.constrain(JSON.stringify(constraintOf(own)));
    assert.throws(tooMany, { code: 'INVALID_CONSTRAINT', message: /100000 texts to choose from are too many/ });
  }
});

test('objects of thousands of properties, and arrays of thousands of items, do not exhaust the stack', async () => {
  const grammars = await realGrammars();
  const names = Array.from({ length: 3000 }, (_, i) => `p${i}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'integer' }]));
  const fits = (jsonSchema, text) => accepts(grammars.constrain(JSON.stringify({ jsonSchema })), text);
  const closed = { type: 'object', properties, additionalProperties: false };
  assert.ok(fits(closed, '{"p7": 1, "p2999": 2}') && !fits(closed, '{"p7": 1, "p3": 2}'));
  assert.ok(fits({ ...closed, required: ['p3', 'p1500'] }, '{"p1": 1, "p3": 1, "p1500": 2, "p1502": 3}'));
  assert.ok(!fits({ ...closed, required: ['p3', 'p1500'] }, '{"p1": 1, "p3": 1, "p1502": 3}'));
  assert.ok(fits({ const: names }, `[${names.map((name) => `"${name}"`).join(', ')}]`));
});

test('hostile schemas are refused or work, and the module works on', async () => {
  const grammars = await realGrammars();
  const letters = [...'abcdefghijkl'];
  const anyOf = (i) =>
    [0, 1, 2].map((j) => ({ properties: { [`p${i}`]: { const: j } }, required: [`p${i}`], type: 'object' }));
  for (const [jsonSchema, message] of [
    [{ $defs: { a: { not: { $ref: '#/$defs/a' } } }, $ref: '#/$defs/a' }, /leads back to itself/],
    [{ $ref: '#' }, /no end/],
    [
      {
        $defs: { a: { type: 'object', properties: { b: { $ref: '#/$defs/a' } }, required: ['b'] } },
        $ref: '#/$defs/a',
      },
      /no end/,
    ],
    [
      { patternProperties: Object.fromEntries(letters.map((letter) => [letter, { type: 'string' }])) },
      /too many `patternProperties`/,
    ],
    [{ enum: Array.from({ length: 5000 }, (_, i) => ({ a: i })) }, /5000 arrays and objects/],
    [{ allOf: letters.map((_, i) => ({ anyOf: anyOf(i) })) }, /too large/],
  ]) {
    assert.throws(() => grammars.constrain(JSON.stringify({ jsonSchema })), { code: 'INVALID_CONSTRAINT', message });
  }
  let nested = { type: 'string' };
  for (let i = 0; i < 55; i += 1) nested = { type: 'object', properties: { a: nested }, required: ['a'] };
  for (const jsonSchema of [
    nested,
    { type: 'string', minLength: 1e9 },
    { type: 'array', maxItems: 1e9 },
    { type: 'string', pattern: '^(a{1,1000}){1,1000}$' },
    { type: 'string', pattern: `^${letters.map((letter) => `(?=.*${letter})`).join('')}.*$` },
    {
      allOf: ['a', 'b'].map((name) => ({ $ref: `#/$defs/${name}` })),
      $defs: { a: { properties: { c: { $ref: '#/$defs/a' } } }, b: { properties: { c: { $ref: '#/$defs/b' } } } },
    },
  ]) {
    assert.ok(
      grammars
        .constrain(JSON.stringify({ jsonSchema }))
        .mask()
        .some((word) => word !== 0),
      JSON.stringify(jsonSchema),
    );
  }
});
