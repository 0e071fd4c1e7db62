// Values cross between the real module and JavaScript as its declarations say.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { parseSync } from 'rolldown/utils';
import { startGrammars } from './support/grammar.mjs';

const generated = (name) => new URL(`../generated/${name}`, import.meta.url);
const modelNamed = (name) =>
  readFile(new URL(`../../tests/fixtures/architectures/${name}/model.gguf`, import.meta.url));

/** Declared types by name, and the module. */
let declared, weft;

before(async () => {
  const text = await readFile(generated('weft-types.d.ts'), 'utf8');
  const { program } = parseSync('weft-types.d.ts', text);
  declared = new Map(program.body.map(({ declaration }) => [declaration.id.name, declaration]));
  weft = await import('../generated/weft.js');
  await weft.default({ module_or_path: await readFile(generated('weft_bg.wasm')) });
});

const LOADER = {
  device: 'cpu',
  contextLength: null,
  tuning: null,
  subgroups: false,
  gpu: null,
  folder: null,
  quantize: null,
  ropeScaling: null,
  kvCache: null,
  prefixBytes: null,
};

async function load(name, options = {}) {
  const loader = await weft.Loader.create({ ...LOADER, ...options }, []);
  await loader.feed(await modelNamed(name));
  return loader.finish();
}

async function estimate(name, options = {}) {
  const estimator = new weft.Estimator(
    { contextLength: null, folder: null, quantize: null, ropeScaling: null, kvCache: null, gpu: null, ...options },
    [],
  );
  estimator.feed(await modelNamed(name));
  return estimator.finish();
}

/** All events of a generation. */
async function eventsOf(llm, options) {
  const handle = llm.start(Uint32Array.of(1, 2, 3), options, 7);
  const events = [];
  do events.push(await llm.next(handle));
  while (events.at(-1).type !== 'end');
  llm.stop(handle);
  return events;
}

/** Throws unless `value` is what the type declares: every declared property, and no other. */
function check(value, type, where) {
  const fail = (expected) => assert.fail(`${where}: expected ${expected}, got ${JSON.stringify(value)}`);
  const isKind = { TSNumberKeyword: 'number', TSStringKeyword: 'string', TSBooleanKeyword: 'boolean' }[type.type];
  if (isKind) return typeof value === isKind || fail(isKind);
  switch (type.type) {
    case 'TSNullKeyword':
      return value === null || fail('null');
    case 'TSLiteralType':
      return value === type.literal.value || fail(type.literal.value);
    case 'TSTypeOperator':
      return check(value, type.typeAnnotation, where);
    case 'TSArrayType':
      if (!Array.isArray(value)) fail('an array');
      return value.forEach((item, at) => check(item, type.elementType, `${where}[${at}]`));
    case 'TSUnionType':
      return type.types.some((option) => fits(value, option)) || fail('one of a union');
    case 'TSTypeReference':
      if (type.typeName.name === 'Record') return checkRecord(value, type.typeArguments.params[1], where);
      return checkNamed(value, type.typeName.name, where);
    case 'TSTypeLiteral':
      return checkProperties(value, type.members, where);
    default:
      assert.fail(`${where}: this test does not know ${type.type}`);
  }
}

function fits(value, type) {
  try {
    check(value, type, '');
    return true;
  } catch {
    return false;
  }
}

/** A plain object with any names, whose values are of this type. */
function checkRecord(value, type, where) {
  assert.equal(Object.getPrototypeOf(value), Object.prototype, `${where} is a plain object`);
  for (const [name, item] of Object.entries(value)) check(item, type, `${where}.${name}`);
}

function checkNamed(value, name, where = name) {
  const declaration = declared.get(name) ?? assert.fail(`${name} is not declared`);
  if (declaration.type === 'TSTypeAliasDeclaration') check(value, declaration.typeAnnotation, where);
  else checkProperties(value, membersOf(declaration), where);
}

function membersOf({ extends: bases, body }) {
  return [...bases.flatMap(({ expression }) => membersOf(declared.get(expression.name))), ...body.body];
}

function checkProperties(value, members, where) {
  assert.equal(Object.getPrototypeOf(value), Object.prototype, `${where} is a plain object`);
  const names = members.filter(({ key, optional }) => !optional || key.name in value).map(({ key }) => key.name);
  assert.deepEqual(Object.keys(value).sort(), names.sort(), where);
  for (const { key, typeAnnotation } of members) {
    if (key.name in value) check(value[key.name], typeAnnotation.typeAnnotation, `${where}.${key.name}`);
  }
}

test('the info of a model is as declared: numbers are numbers, and what is missing is null', async () => {
  const decoder = await load('llama', { contextLength: 16 });
  checkNamed(decoder.info(), 'Info');
  const { kind, maskToken, contextLength, parameters, labels, basename, sizeLabel } = decoder.info();
  assert.deepEqual([kind, maskToken, contextLength, labels], ['decoder', null, 16, []]);
  assert.deepEqual([basename, sizeLabel], [null, null]);
  assert.ok(Number.isSafeInteger(parameters) && parameters > 0);
  assert.equal(typeof decoder.engine_reason(), 'string');
  const encoder = await load('bert-masked-lm');
  checkNamed(encoder.info(), 'Info');
  assert.equal(encoder.info().maskToken, '[MASK]');
});

test('an estimate is as declared', async () => {
  const needed = await estimate('llama', { contextLength: 16 });
  checkNamed(needed, 'Estimate');
  assert.equal(needed.weightBytes + needed.activationBytes, needed.loadedBytes);
  assert.equal(needed.gpuTime, null);
  const timed = await estimate('llama', { contextLength: 16, gpu: ['intel', 'gen-12lp'] });
  checkNamed(timed, 'Estimate');
  const { family, promptTokens, promptSeconds, tokenSeconds } = timed.gpuTime;
  assert.deepEqual([family, promptTokens], ['Intel Iris Xe', 15]);
  for (const { least, most } of [promptSeconds, tokenSeconds]) assert.ok(0 < least && least < most);
});

test('the events of a generation are as declared, with log-probabilities only if they were asked for', async () => {
  const llm = await load('llama');
  const options = { temperature: 0, maxTokens: 2, ignoreEos: true };
  const plain = await eventsOf(llm, options);
  const rated = await eventsOf(llm, { ...options, topLogprobs: 3 });
  const prefilled = await eventsOf(llm, { prefill: true });
  for (const event of [...plain, ...rated, ...prefilled]) checkNamed(event, 'Event');
  const typesOf = (events) => events.map(({ type }) => type);
  assert.deepEqual(
    [typesOf(plain), typesOf(prefilled)],
    [
      ['token', 'token', 'end'],
      ['prompt', 'end'],
    ],
  );
  assert.deepEqual([plain.at(-1).reason, plain.some((event) => 'logprobs' in event)], ['length', false]);
  const [{ id, logprobs }] = rated.filter(({ type }) => type === 'token');
  assert.equal(logprobs.id, id);
  assert.equal(logprobs.top.length, 3);
  assert.ok(logprobs.logprob < 0);
});

test('labels, tokens with labels and fillings are as declared', async () => {
  const classifier = await load('bert-sequence-classification');
  const labels = await classifier.classify('a b', null, false);
  checkNamed(labels, 'LabelScores');
  assert.deepEqual(labels.map(({ label }) => label).sort(), [...classifier.info().labels].sort());
  const filler = await load('bert-masked-lm');
  const fillings = await filler.fill_mask('a [MASK] b [MASK]', 4, false);
  checkNamed(fillings, 'Fillings');
  assert.deepEqual(
    fillings.map(({ length }) => length),
    [4, 4],
  );
});

test('an option that is undefined is absent, and null is what Rust calls none', async () => {
  const llm = await load('llama');
  const options = { temperature: 0, maxTokens: 1, ignoreEos: true };
  const missing = { topK: undefined, stop: undefined, seed: undefined, topLogprobs: undefined };
  const [events, same] = [await eventsOf(llm, options), await eventsOf(llm, { ...options, ...missing })];
  assert.deepEqual(same, events);
  assert.deepEqual(await eventsOf(llm, { ...options, topLogprobs: null, seed: null }), events);
  const seeded = await eventsOf(llm, { ...options, seed: Number.MAX_SAFE_INTEGER, logitBias: [[0, -1.5]] });
  assert.equal(seeded.length, events.length);
});

const WRONG = {
  'a number for a list': [{ stop: 3 }, /option `options`: .*integer `3`/],
  'a text for a number': [{ topK: '40' }, /string "40"/],
  'a fraction for a whole number': [{ topK: 1.5 }, /floating point `1.5`/],
  'a negative number where there is none': [{ maxTokens: -1 }, /-1/],
  'more than 32 bits': [{ topK: 2 ** 32 }, /4294967296/],
  'a list of other things': [{ keepSpecial: [1] }, /integer `1`/],
  'null for a number that must be there': [{ temperature: null }, /invalid type/],
};

for (const [what, [options, message]] of Object.entries(WRONG)) {
  test(`refuses ${what}`, async () => {
    const llm = await load('llama');
    assert.throws(() => llm.start(Uint32Array.of(1), options, 0), { code: 'INVALID_OPTION', message });
  });
}

test('an option out of range is named', async () => {
  const llm = await load('llama');
  const message = /option `topP`: expected a number from 0 to 1, got 2/;
  assert.throws(() => llm.start(Uint32Array.of(1), { topP: 2 }, 0), { code: 'INVALID_OPTION', message });
});

test('an unknown option, a wrong one, and what is no object are refused', async () => {
  const encoder = await load('bert-masked-lm');
  const invalid = (message) => ({ code: 'INVALID_OPTION', message });
  await assert.rejects(
    encoder.embed(['a'], { pool: 'cls' }),
    invalid(/unknown field `pool`, expected one of `pooling`/),
  );
  await assert.rejects(
    encoder.embed(['a'], { pooling: 'max' }),
    invalid(/unknown variant `max`, expected one of `mean`/),
  );
  await assert.rejects(encoder.embed(['a'], { normalize: 1 }), invalid(/expected a boolean/));
  for (const none of [undefined, null, 3, 'cls']) {
    await assert.rejects(encoder.embed(['a'], none), invalid(/invalid type: .*, expected struct EmbedOptions/));
  }
  await assert.rejects(weft.Loader.create({ ...LOADER, device: 'tpu' }, []), invalid(/unknown variant `tpu`/));
  await assert.rejects(weft.Loader.create({ ...LOADER, device: 'reference' }, []), invalid(/unknown variant/));
  await assert.rejects(weft.Loader.create({ ...LOADER, quantize: 'q3' }, []), invalid(/`quantize`: expected q8_0/));
  await assert.rejects(
    weft.Loader.create({ ...LOADER, kvCache: 'q2' }, []),
    invalid(/`kvCache`: expected f32 or f16 or q8 or q4/),
  );
  const { device: _, ...without } = LOADER;
  await assert.rejects(weft.Loader.create(without, []), invalid(/missing field `device`/));
  assert.throws(() => new weft.Estimator({ contextLength: 1.5 }, []), invalid(/1\.5/));
});

test('the module for constraints reads options as declared, and gives lists', async () => {
  const grammars = await startGrammars();
  const wrong = (options) => () => grammars.constrain('{"regex":"a"}', options);
  const invalid = (message) => ({ code: 'INVALID_CONSTRAINT', message });
  assert.throws(wrong({ limits: { digit: 3 } }), invalid(/unknown field `digit`, expected one of `digits`/));
  assert.throws(wrong({ limit: {} }), invalid(/unknown field `limit`/));
  assert.throws(wrong({ onUnsupported: 'warn' }), invalid(/unknown variant `warn`, expected `error` or `ignore`/));
  assert.throws(wrong({ limits: { digits: -1 } }), invalid(/-1/));
  const constraint = JSON.stringify({ jsonSchema: { type: 'array', uniqueItems: true } });
  const constrained = grammars.constrain(constraint, { onUnsupported: 'ignore', limits: { depth: 2 } });
  const [part, ...more] = constrained.ignored();
  assert.deepEqual([Object.keys(part), part.keyword, more], [['pointer', 'keyword', 'reason'], 'uniqueItems', []]);
  assert.deepEqual(grammars.constrain('{"regex":"a"}').ignored(), []);
});
