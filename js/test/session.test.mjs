// Sessions: what the model gets, what is computed again, and turns that do not end well.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { collect, gate, loadFake, settle } from './support/fake.mjs';
import { Talker } from './support/talker.mjs';

async function begin(t, fake, options) {
  const { llm } = await loadFake(t, fake);
  return { llm, session: llm.session(options), fake };
}

const say = async (session, turn, options) => {
  const pieces = await collect(session.send(turn, options));
  return { text: pieces.map(({ text }) => text).join(''), ...pieces.at(-1).finish };
};

const contents = ({ messages }) => messages.map(({ content }) => content);

test('a turn is told with all that was said, and only what is new is computed', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['hello you', 'well'] }), {
    messages: [{ role: 'system', content: 'be kind' }],
  });
  assert.equal((await say(session, 'hi')).text, 'hello you');
  const second = await say(session, { role: 'user', content: 'how are you' });
  assert.equal(second.text, 'well');
  const first = '<system be kind > <user hi > <assistant';
  assert.deepEqual(fake.told, [first, `${first} hello you > <user how are you > <assistant`]);
  // the whole first prompt and its answer
  assert.deepEqual(fake.reused, [0, 8 + 2]);
  assert.equal(second.usage.cachedTokens, 10);
  assert.deepEqual(session.messages, [
    { role: 'system', content: 'be kind' },
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'hello you' },
    { role: 'user', content: 'how are you' },
    { role: 'assistant', content: 'well' },
  ]);
  assert.equal(session.contextUsage, second.usage.promptTokens + 1);
});

test('the worker hears which ids are known, of the prompt and of the answer', async (t) => {
  const fake = new Talker({ answers: ['b c'] });
  const known = [];
  fake.reuse = (ids, prompt) => {
    known.push(fake.text(ids));
    return prompt;
  };
  const { session } = await begin(t, fake);
  await say(session, 'a');
  await say(session, 'd');
  assert.deepEqual(known, ['', '<user a > <assistant b c']);
});

test('options of the session hold where a turn has none of its own', async (t) => {
  const { session, fake } = await begin(t, new Talker(), { temperature: 0, topK: 3 });
  await say(session, 'a', { topK: 7, temperature: undefined });
  assert.deepEqual([fake.options.temperature, fake.options.topK], [0, 7]);
});

test('an answer that begins with a prefix is its continuation', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['fine'] }));
  assert.equal((await say(session, 'how', { prefix: 'I am ' })).text, 'fine');
  assert.equal(fake.told[0], '<user how > <assistant I am');
  assert.equal(session.messages.at(-1).content, 'I am fine');
});

test('turns wait for each other', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['one', 'two'] }));
  await Promise.all([say(session, 'a'), say(session, 'b')]);
  assert.equal(fake.told[1], '<user a > <assistant one > <user b > <assistant');
});

test('a turn that is left stays with what was said of it', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['one two three four', 'five'] }));
  for await (const { text } of session.send('a')) if (text === ' two') break;
  assert.deepEqual(contents(session), ['a', 'one two']);
  await say(session, 'b');
  assert.equal(fake.told[1], '<user a > <assistant one two > <user b > <assistant');
});

test('a turn that is aborted before a word of it leaves nothing, also where it waits', async (t) => {
  const held = gate();
  const { session } = await begin(t, new Talker({ before: () => held.opened }));
  const [running, waiting] = [new AbortController(), new AbortController()];
  const first = say(session, 'a', { signal: running.signal });
  const second = say(session, 'b', { signal: waiting.signal });
  await settle();
  waiting.abort();
  assert.equal((await second).reason, 'abort');
  running.abort();
  held.open();
  assert.equal((await first).reason, 'abort');
  assert.deepEqual(session.messages, []);
  assert.equal((await say(session, 'c')).reason, 'stop');
  assert.deepEqual(contents(session), ['c', 'yes']);
});

test('a turn that fails leaves the conversation as it was', async (t) => {
  const before = (event) => {
    if (event.type === 'token' && event.text === ' bad')
      throw Object.assign(new Error('no'), { code: 'INVALID_LOGITS' });
  };
  const { session } = await begin(t, new Talker({ answers: ['good', 'a bad one', 'good'], before }));
  await say(session, 'a');
  const { messages, contextUsage } = session;
  await assert.rejects(say(session, 'b'), { code: 'INVALID_LOGITS' });
  assert.equal(session.messages, messages);
  assert.equal(session.contextUsage, contextUsage);
  assert.equal((await say(session, 'c')).text, 'good');
});

test('what a model thinks is told apart, and kept beside its answer', async (t) => {
  const fake = new Talker({ answers: ['<think> well </think> fine', 'x'] });
  fake.chat_template = () => '<think></think>';
  const { session } = await begin(t, fake);
  const pieces = await collect(session.send('a'));
  assert.equal(
    pieces
      .map(({ reasoning = '' }) => reasoning)
      .join('')
      .trim(),
    'well',
  );
  assert.equal(
    pieces
      .map(({ text }) => text)
      .join('')
      .trim(),
    'fine',
  );
  assert.ok(fake.options.keepSpecial.includes('<think>'));
  const { content, reasoning_content: thoughts } = session.messages.at(-1);
  assert.deepEqual([content.trim(), thoughts.trim()], ['fine', 'well']);
  // its own ids are known, including its reasoning
  assert.equal(session.contextUsage, 4 + 4);
  const restored = await (await begin(t, new Talker())).llm.restore(await session.save());
  assert.deepEqual(restored.messages, session.messages);
});

test('a session reasons, and takes examples, as a chat does', async (t) => {
  const fake = new Talker({ answers: ['x'] });
  fake.chat_template = () => '<think></think>';
  const examples = [{ user: 'one', assistant: '1' }];
  const { llm, session } = await begin(t, fake, { reasoning: 'off', examples });
  const asked = [];
  const { chat_prompt: write } = fake;
  fake.chat_prompt = (conversation) => {
    asked.push(JSON.parse(conversation).variables);
    return write(conversation);
  };
  await say(session, 'two');
  assert.equal(asked[0].enable_thinking, false);
  assert.equal(fake.told.at(-1), '<user one > <assistant 1 > <user two > <assistant');
  assert.throws(() => llm.session({ reasoning: 'hard' }), { code: 'INVALID_OPTION', message: /reasoning/ });
});

test('an empty answer is an answer', async (t) => {
  const { session } = await begin(t, new Talker({ answers: [''] }));
  await say(session, 'a');
  assert.deepEqual(contents(session), ['a', '']);
});

test('append computes, and says nothing', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['x'] }), {
    messages: [{ role: 'system', content: 'be kind' }],
  });
  assert.equal(session.contextUsage, 0);
  await session.append();
  assert.equal(session.contextUsage, 4);
  await session.append([{ role: 'user', content: 'a' }]);
  assert.equal(fake.options.prefill, true);
  assert.equal(session.contextUsage, 7);
  assert.deepEqual(contents(session), ['be kind', 'a']);
  await say(session, 'b');
  assert.equal(fake.told.at(-1), '<system be kind > <user a > <user b > <assistant');
  assert.equal(fake.reused.at(-1), 7);
});

test('append that is aborted rejects with the reason and leaves nothing', async (t) => {
  const held = gate();
  const { session } = await begin(t, new Talker({ before: () => held.opened }));
  const controller = new AbortController();
  const appended = session.append('a', { signal: controller.signal });
  await settle();
  controller.abort(new Error('enough'));
  held.open();
  await assert.rejects(appended, /enough/);
  assert.deepEqual(session.messages, []);
});

test('a template that refuses a conversation without a user hears of it with the first', async (t) => {
  const fake = new Talker();
  fake.refuses = (messages) => {
    if (!messages.some(({ role }) => role === 'user')) {
      throw Object.assign(new Error('roles must alternate'), { code: 'CHAT_TEMPLATE' });
    }
  };
  const { session } = await begin(t, fake);
  await session.append([{ role: 'system', content: 'be kind' }]);
  assert.deepEqual([contents(session), session.contextUsage], [['be kind'], 0]);
  await say(session, 'a');
  assert.equal(fake.told[0], '<system be kind > <user a > <assistant');
  fake.refuses = () => {
    throw Object.assign(new Error('no'), { code: 'CHAT_TEMPLATE' });
  };
  await assert.rejects(session.append('b'), { code: 'CHAT_TEMPLATE' });
  assert.deepEqual(contents(session), ['be kind', 'a', 'yes']);
});

test('measure says what a turn would add, and adds nothing', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['x'] }));
  await say(session, 'a');
  // `>` after the answer, the message, and the start of the next answer
  assert.equal(await session.measure('b c'), 1 + 4 + 1);
  assert.equal(await session.measure('b c', { prefix: 'well then' }), 1 + 4 + 1 + 2);
  assert.equal(fake.told.length, 1);
  assert.deepEqual(contents(session), ['a', 'x']);
});

test('a fork goes on by itself', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['x', 'left', 'right'] }), { temperature: 0 });
  await say(session, 'a');
  const fork = session.fork();
  await say(session, 'l');
  await say(fork, 'r');
  assert.deepEqual(contents(session), ['a', 'x', 'l', 'left']);
  assert.deepEqual(contents(fork), ['a', 'x', 'r', 'right']);
  // the common part is not computed again
  assert.equal(fake.reused.at(-1), '<user a > <assistant x > <user'.split(' ').length);
  assert.equal(fake.options.temperature, 0);
});

test('error: a turn that does not fit fails, and the conversation stays as it was', async (t) => {
  const { session } = await begin(t, new Talker({ context: 12 }));
  await say(session, 'a');
  await assert.rejects(say(session, 'b c d e f g'), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(contents(session), ['a', 'yes']);
  await say(session, 'b');
  assert.deepEqual(contents(session), ['a', 'yes', 'b', 'yes']);
});

test('truncate-oldest-turns: whole turns go behind the system, as few as will do', async (t) => {
  const { session, fake } = await begin(t, new Talker({ context: 20 }), {
    messages: [{ role: 'system', content: 's' }],
    overflow: 'truncate-oldest-turns',
    maxTokens: 2,
  });
  for (const turn of ['a', 'b', 'c']) await say(session, turn);
  // three turns are 19 tokens, and two more must fit
  assert.equal(fake.told.at(-1), '<system s > <user b > <assistant yes > <user c > <assistant');
  assert.deepEqual(session.dropped, { messages: 2, tokens: 0 });
  assert.deepEqual(contents(session), ['s', 'a', 'yes', 'b', 'yes', 'c', 'yes']);
  await say(session, 'd');
  assert.equal(fake.told.at(-1), '<system s > <user c > <assistant yes > <user d > <assistant');
  assert.equal(session.contextUsage, 14);
  // a fork has forgotten the same
  await say(session.fork(), 'e');
  assert.equal(fake.told.at(-1), '<system s > <user d > <assistant yes > <user e > <assistant');
});

test('truncate-oldest-turns: nothing is dropped for a turn that does not fit alone', async (t) => {
  const { session } = await begin(t, new Talker({ context: 16 }), { overflow: 'truncate-oldest-turns', maxTokens: 1 });
  await say(session, 'a');
  await assert.rejects(say(session, Array(20).fill('b').join(' ')), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(session.dropped, { messages: 0, tokens: 0 });
  await say(session, 'c');
  assert.deepEqual(contents(session), ['a', 'yes', 'c', 'yes']);
});

test('what is to be kept is kept, whoever said it', async (t) => {
  const messages = [
    { role: 'user', content: 'example' },
    { role: 'assistant', content: 'shown' },
  ];
  const options = { messages, keep: 2, overflow: 'truncate-oldest-turns', maxTokens: 1 };
  const { session, fake } = await begin(t, new Talker({ context: 20 }), options);
  for (const turn of ['a', 'b', 'c']) await say(session, turn);
  assert.equal(fake.told.at(-1), '<user example > <assistant shown > <user b > <assistant yes > <user c > <assistant');
});

test('shift: the older half goes behind the system, also in the middle of an answer', async (t) => {
  const { session, fake } = await begin(t, new Talker({ context: 20, answers: [undefined, 'x'] }), {
    messages: [{ role: 'system', content: 's' }],
    overflow: 'shift',
  });
  const { text, usage, reason } = await say(session, 'a', { maxTokens: 30 });
  assert.equal(reason, 'length');
  assert.equal(text.split(' ').length, 30);
  // kept: the system message and `<user`
  assert.equal(fake.options.shiftBehind, 4);
  assert.equal(usage.droppedTokens, 8 + 8 + 8);
  assert.deepEqual(session.dropped, { messages: 0, tokens: 24 });
  assert.equal(session.contextUsage, 7 + 30 - 24);
  await say(session, 'b');
  const rest = Array.from({ length: 9 }, (_, index) => `w${21 + index}`).join(' ');
  assert.equal(fake.told.at(-1), `<system s > <user ${rest} > <user b > <assistant`);
  // more than fits: half of the context stays
  await say(session, 'c d e');
  assert.equal(fake.told.at(-1), '<system s > <user x > <user c d e > <assistant');
  assert.deepEqual(session.dropped, { messages: 0, tokens: 38 });
});

test('shift: what is new is told as a whole, or not at all', async (t) => {
  const { session, fake } = await begin(t, new Talker({ context: 20 }), { overflow: 'shift' });
  await say(session, 'a');
  const long = 'b c d e f g h i j k l';
  await say(session, long);
  assert.equal(fake.told.at(-1), `<user > <user ${long} > <assistant`);
  await assert.rejects(say(session, `${long} m n o p q r`), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(contents(session), ['a', 'yes', long, 'yes']);
});

test('a saved session goes on where it was, and nothing is computed again', async (t) => {
  const messages = [{ role: 'system', content: 's' }];
  const { session } = await begin(t, new Talker({ answers: ['hello'] }), { messages, temperature: 0, maxTokens: 5 });
  await say(session, 'a');
  const saved = await session.save();
  assert.equal(new TextDecoder().decode(saved.subarray(0, 12)), 'weft session');

  const fake = new Talker({ answers: ['x', 'y'] });
  fake.words = ['<system', 's', '>', '<user', 'a', '<assistant', 'hello'];
  const { llm } = await loadFake(t, fake);
  const restored = await llm.restore(saved);
  assert.deepEqual(restored.messages, session.messages);
  assert.equal(restored.contextUsage, session.contextUsage);
  assert.equal((await say(restored, 'b')).usage.cachedTokens, 8);
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'write_kv'),
    [
      ['write_kv', 0, 8, 16],
      ['write_kv', 1, 8, 16],
    ],
  );
  assert.deepEqual([fake.options.temperature, fake.options.maxTokens], [0, 5]);
  // it is restored only once
  await say(restored, 'c');
  assert.equal(fake.log.filter(([what]) => what === 'write_kv').length, 2);
});

test('what was restored and not used is saved as it was; its bytes are nobody else’s', async (t) => {
  const { llm, session } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  const copy = saved.slice();
  const restored = await llm.restore(saved);
  saved.fill(0);
  assert.deepEqual(await restored.save(), copy);
  assert.deepEqual(await (await llm.restore(copy.buffer)).fork().save(), copy);
});

test('a session that is saved without its cache is computed when it is used', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const whole = await session.save();
  const saved = await session.save({ cache: false });
  assert.ok(saved.length < whole.length);
  fake.kv = [];
  const restored = await llm.restore(saved);
  assert.equal((await say(restored, 'b')).usage.cachedTokens, 0);
  assert.equal(fake.log.filter(([what]) => what === 'write_kv').length, 0);
});

test('what another call has put into the KV cache is computed again before it is saved', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  await collect(llm.generate('another text altogether'));
  assert.deepEqual(await session.save(), saved);
  assert.equal(fake.text(fake.kv), '<user a > <assistant yes');
});

test('a GPU that is lost while a session is saved or written back interrupts it only', async (t) => {
  const fake = new Talker({ answers: ['x', 'y'] });
  const losing = (method) => {
    const { [method]: works } = fake;
    fake[method] = async () => {
      fake[method] = works;
      throw Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
    };
  };
  const { llm, session } = await begin(t, fake);
  await say(session, 'a');
  const expected = await session.save();
  losing('read_kv');
  assert.deepEqual(await session.save(), expected);
  losing('write_kv');
  const restored = await llm.restore(expected);
  const { text, usage } = await say(restored, 'b');
  assert.deepEqual([text, usage.cachedTokens], ['y', session.contextUsage]);
  assert.equal(llm.info.engine.deviceLosses, 2);
});

test('an engine that crashes while a session is written back is CRASHED', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const restored = await llm.restore(await session.save());
  fake.write_kv = async () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  await assert.rejects(say(restored, 'b'), { code: 'CRASHED' });
  await assert.rejects(say(session, 'b'), { code: 'CRASHED' });
});

test('a session of another model, or bytes that are none, are refused and named', async (t) => {
  const { session } = await begin(t, new Talker({ name: 'one', fingerprint: 'aaaa' }));
  await say(session, 'a');
  const saved = await session.save();
  const { llm } = await loadFake(t, new Talker({ name: 'other', fingerprint: 'bbbb' }));
  const refused = (bytes, message) => assert.rejects(llm.restore(bytes), { code: 'INVALID_SESSION', message });
  await refused(saved, /`one` \(aaaa\).*`other` \(bbbb\)/);
  await refused(new Uint8Array(0), /does not begin/);
  await refused(new TextEncoder().encode('GGUF and more'), /does not begin/);
  await refused(new TextEncoder().encode('weft session\nof before'), /another version/);
  await refused(saved.subarray(0, 16), /ends too early/);
  await refused(saved.subarray(0, 60), /ends too early/);
  await assert.rejects(llm.restore('text'), { code: 'INVALID_OPTION', message: /saved/ });

  const { llm: own } = await loadFake(t, new Talker({ name: 'one', fingerprint: 'aaaa' }));
  const damaged = (at, value) => {
    const bytes = saved.slice();
    bytes[at < 0 ? bytes.length + at : at] = value;
    return own.restore(bytes);
  };
  await assert.rejects(own.restore(saved.subarray(0, -4)), { code: 'INVALID_SESSION', message: /damaged/ });
  await assert.rejects(damaged(-1, 77), { code: 'INVALID_SESSION', message: /its SHA-256 is another/ });
  await assert.rejects(damaged(60, 0), { code: 'INVALID_SESSION', message: /its SHA-256 is another/ });
  assert.deepEqual((await own.restore(saved)).messages, session.messages);
});

/** Offset of the header of a saved session, after its length and its hash. */
const HEADER = 15 + 4 + 32;

/**
 * A saved session with its header changed by `change` and its values by `values`; the hash is
 * corrected unless `hash` is false.
 */
function forged(saved, change, { values = (bytes) => bytes, hash = true } = {}) {
  const length = new DataView(saved.buffer).getUint32(15, true);
  const header = JSON.parse(Buffer.from(saved.subarray(HEADER, HEADER + length)));
  const json = Buffer.from(JSON.stringify(change(header) ?? header));
  const padding = Buffer.alloc(-(HEADER + json.length) & 3);
  const rest = Buffer.concat([json, padding, values(saved.subarray((HEADER + length + 3) & ~3))]);
  const start = Buffer.from(saved.subarray(0, HEADER));
  start.writeUInt32LE(json.length, 15);
  createHash('sha256')
    .update(rest)
    .digest()
    .copy(start, HEADER - 32);
  if (!hash) start.fill(0, HEADER - 32);
  return new Uint8Array(Buffer.concat([start, rest]));
}

test('every byte of a saved session that is changed, and every end that is missing, is INVALID_SESSION', async (t) => {
  const { llm, session } = await begin(t, new Talker({ context: 30 }), { overflow: 'shift', stop: 'z' });
  await say(session, 'a');
  const saved = await session.save();
  for (let at = 0; at < saved.length; at += 1) {
    for (const change of [1, 0x80]) {
      const bytes = saved.slice();
      bytes[at] ^= change;
      await assert.rejects(llm.restore(bytes), { code: 'INVALID_SESSION' }, `byte ${at}`);
    }
    await assert.rejects(llm.restore(saved.slice(0, at)), { code: 'INVALID_SESSION' }, `${at} bytes`);
  }
  await llm.restore(saved);
});

const ANYTHING = [
  undefined,
  null,
  NaN,
  -1,
  0.5,
  1e300,
  2 ** 53,
  '',
  'x',
  '1',
  true,
  [],
  [[]],
  {},
  { length: 3 },
  999_999_999,
];

for (const hash of [true, false]) {
  test(`a saved session that says anything in any place ${hash ? 'and has the hash of it' : 'without a hash'} is refused, or works`, async (t) => {
    const { llm, session, fake } = await begin(t, new Talker({ context: 60 }), {
      messages: [{ role: 'system', content: 's' }],
      ...{ overflow: 'shift', maxTokens: 4, tools: [{ type: 'function', function: { name: 'f' } }] },
    });
    await say(session, 'a');
    const saved = await session.save();
    const before = Object.fromEntries(['write_kv', 'restored'].map((name) => [name, fake[name].bind(fake)]));
    const places = [
      ...['model', 'options', 'ids', 'dropped', 'behind', 'layers', 'tokens'].map((name) => [name]),
      ...['name', 'fingerprint'].map((name) => ['model', name]),
      ...['messages', 'tokens'].map((name) => ['dropped', name]),
      ...[0, 3, 500].map((index) => ['ids', index]),
      ...['messages', 'overflow', 'keep', 'tools', 'maxTokens', 'variables', 'unheard'].map((name) => [
        'options',
        name,
      ]),
      ...['role', 'content', 'tool_calls'].map((name) => ['options', 'messages', 0, name]),
    ];
    let refused = 0;
    for (const place of places) {
      for (const value of ANYTHING) {
        const bytes = forged(
          saved,
          (header) => {
            const last = place.at(-1);
            place.slice(0, -1).reduce((part, name) => part[name], header)[last] = value;
          },
          { hash },
        );
        const restored = await llm.restore(bytes).catch((error) => {
          assert.equal(error.code, 'INVALID_SESSION', `${place} = ${JSON.stringify(value)}: ${error.message}`);
          refused += 1;
        });
        if (!restored) continue;
        // accepted data is written completely or not at all
        const written = [];
        fake.write_kv = async (handle, layer, values) => {
          written.push(layer);
          assert.equal(values.length, 2 * fake.restoring.ids.length);
          return before.write_kv(handle, layer, values);
        };
        fake.restored = (handle) => {
          assert.deepEqual(written, [0, 1]);
          return before.restored(handle);
        };
        await say(restored, 'b', { maxTokens: 1 }).catch((error) => {
          assert.equal(error.code, 'CONTEXT_OVERFLOW', `${place} = ${JSON.stringify(value)}: ${error.message}`);
        });
      }
    }
    assert.ok(refused > 200, `${refused} were refused`);
  });
}

test('keys and values of a saved session that do not fit what its header says are refused when it is restored', async (t) => {
  const { llm, session } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  const refuses = (change, options) =>
    assert.rejects(llm.restore(forged(saved, change, options)), { code: 'INVALID_SESSION' });
  await refuses((header) => void (header.layers = 0.5));
  await refuses((header) => void (header.layers = 1));
  await refuses((header) => void (header.layers = 4));
  await refuses((header) => void (header.tokens /= 2));
  await refuses((header) => void (header.tokens += 1));
  await refuses((header) => void Object.assign(header, { layers: 0, tokens: 0 }));
  await refuses((header) => void Object.assign(header, { layers: 1, tokens: 2 * header.tokens }));
  await refuses((header) => void header.ids.pop());
  await refuses((header) => void (header.ids[0] = 1000));
  await refuses(() => {}, { values: (bytes) => bytes.subarray(4) });
  await refuses(() => {}, { values: (bytes) => Buffer.concat([bytes, Buffer.alloc(4)]) });
  await refuses(() => {}, { values: () => Buffer.alloc(0) });
  for (const value of [NaN, Infinity, -Infinity]) {
    await refuses(() => {}, { values: (bytes) => withFloat(bytes, value) });
  }
  assert.ok(await llm.restore(forged(saved, () => {})));
});

function withFloat(bytes, value) {
  const copy = Buffer.from(bytes);
  copy.writeFloatLE(value, 8);
  return copy;
}

test('what a file says of the KV cache serves the session that was restored from it, and nobody else', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  const restored = await llm.restore(saved);
  // the same conversation by others: another session, a chat, another restored session
  assert.ok((await say(restored, 'b')).usage.cachedTokens > 0);
  const other = llm.session({ messages: restored.messages.slice(0, 2) });
  assert.equal((await say(other, 'b')).usage.cachedTokens, 0);
  await say(restored, 'c');
  const again = await llm.restore(saved);
  await say(again, 'b');
  const chat = await collect(llm.chat([{ role: 'user', content: 'a' }]));
  assert.equal(chat.at(-1).finish.usage.cachedTokens, 0);
  // computed values can be used by all, including the restored session
  assert.ok((await say(restored, 'd')).usage.cachedTokens > 0);
  assert.equal(fake.owner, undefined);
  // a fork continues from what its session restored
  const forkOf = await llm.restore(saved);
  await say(forkOf, 'x');
  assert.ok((await say(forkOf.fork(), 'y')).usage.cachedTokens > 3);
});

test('a session that is disposed of ends what it does, and the model goes on', async (t) => {
  const held = gate();
  const before = (event) => (event.text === ' w1' ? held.opened : undefined);
  const { llm, session } = await begin(t, new Talker({ answers: [undefined, 'fine'], before }));
  const ending = say(session, 'a');
  await settle();
  session.dispose();
  held.open();
  assert.equal((await ending).reason, 'abort');
  await assert.rejects(say(session, 'b'), { code: 'DISPOSED' });
  await assert.rejects(session.append('b'), { code: 'DISPOSED' });
  await assert.rejects(session.measure('b'), { code: 'DISPOSED' });
  await assert.rejects(session.save(), { code: 'DISPOSED' });
  assert.throws(() => session.fork(), { code: 'DISPOSED' });
  assert.equal((await say(llm.session(), 'c')).text, 'fine');
});

test('wrong options and turns are named at the call', async (t) => {
  const { llm, session } = await begin(t, new Talker());
  const wrong = (name, work) => assert.throws(work, { code: 'INVALID_OPTION', message: new RegExp(`\`${name}`) });
  wrong('overflow', () => llm.session({ overflow: 'forget' }));
  wrong('keep', () => llm.session({ keep: 1 }));
  wrong('temprature', () => llm.session({ temprature: 1 }));
  wrong('signal', () => llm.session({ signal: new AbortController().signal }));
  wrong('messages\\[0\\].role', () => llm.session({ messages: [{}] }));
  wrong('turn', () => session.send(7));
  wrong('messages\\[1\\].content', () => session.send([{ role: 'user', content: 'a' }, { role: 'user' }]));
  wrong('topP', () => session.send('a', { topP: 2 }));
  wrong('prefix', () => session.send('a', { prefix: 7 }));
});

test('an answer that calls tools is kept as its calls, and their results follow it', async (t) => {
  const call = '<tool_call> {"name":"f","arguments":{"city":"Bern"}} </tool_call>';
  const fake = new Talker({ answers: [call, 'sunny'] });
  const { llm } = await loadFake(t, fake);
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const session = llm.session({ tools });
  await session.send('weather').text;
  const { content, tool_calls: calls } = session.messages.at(-1);
  assert.deepEqual([content, calls[0].function], [null, { name: 'f', arguments: '{"city":"Bern"}' }]);
  assert.equal(await session.send({ role: 'tool', tool_call_id: calls[0].id, content: 'hot' }).text, 'sunny');
});
