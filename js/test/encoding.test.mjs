// Encoder tasks: order, ends, and what callers may do to them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, FakeLlm, gate, INFO, loadFake, settle } from './support/fake.mjs';

/** Returns the length of the text. `before(text)` may wait or throw. Embeds `most` texts a step. */
class FakeEncoder extends FakeLlm {
  constructor(before = () => {}, most = 1) {
    super();
    this.beforeText = before;
    this.most = most;
  }

  async #take(...call) {
    this.log.push(call);
    await this.beforeText(call[1]);
    return call[1].length;
  }

  embed = async (texts, options) => {
    const vectors = [];
    for (const text of texts.slice(0, this.most)) {
      vectors.push(Float32Array.of(await this.#take('embed', text, options)));
    }
    return vectors;
  };
  rerank = async (query, text, truncate) => {
    const logit = await this.#take('rerank', text, query, truncate);
    return { label: 'LABEL_0', score: logit / 10, logit };
  };
  classify = async (text, pair, truncate) => {
    const logit = await this.#take('classify', text, pair, truncate);
    return [{ label: 'long', score: 1, logit }];
  };
  classify_tokens = async (text, truncate) => {
    const logit = await this.#take('classifyTokens', text, truncate);
    return [{ id: 1, text, label: 'word', score: 1, logit }];
  };
  fill_mask = async (text, topK, truncate) => {
    await this.#take('fillMask', text, topK, truncate);
    return [[{ id: 1, text: 'a', score: 1 }]];
  };
}

const coded = (code, message) => Object.assign(new Error(message), { code });

test('vectors come in the order of the texts, and options reach the engine', async (t) => {
  const { llm, fake } = await loadFake(t, new FakeEncoder());
  assert.deepEqual(await llm.embed(['ab', 'a']), [Float32Array.of(2), Float32Array.of(1)]);
  assert.deepEqual(fake.log.pop(), ['embed', 'a', { normalize: true, truncate: false }]);
  await llm.embed(['a'], { pooling: 'cls', normalize: false, truncate: true });
  assert.deepEqual(fake.log.pop(), ['embed', 'a', { normalize: false, pooling: 'cls', truncate: true }]);
  assert.deepEqual(await llm.embed([]), []);
});

test("the model's own prompt for a task comes before each text", async (t) => {
  const prompts = { query: 'query: ', document: 'passage: ' };
  const { llm, fake } = await loadFake(t, Object.assign(new FakeEncoder(), { info: () => ({ ...INFO, prompts }) }));
  await llm.embed(['a'], { task: 'query' });
  assert.deepEqual(fake.log.pop(), ['embed', 'query: a', { normalize: true, truncate: false }]);
  const embedded = await llm.embeddings.create({ input: 'b', task: 'document' });
  assert.equal(embedded.data.length, 1);
  assert.ok(fake.log.some(([name, text]) => name === 'embed' && text === 'passage: b'));
  for (const task of ['passage', 'toString', 1]) {
    await assert.rejects(llm.embed(['a'], { task }), (error) => {
      assert.match(error.message, /`task`: expected 'query' or 'document'/);
      return error.code === 'INVALID_OPTION';
    });
  }
  const { llm: other } = await loadFake(t, new FakeEncoder());
  await assert.rejects(other.embed(['a'], { task: 'query' }), /`task`: expected none, .* write it before the text/);
});

test('texts that go in one step take one turn', async (t) => {
  const lengths = Array.from({ length: 150 }, (_, i) => 1 + ((i * 7) % 11));
  for (const most of [1, 7, 64, 1000]) {
    let turns = 0;
    class Counting extends FakeEncoder {
      use_adapters(...given) {
        turns += 1;
        super.use_adapters(...given);
      }
    }
    const { llm } = await loadFake(t, new Counting(undefined, most));
    const vectors = await llm.embed(lengths.map((length) => 'x'.repeat(length)));
    assert.deepEqual(
      vectors.map(([length]) => length),
      lengths,
    );
    // no more than 64 texts are handed over at once
    assert.equal(turns, Math.ceil(150 / Math.min(most, 64)));
  }
});

test('documents are sorted, the best first', async (t) => {
  const { llm, fake } = await loadFake(t, new FakeEncoder());
  assert.deepEqual(await llm.rerank('q', ['ab', 'abc', 'a']), [
    { index: 1, score: 0.3, logit: 3 },
    { index: 0, score: 0.2, logit: 2 },
    { index: 2, score: 0.1, logit: 1 },
  ]);
  assert.deepEqual(fake.log[0], ['rerank', 'ab', 'q', false]);
});

test('the other tasks take one text', async (t) => {
  const { llm, fake } = await loadFake(t, new FakeEncoder());
  assert.deepEqual(await llm.classify('ab', { pair: 'c' }), [{ label: 'long', score: 1, logit: 2 }]);
  assert.deepEqual(fake.log.pop(), ['classify', 'ab', 'c', false]);
  assert.deepEqual(await llm.classifyTokens('ab'), [{ id: 1, text: 'ab', label: 'word', score: 1, logit: 2 }]);
  assert.deepEqual(await llm.fillMask('a [MASK]', { topK: 1 }), [[{ id: 1, text: 'a', score: 1 }]]);
  assert.deepEqual(fake.log.pop(), ['fillMask', 'a [MASK]', 1, false]);
});

test('an abort between two texts rejects with its reason, and the model stays usable', async (t) => {
  const { open, opened } = gate();
  const { llm, fake } = await loadFake(t, new FakeEncoder((text) => (text === 'wait' ? opened : undefined)));
  const controller = new AbortController();
  const work = llm.embed(['wait', 'never'], { signal: controller.signal });
  await settle();
  controller.abort(new Error('enough'));
  await assert.rejects(work, { message: 'enough' });
  open();
  assert.deepEqual(await llm.embed(['next']), [Float32Array.of(4)]);
  assert.deepEqual(
    fake.log.map(([, text]) => text),
    ['wait', 'next'],
  );
});

test('a waiting call never starts after an abort', async (t) => {
  const { open, opened } = gate();
  const { llm, fake } = await loadFake(t, new FakeEncoder((text) => (text === 'wait' ? opened : undefined)));
  const first = llm.embed(['wait']);
  const controller = new AbortController();
  const second = llm.classify('second', { signal: controller.signal });
  await settle();
  controller.abort();
  await assert.rejects(second, { name: 'AbortError' });
  open();
  await first;
  await settle();
  assert.equal(fake.log.length, 1);
  await assert.rejects(llm.embed(['a'], { signal: controller.signal }), { name: 'AbortError' });
});

test('an error names the text that it is about', async (t) => {
  const tooLong = () => {
    throw coded('CONTEXT_OVERFLOW', 'the text has 9 tokens');
  };
  const { llm } = await loadFake(t, new FakeEncoder((text) => (text === 'long' ? tooLong() : undefined)));
  await assert.rejects(llm.embed(['a', 'long']), { code: 'CONTEXT_OVERFLOW', message: /^texts\[1\]: the text has 9/ });
  await assert.rejects(llm.rerank('q', ['long']), { code: 'CONTEXT_OVERFLOW', message: /^documents\[0\]: / });
  assert.deepEqual(await llm.embed(['a']), [Float32Array.of(1)]);
});

test('a task of another kind of model is an error that names this kind', async (t) => {
  const fake = new FakeEncoder(() => {
    throw coded('UNSUPPORTED_TASK', '`embed` needs an encoder');
  });
  fake.start = () => {
    throw coded('UNSUPPORTED_TASK', '`generate` needs a decoder');
  };
  const { llm } = await loadFake(t, fake);
  await assert.rejects(llm.embed(['a']), { code: 'UNSUPPORTED_TASK', message: '`embed` needs an encoder' });
  await assert.rejects(collect(llm.generate('a')), { code: 'UNSUPPORTED_TASK' });
});

test('a batch continues with the same text after a lost GPU', async (t) => {
  let losses = 1;
  const fake = new FakeEncoder((text) => {
    if (text === 'second' && losses-- > 0) throw coded('DEVICE_LOST', 'gone');
  });
  const { llm } = await loadFake(t, fake);
  assert.deepEqual(
    await llm.embed(['first', 'second', '3']),
    [5, 6, 1].map((length) => Float32Array.of(length)),
  );
  const texts = fake.log.filter(([what]) => what === 'embed').map(([, text]) => text);
  assert.deepEqual(texts, ['first', 'second', 'second', '3']);
});

test('dispose() ends running calls', async (t) => {
  const { llm } = await loadFake(t, new FakeEncoder(() => new Promise(() => {})));
  const work = llm.embed(['a']);
  llm.dispose();
  await assert.rejects(work, { code: 'DISPOSED' });
  await assert.rejects(llm.classify('a'), { code: 'DISPOSED' });
});

test('wrong arguments are named', async (t) => {
  const { llm, fake } = await loadFake(t, new FakeEncoder());
  for (const [work, message] of [
    [() => llm.embed('a'), /`texts`: expected an array of strings, got "a"/],
    [() => llm.embed(['a', ' ']), /`texts\[1\]`: expected a text that is not empty/],
    [() => llm.embed(['a'], { pooling: 'max' }), /`pooling`: expected 'mean' or 'cls' or 'last', got "max"/],
    [() => llm.embed(['a'], { normalise: true }), /`normalise`/],
    [() => llm.embed(['a'], { truncate: 1 }), /`truncate`: expected a boolean/],
    [() => llm.embed(['a'], { signal: 1 }), /`signal`/],
    [() => llm.rerank('', ['a']), /`query`/],
    [() => llm.rerank('a', ['b', 7]), /`documents\[1\]`: expected a string, got 7/],
    [() => llm.classify(null), /`text`/],
    [() => llm.classify('a', { pair: '' }), /`pair`/],
    [() => llm.fillMask('a', { topK: 0 }), /`topK`: expected an integer of at least 1/],
  ]) {
    await assert.rejects(work, { code: 'INVALID_OPTION', message });
  }
  assert.deepEqual(fake.log, []);
});
