// The Prompt API, as in its explainer, on a model whose tokens the test chooses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configure, LanguageModel } from '../dist/prompt-api/index.js';
import { gate, loadFake, settle } from './support/fake.mjs';
import { Talker } from './support/talker.mjs';

/** A session with the model `fake`. */
async function create(t, fake = new Talker(), options = {}, more = {}) {
  const { llm } = await loadFake(t, fake, more);
  configure({ llm });
  t.after(() => configure(null));
  return LanguageModel.create(options);
}

const named = (name, message) => (error) => {
  assert.equal(error.name, name, String(error));
  if (name.endsWith('Error') && !['TypeError', 'RangeError'].includes(name)) assert.ok(error instanceof DOMException);
  if (message) assert.match(error.message, message);
  return true;
};

const system = { role: 'system', content: 's' };

test('without a model the API is unavailable, and says what to do', async () => {
  assert.equal(await LanguageModel.availability(), 'unavailable');
  await assert.rejects(LanguageModel.create(), named('NotSupportedError', /configure/));
  assert.throws(() => new LanguageModel(), TypeError);
  assert.equal(globalThis.LanguageModel, undefined); // Node has no workers: nothing is installed
});

test('a prompt continues the conversation', async (t) => {
  const fake = new Talker({ answers: ['hello you', 'well'] });
  const session = await create(t, fake, { initialPrompts: [system] });
  assert.equal(await LanguageModel.availability(), 'available');
  assert.equal(session.contextUsage, 3);
  assert.equal(session.contextWindow, 100);
  assert.equal(await session.prompt('hi'), 'hello you');
  assert.equal(session.contextUsage, 3 + 4 + 2);
  assert.equal(
    await session.prompt([
      {
        role: 'user',
        content: [
          { type: 'text', value: 'how' },
          { type: 'text', value: 's' },
        ],
      },
    ]),
    'well',
  );
  assert.equal(fake.told.at(-1), '<system s > <user hi > <assistant hello you > <user hows > <assistant');
  assert.equal(fake.reused.at(-1), 9);
});

test('a system message may begin the first prompt, and no other', async (t) => {
  const fake = new Talker();
  const session = await create(t, fake);
  await session.prompt([system, { role: 'user', content: 'a' }]);
  assert.equal(fake.told.at(-1), '<system s > <user a > <assistant');
  await assert.rejects(session.prompt([system]), named('TypeError', /first/));
  await assert.rejects(session.append([{ role: 'user', content: 'b' }, system]), named('TypeError'));
  await assert.rejects(
    LanguageModel.create({ initialPrompts: [{ role: 'user', content: 'b' }, system] }),
    named('TypeError'),
  );
});

test('an answer streams in pieces', async (t) => {
  const session = await create(t, new Talker({ answers: ['one two three'] }));
  const stream = session.promptStreaming('a');
  assert.ok(stream instanceof ReadableStream);
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  assert.deepEqual(pieces, ['one', ' two', ' three']);
});

test('a cancelled stream leaves nothing in the conversation', async (t) => {
  const fake = new Talker({ answers: [undefined, 'x'] });
  const session = await create(t, fake);
  for await (const piece of session.promptStreaming('a')) if (piece === ' w3') break;
  assert.equal(await session.prompt('b'), 'x');
  assert.equal(fake.told.at(-1), '<user b > <assistant');
});

test('an aborted prompt rejects with the reason and leaves nothing, also while it waits', async (t) => {
  const held = gate();
  const fake = new Talker({
    answers: [undefined, 'x'],
    before: (event) => (event.text === ' w1' ? held.opened : undefined),
  });
  const session = await create(t, fake);
  const [running, waiting] = [new AbortController(), new AbortController()];
  const first = session.prompt('a', { signal: running.signal });
  const second = session.prompt('b', { signal: waiting.signal });
  const third = session.prompt('c');
  await settle();
  waiting.abort();
  await assert.rejects(second, named('AbortError'));
  running.abort(new Error('enough'));
  held.open();
  await assert.rejects(first, /enough/);
  assert.equal(await third, 'x');
  assert.equal(fake.told.at(-1), '<user c > <assistant');
  await assert.rejects(session.prompt('d', { signal: AbortSignal.abort() }), named('AbortError'));
});

test('append adds messages without an answer', async (t) => {
  const fake = new Talker();
  const session = await create(t, fake, { initialPrompts: [system] });
  await session.append([{ role: 'user', content: 'a' }]);
  assert.equal(fake.options.prefill, true);
  assert.equal(session.contextUsage, 6);
  await session.prompt('b');
  assert.equal(fake.told.at(-1), '<system s > <user a > <user b > <assistant');
});

test('a prefix begins the answer', async (t) => {
  const fake = new Talker({ answers: ['name'] });
  const session = await create(t, fake);
  const begun = { role: 'assistant', content: 'toml: ', prefix: true };
  const asked = { role: 'user', content: 'a' };
  assert.equal(await session.prompt([asked, begun]), 'name');
  assert.equal(fake.told.at(-1), '<user a > <assistant toml:');
  await session.prompt('b');
  assert.equal(fake.told.at(-1), '<user a > <assistant toml: name > <user b > <assistant');
  await assert.rejects(session.prompt([begun, asked]), named('SyntaxError'));
  await assert.rejects(session.prompt([{ ...asked, prefix: true }]), named('SyntaxError'));
  await assert.rejects(session.append([begun]), named('SyntaxError'));
});

test('images, audio and malformed prompts are refused by name', async (t) => {
  const session = await create(t);
  const user = (content) => [{ role: 'user', content }];
  await assert.rejects(
    session.prompt(user([{ type: 'image', value: new Blob() }])),
    named('NotSupportedError', /image/),
  );
  await assert.rejects(session.prompt(user([{ type: 'text', value: 7 }])), named('TypeError'));
  await assert.rejects(session.prompt([{ role: 'robot', content: 'a' }]), named('TypeError', /robot/));
  await assert.rejects(session.prompt(user(7)), named('TypeError'));
  await assert.rejects(session.prompt(7), named('TypeError'));
  assert.equal(await session.prompt([]), 'yes');
});

test('unsupported options are unavailable, and create refuses them', async (t) => {
  await create(t);
  for (const options of [
    { expectedInputs: [{ type: 'image' }] },
    { expectedOutputs: [{ type: 'audio' }] },
    { tools: [{ name: 'weather', description: 'd', inputSchema: {} }] },
    { tools: [{ name: 'my tool', description: 'd', inputSchema: {}, execute: () => '' }] },
    { thinking: { effort: 'high' } },
    { thinking: { includeThoughts: true } },
  ]) {
    assert.equal(await LanguageModel.availability(options), 'unavailable');
    await assert.rejects(LanguageModel.create(options), named('NotSupportedError'));
  }
  const text = [{ type: 'text', languages: ['en', 'ja'] }];
  assert.equal(await LanguageModel.availability({ expectedInputs: text, expectedOutputs: text }), 'available');
});

test('create and availability reject malformed options with the exceptions of the IDL', async (t) => {
  await create(t);
  const execute = async () => '';
  const cases = [
    ['RangeError', { expectedInputs: [{ type: 'text', languages: ['not a tag'] }] }],
    ['RangeError', { expectedOutputs: [{ type: 'text', languages: ['en', 'x'] }] }],
    ['TypeError', { expectedInputs: [{ type: 'smell' }] }],
    ['TypeError', { thinking: { effort: 'huge' } }],
    ['TypeError', { tools: 'weather' }],
    ['TypeError', { tools: [{ description: 'd', inputSchema: {}, execute }] }],
    ['TypeError', { tools: [{ name: 'a', inputSchema: {}, execute }] }],
    ['TypeError', { tools: [{ name: 'a', description: 'd', execute }] }],
    ['TypeError', { tools: [{ name: 'a', description: 'd', inputSchema: {}, execute: 'run' }] }],
    ['TypeError', { samplingMode: 'wild' }],
  ];
  for (const [name, options] of cases) {
    await assert.rejects(LanguageModel.availability(options), named(name), JSON.stringify(options));
    await assert.rejects(LanguageModel.create(options), named(name), JSON.stringify(options));
  }
  const session = await LanguageModel.create({ expectedInputs: [{ type: 'text', languages: ['EN-us'] }] });
  await assert.rejects(session.prompt('a', { thinking: { effort: 'low' } }), named('NotSupportedError', /thinking/));
  await assert.rejects(session.prompt('a', { thinking: { effort: 7 } }), named('TypeError'));
  assert.equal(await session.prompt('a', { thinking: { effort: 'none' } }), 'yes');
  const smell = [{ role: 'user', content: [{ type: 'smell', value: '' }] }];
  await assert.rejects(session.prompt(smell), named('TypeError', /smell/));
});

const call = (name, args) =>
  `<tool_call> ${JSON.stringify({ name, arguments: args }).replaceAll(' ', '')} </tool_call>`;

test('all calls of a turn run at once, and the answer follows them', async (t) => {
  const asked = `${call('weather', { city: 'Bern' })} ${call('weather', { city: 'Rom' })}`;
  const fake = new Talker({ answers: [`let me see ${asked}`, 'sunny', 'ok'] });
  const given = [];
  const weather = {
    name: 'weather',
    description: 'Tells the weather.',
    inputSchema: { type: 'object', properties: { city: { type: 'string' } } },
    async execute(args) {
      given.push(args.city);
      return `hot-in-${args.city}`;
    },
  };
  const session = await create(t, fake, { tools: [weather], expectedInputs: [{ type: 'tool-response' }] });
  const pieces = [];
  for await (const piece of session.promptStreaming('a')) pieces.push(piece);
  assert.equal(pieces.join('').replace(/\s+/g, ' '), 'let me see sunny');
  assert.deepEqual(given, ['Bern', 'Rom']);
  assert.match(fake.told.at(-1), /<tool hot-in-Bern > <tool hot-in-Rom > <assistant$/);
  assert.equal(await session.prompt('b'), 'ok');
});

test('a failing tool rejects the prompt, which leaves nothing; endless calls end', async (t) => {
  const fake = new Talker({ answers: [call('f', {}), 'x'] });
  const tool = { name: 'f', description: 'd', inputSchema: {}, execute: () => Promise.reject(new Error('no network')) };
  const session = await create(t, fake, { tools: [tool] });
  const usage = session.contextUsage;
  await assert.rejects(session.prompt('a'), /no network/);
  assert.equal(session.contextUsage, usage);
  assert.equal(await session.prompt('b'), 'x');
  const endless = new Talker({ context: 1e4, answers: Array(40).fill(call('g', {})) });
  const other = await create(t, endless, { tools: [{ ...tool, name: 'f' }] });
  await assert.rejects(other.prompt('a'), named('OperationError', /16 times/));
});

test('sampling takes a mode or the deprecated numbers', async (t) => {
  const fake = new Talker();
  const session = await create(t, fake, { samplingMode: 'most-predictable' });
  await session.prompt('a');
  assert.deepEqual([session.samplingMode, fake.options.temperature], ['most-predictable', 0]);
  const numbered = await LanguageModel.create({ temperature: Infinity, topK: 3.7 });
  await numbered.prompt('a');
  assert.deepEqual([numbered.samplingMode, fake.options.temperature, fake.options.topK], [null, 2, 3]);
  assert.deepEqual([numbered.temperature, numbered.topK], [2, 3]);
  assert.equal((await LanguageModel.create()).samplingMode, 'balanced');
  const usual = await LanguageModel.create({ samplingMode: 'default', initialPrompts: [] });
  const { defaultTemperature, defaultTopK, maxTemperature, maxTopK } = await LanguageModel.params();
  assert.deepEqual([usual.samplingMode, usual.temperature, usual.topK], ['balanced', defaultTemperature, defaultTopK]);
  assert.equal((await LanguageModel.create({ topK: Infinity })).topK, maxTopK);
  assert.equal((await LanguageModel.create({ temperature: 9 })).temperature, maxTemperature);
  await assert.rejects(LanguageModel.create({ temperature: -1 }), named('RangeError'));
  await assert.rejects(LanguageModel.create({ topK: 0 }), named('RangeError'));
  await assert.rejects(LanguageModel.create({ topK: 3, samplingMode: 'creative' }), named('TypeError'));
  await assert.rejects(LanguageModel.create({ samplingMode: 'wild' }), named('TypeError', /wild/));
});

test('reasoning is off, and thoughts are no part of the answer', async (t) => {
  const fake = new Talker({ answers: ['<think> well </think> fine'] });
  fake.chat_template = () => '<think></think>';
  const variables = [];
  const { chat_prompt: write } = fake;
  fake.chat_prompt = (conversation) => {
    variables.push(JSON.parse(conversation).variables);
    return write(conversation);
  };
  const session = await create(t, fake);
  assert.equal((await session.prompt('a')).trim(), 'fine');
  assert.equal(variables.at(-1).enable_thinking, false);
});

test('measureContextUsage counts a prompt and adds nothing', async (t) => {
  const session = await create(t, new Talker(), { initialPrompts: [system] });
  const usage = session.contextUsage;
  assert.equal(await session.measureContextUsage('a b'), 4 + 1);
  assert.ok((await session.measureContextUsage('a b', { responseConstraint: /x/ })) > 5);
  const options = { responseConstraint: /x/, omitResponseConstraintInput: true };
  assert.equal(await session.measureContextUsage('a b', options), 5);
  await assert.rejects(session.measureContextUsage('a', { omitResponseConstraintInput: true }), named('TypeError'));
  assert.equal(session.contextUsage, usage);
  assert.deepEqual([session.inputUsage, session.inputQuota], [session.contextUsage, session.contextWindow]);
  assert.equal(await session.measureInputUsage('a b'), 5);
});

test('a full context drops old turns behind the initial prompts, with an event', async (t) => {
  const fake = new Talker({ context: 24 });
  const session = await create(t, fake, { initialPrompts: [system] });
  const heard = [];
  session.oncontextoverflow = (event) => heard.push(`handler ${event.type}`);
  session.addEventListener('contextoverflow', ({ target }) => heard.push(target === session));
  session.onquotaoverflow = (event) => heard.push(`handler ${event.type}`);
  await session.prompt('a');
  await session.prompt('b');
  assert.deepEqual(heard, []);
  await session.prompt('c');
  assert.deepEqual(heard, ['handler contextoverflow', true, 'handler quotaoverflow']);
  assert.equal(fake.told.at(-1), '<system s > <user b > <assistant yes > <user c > <assistant');
});

test('a prompt that can never fit is a QuotaExceededError with both numbers, and drops nothing', async (t) => {
  const fake = new Talker({ context: 20 });
  const session = await create(t, fake, { initialPrompts: [system] });
  await session.prompt('a');
  const usage = session.contextUsage;
  const long = Array(30).fill('b').join(' ');
  const exceeded = (requested) => (error) => {
    assert.deepEqual([error.name, error.requested, error.quota], ['QuotaExceededError', requested, 20]);
    return error instanceof DOMException;
  };
  await assert.rejects(session.prompt(long), exceeded(usage + 1 + 32 + 1));
  await assert.rejects(session.append(long), exceeded(usage + 1 + 32 + 1));
  assert.equal(session.contextUsage, usage);
  await session.prompt('c');
  assert.match(fake.told.at(-1), /<user a > <assistant yes >/);
  const tooLong = LanguageModel.create({ initialPrompts: [{ role: 'system', content: long }] });
  await assert.rejects(tooLong, exceeded(32 + 1));
});

/** Constraints that allow two tokens. */
const grammars = async () => ({
  Grammars: class {
    constrain(constraint) {
      grammars.asked = JSON.parse(constraint);
      let left = 2;
      return {
        mask: () => Uint32Array.of(left),
        forced: () => '',
        accept: () => (left -= 1),
        ignored: () => [],
        may_end: () => left === 0,
        must_end: () => false,
        free: () => undefined,
      };
    }
  },
});

test('a responseConstraint constrains the answer and stands in the prompt', async (t) => {
  const fake = new Talker({ answers: ['1 2', '1', 'ab cd', 'no match', 'x y'] });
  const session = await create(t, fake, {}, { grammars });
  const schema = { type: 'number' };
  assert.equal(await session.prompt('a', { responseConstraint: schema }), '1 2');
  assert.deepEqual(grammars.asked, { jsonSchema: schema });
  assert.match(fake.told.at(-1), /<user a\s+Answer with nothing but JSON that fits this schema: \{"type":"number"\} >/);
  // an answer that was cut off is dropped
  const usage = session.contextUsage;
  await assert.rejects(session.prompt('b', { responseConstraint: schema }), named('SyntaxError'));
  assert.equal(session.contextUsage, usage);
  const options = { responseConstraint: /^ab\/? [cd]+$/gi, omitResponseConstraintInput: true };
  assert.equal(await session.prompt('c', options), 'ab cd');
  assert.deepEqual(grammars.asked, { regex: '(?i)ab/? [cd]+' });
  assert.match(fake.told.at(-1), /<user c > <assistant$/);
  await assert.rejects(session.prompt('d', options), named('SyntaxError'));
  await assert.rejects(session.prompt('e', { responseConstraint: 'number' }), named('TypeError'));
  await session.prompt('f', { responseConstraint: /\w \w\$/ }).catch(() => undefined);
  assert.deepEqual(grammars.asked, { regex: '[0-9A-Za-z_] [0-9A-Za-z_]\\$' });
});

test('a constraint that cannot be enforced is a NotSupportedError', async (t) => {
  const refuse = async () => ({
    Grammars: class {
      constrain() {
        throw Object.assign(new Error('`not` cannot be enforced'), { code: 'INVALID_CONSTRAINT' });
      }
    },
  });
  const session = await create(t, new Talker(), {}, { grammars: refuse });
  const asked = session.prompt('a', { responseConstraint: { not: {} } });
  await assert.rejects(asked, named('NotSupportedError', /`not` cannot/));
  const ofLibrary = session.prompt('a', { responseConstraint: { _def: {} } });
  await assert.rejects(ofLibrary, named('TypeError', /convert it/));
});

test('a clone is independent of its original', async (t) => {
  const fake = new Talker({ answers: ['x', 'left', 'right'] });
  const session = await create(t, fake, { samplingMode: 'creative' });
  await session.prompt('a');
  const clone = await session.clone();
  assert.deepEqual([clone.contextUsage, clone.samplingMode], [session.contextUsage, 'creative']);
  await session.prompt('l');
  await clone.prompt('r');
  assert.equal(fake.told.at(-1), '<user a > <assistant x > <user r > <assistant');
  await assert.rejects(session.clone({ signal: AbortSignal.abort() }), named('AbortError'));
});

test('destroy, or the signal of create, ends running and later calls', async (t) => {
  const held = gate();
  const fake = new Talker({
    answers: [undefined, undefined, 'x'],
    before: (event) => (event.type === 'token' ? held.opened : undefined),
  });
  const controller = new AbortController();
  const session = await create(t, fake);
  const other = await LanguageModel.create({ signal: controller.signal });
  const ended = [session.prompt('a'), session.promptStreaming('b').getReader().read()].map((promise) =>
    assert.rejects(promise, named('AbortError')),
  );
  await settle();
  session.destroy();
  held.open();
  await Promise.all(ended);
  await assert.rejects(session.prompt('c'), named('AbortError'));
  await assert.rejects(session.measureContextUsage('c'), named('AbortError'));
  await assert.rejects(session.clone(), named('AbortError'));
  controller.abort(new Error('gone'));
  await assert.rejects(other.prompt('d'), /gone/);
  assert.equal(typeof (await (await LanguageModel.create()).prompt('e', {})), 'string');
});

test('errors of the model have the names of the API', async (t) => {
  const before = (event) => {
    if (event.type === 'token') throw Object.assign(new Error('no numbers'), { code: 'INVALID_LOGITS' });
  };
  const session = await create(t, new Talker({ before }));
  await assert.rejects(session.prompt('a'), (error) => {
    assert.equal(error.cause.code, 'INVALID_LOGITS');
    return named('UnknownError', /no numbers/)(error);
  });
});

test('a monitor gets events of the download’s beginning and end', async (t) => {
  const heard = [];
  await create(t, new Talker(), {
    monitor(monitor) {
      monitor.addEventListener('downloadprogress', ({ loaded, total }) => heard.push([loaded, total]));
      monitor.ondownloadprogress = ({ loaded }) => heard.push(loaded);
    },
  });
  assert.deepEqual(heard, [0, [0, 1], 1, [1, 1]]);
});
