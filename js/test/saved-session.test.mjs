// Sessions as bytes: saved, restored, and refused where they are damaged or forged.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { collect, loadFake } from './support/fake.mjs';
import { begin, say, Talker } from './support/talker.mjs';

test('a saved session continues, and nothing is computed again', async (t) => {
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

test('an unused restored session is saved unchanged, even if the caller overwrites its bytes', async (t) => {
  const { llm, session } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  const copy = saved.slice();
  const restored = await llm.restore(saved);
  saved.fill(0);
  assert.deepEqual(await restored.save(), copy);
  assert.deepEqual(await (await llm.restore(copy.buffer)).fork().save(), copy);
});

test('a session saved without its cache is computed at its first use', async (t) => {
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

/** A file of an adapter, whose bytes are what it adds. */
const adapter = (...bytes) => new File([Uint8Array.from(bytes)], 'a.gguf');
const writes = ({ log }) => log.filter(([what]) => what === 'write_kv').length;

test('a session with an adapter is restored with that adapter alone', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker(), { adapter: [{ name: 'own', scale: 0.5 }] });
  await llm.adapters.load(adapter(1, 2), { name: 'own' });
  await say(session, 'a');
  const saved = await session.save();

  const another = await loadFake(t, new Talker());
  const refused = (message) => assert.rejects(another.llm.restore(saved), { code: 'INVALID_SESSION', message });
  await refused(/the adapters `own`: load them with `llm.adapters.load` first/);
  await another.llm.adapters.load(adapter(1, 3), { name: 'own' });
  await refused(/its adapter `own` is 1,2, and the one of this name that is loaded is 1,3/);
  await another.llm.adapters.unload('own');
  await another.llm.adapters.load(adapter(1, 2), { name: 'own' });
  another.fake.words = [...fake.words];
  const restored = await another.llm.restore(saved);
  assert.ok((await say(restored, 'b')).usage.cachedTokens > 0);
  assert.deepEqual([writes(another.fake), another.fake.adapters], [2, ['own', 0.5]]);
});

test('keys and values of other adapters than those of the first turn are computed again', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await llm.adapters.load(adapter(1), { name: 'own' });
  await say(session, 'a');
  const saved = await session.save();
  for (const [change, options, written] of [
    [() => undefined, {}, 2],
    [() => undefined, { adapter: 'own' }, 0],
    [() => llm.adapters.merge('own'), {}, 0],
  ]) {
    await change();
    fake.log.length = 0;
    fake.kv = [];
    const restored = await llm.restore(saved);
    const { usage } = await say(restored, 'b', options);
    assert.equal(writes(fake), written);
    assert.equal(usage.cachedTokens > 0, written > 0);
    // and what it saves then is of the adapters that computed it
    await restored.save();
  }
});

test('an adapter that is swapped behind a restored session is not given the keys of the other', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker(), { adapter: 'own' });
  await llm.adapters.load(adapter(1), { name: 'own' });
  await say(session, 'a');
  const restored = await llm.restore(await session.save());
  await llm.adapters.unload('own');
  await llm.adapters.load(adapter(2), { name: 'own' });
  fake.kv = [];
  assert.equal((await say(restored, 'b')).usage.cachedTokens, 0);
  assert.equal(writes(fake), 0);
});

test('a model whose layers keep a state is saved without it, and reads its text again', async (t) => {
  const fake = new Talker();
  const info = fake.info();
  fake.info = () => ({ ...info, kvWidth: 0 });
  const { llm, session } = await begin(t, fake);
  await say(session, 'a');
  const saved = await session.save();
  assert.equal(fake.log.filter(([what]) => what === 'read_kv').length, 0);
  fake.kv = [];
  const restored = await llm.restore(saved);
  assert.equal((await say(restored, 'b')).usage.cachedTokens, 0);
  assert.deepEqual(restored.messages.slice(0, 2), session.messages);
});

test('a cache overwritten by another call is computed again before it is saved', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const saved = await session.save();
  await collect(llm.generate('another text altogether'));
  assert.deepEqual(await session.save(), saved);
  assert.equal(fake.text(fake.kv), '<user a > <assistant yes');
});

test('saving and restoring go on after a lost GPU', async (t) => {
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

test('a crash while restoring is CRASHED', async (t) => {
  const { llm, session, fake } = await begin(t, new Talker());
  await say(session, 'a');
  const restored = await llm.restore(await session.save());
  fake.write_kv = async () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  await assert.rejects(say(restored, 'b'), { code: 'CRASHED' });
  await assert.rejects(say(session, 'b'), { code: 'CRASHED' });
});

test('a session of another model, or other bytes, are refused by name', async (t) => {
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

test('every changed byte and every truncation of a saved session is INVALID_SESSION', async (t) => {
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
  test(`random changes of a saved session ${hash ? 'with a correct hash' : 'without a hash'} are refused or work`, async (t) => {
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

test('restoring refuses keys and values that contradict the header', async (t) => {
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

test('a restored KV cache serves its own session alone', async (t) => {
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
