// Sessions: what the model gets, what is computed again, and turns that do not end well.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, gate, loadFake, settle } from './support/fake.mjs';
import { begin, say, Talker } from './support/talker.mjs';

const contents = ({ messages }) => messages.map(({ content }) => content);

test('a turn sends the whole conversation, and only new tokens are computed', async (t) => {
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

test('the worker gets the known ids of prompts and answers', async (t) => {
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

test('options of the session apply unless the turn has its own', async (t) => {
  const { session, fake } = await begin(t, new Talker(), { temperature: 0, topK: 3 });
  await say(session, 'a', { topK: 7, temperature: undefined });
  assert.deepEqual([fake.options.temperature, fake.options.topK], [0, 7]);
});

test('an answer continues its prefix', async (t) => {
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

test('an answer that is left stays in the conversation as far as it came', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['one two three four', 'five'] }));
  for await (const { text } of session.send('a')) if (text === ' two') break;
  assert.deepEqual(contents(session), ['a', 'one two']);
  await say(session, 'b');
  assert.equal(fake.told[1], '<user a > <assistant one two > <user b > <assistant');
});

test('a turn aborted before its first token leaves nothing, also while it waits', async (t) => {
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

test('thoughts are kept beside the answer', async (t) => {
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

test('a session takes reasoning and examples, as chat does', async (t) => {
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

test('append computes its messages, without an answer', async (t) => {
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

test('an aborted append rejects with the reason and leaves nothing', async (t) => {
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

test('append waits for the first user message if the template requires one', async (t) => {
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

test('measure counts the tokens of a turn and adds nothing', async (t) => {
  const { session, fake } = await begin(t, new Talker({ answers: ['x'] }));
  await say(session, 'a');
  // `>` after the answer, the message, and the start of the next answer
  assert.equal(await session.measure('b c'), 1 + 4 + 1);
  assert.equal(await session.measure('b c', { prefix: 'well then' }), 1 + 4 + 1 + 2);
  assert.equal(fake.told.length, 1);
  assert.deepEqual(contents(session), ['a', 'x']);
});

test('a fork is independent of its original', async (t) => {
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

test('overflow error: a turn that does not fit fails, and the conversation is unchanged', async (t) => {
  const { session } = await begin(t, new Talker({ context: 12 }));
  await say(session, 'a');
  await assert.rejects(say(session, 'b c d e f g'), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(contents(session), ['a', 'yes']);
  await say(session, 'b');
  assert.deepEqual(contents(session), ['a', 'yes', 'b', 'yes']);
});

test('overflow truncate-oldest-turns: as few whole turns as possible are dropped behind the system message', async (t) => {
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

test('overflow truncate-oldest-turns: a turn that can never fit drops nothing', async (t) => {
  const { session } = await begin(t, new Talker({ context: 16 }), { overflow: 'truncate-oldest-turns', maxTokens: 1 });
  await say(session, 'a');
  await assert.rejects(say(session, Array(20).fill('b').join(' ')), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(session.dropped, { messages: 0, tokens: 0 });
  await say(session, 'c');
  assert.deepEqual(contents(session), ['a', 'yes', 'c', 'yes']);
});

test('kept messages are never dropped, whatever their role', async (t) => {
  const messages = [
    { role: 'user', content: 'example' },
    { role: 'assistant', content: 'shown' },
  ];
  const options = { messages, keep: 2, overflow: 'truncate-oldest-turns', maxTokens: 1 };
  const { session, fake } = await begin(t, new Talker({ context: 20 }), options);
  for (const turn of ['a', 'b', 'c']) await say(session, turn);
  assert.equal(fake.told.at(-1), '<user example > <assistant shown > <user b > <assistant yes > <user c > <assistant');
});

test('overflow shift: the older half behind the system message is dropped, also during an answer', async (t) => {
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

test('overflow shift: a new turn fits as a whole or fails', async (t) => {
  const { session, fake } = await begin(t, new Talker({ context: 20 }), { overflow: 'shift' });
  await say(session, 'a');
  const long = 'b c d e f g h i j k l';
  await say(session, long);
  assert.equal(fake.told.at(-1), `<user > <user ${long} > <assistant`);
  await assert.rejects(say(session, `${long} m n o p q r`), { code: 'CONTEXT_OVERFLOW' });
  assert.deepEqual(contents(session), ['a', 'yes', long, 'yes']);
});

test('overflow sinks: the first four tokens and the newer half of the others stay', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker({ context: 20, answers: [undefined, 'x'] }), {
    messages: [{ role: 'system', content: 's t u v' }],
    overflow: 'sinks',
  });
  const { usage } = await say(session, 'a', { maxTokens: 30 });
  // the system message and the turn are 6 + 3 + 1 tokens; behind four, eight are dropped at a time
  assert.equal(fake.options.shiftBehind, 4);
  assert.equal(usage.droppedTokens, 8 + 8 + 8);
  assert.equal(session.contextUsage, 10 + 30 - 24);
  await say(session, 'b');
  const rest = Array.from({ length: 12 }, (_, index) => `w${18 + index}`);
  assert.equal(fake.told.at(-1), `<system s t u ${rest.slice(-3).join(' ')} > <user b > <assistant`);
  await assert.rejects(say(session, Array(20).fill('b').join(' ')), { code: 'CONTEXT_OVERFLOW' });
  // it goes on so after it was saved
  const restored = await llm.restore(await session.save());
  assert.deepEqual(restored.dropped, session.dropped);
  await say(restored, 'c d e f g');
  assert.match(fake.told.at(-1), /^<system s t u .*> <user c d e f g > <assistant$/);
});

test('dispose of a session ends its turns, and the model stays usable', async (t) => {
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
  wrong('keep', () => llm.session({ keep: 0, overflow: 'sinks' }));
  wrong('temprature', () => llm.session({ temprature: 1 }));
  wrong('signal', () => llm.session({ signal: new AbortController().signal }));
  wrong('messages\\[0\\].role', () => llm.session({ messages: [{}] }));
  wrong('turn', () => session.send(7));
  wrong('messages\\[1\\].content', () => session.send([{ role: 'user', content: 'a' }, { role: 'user' }]));
  wrong('topP', () => session.send('a', { topP: 2 }));
  wrong('prefix', () => session.send('a', { prefix: 7 }));
});

test('tool calls are kept in the conversation, and their results follow', async (t) => {
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
