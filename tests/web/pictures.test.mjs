// Pictures in the packed package, in Chromium, on both engines: what a model says about one is what
// transformers computes, in every form that a picture can have, and a second question about it
// computes none of it again.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { appInChromium } from './app.mjs';

const FIXTURES = inRoot('tests/fixtures');
/** Nats. */
const TOLERANCE = 5e-3;

const { prompts } = JSON.parse(readFileSync(join(FIXTURES, 'vision/reference.json'), 'utf8'));

const openApp = appInChromium({ mounts: { '/fixtures/': FIXTURES } });

/** The likeliest token behind the last position, and its log-probability. */
function likeliest(logits) {
  const id = logits.indexOf(Math.max(...logits));
  return { id, logprob: -Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - logits[id]), 0)) };
}

async function open(t) {
  const page = await openApp(t);
  await page.evaluate(() => {
    globalThis.load = (options) =>
      weft.load({
        model: '/fixtures/vision/model.gguf',
        projector: '/fixtures/vision/projector.gguf',
        contextLength: 512,
        kvCache: 'f32',
        store: false,
        ...options,
      });
    // the picture of make.py
    globalThis.draw = (width, height) => {
      const data = new Uint8ClampedArray(4 * width * height);
      for (let y = 0; y < height; y += 1)
        for (let x = 0; x < width; x += 1)
          for (let color = 0; color < 4; color += 1)
            data[4 * (y * width + x) + color] = color === 3 ? 255 : (3 * x * x + 5 * y + x * y + 71 * color) % 256;
      return new ImageData(data, width, height);
    };
    globalThis.canvasOf = (pixels) => {
      const canvas = new OffscreenCanvas(pixels.width, pixels.height);
      canvas.getContext('2d').putImageData(pixels, 0, 0);
      return canvas;
    };
    globalThis.ask = async (llm, part, options) => {
      const content = [{ type: 'text', text: 'd2f' }, part, { type: 'text', text: 'k!hf' }];
      const pieces = llm.chat([{ role: 'user', content }], {
        temperature: 0,
        maxTokens: 3,
        topLogprobs: 1,
        ...options,
      });
      const ids = [];
      let first, usage;
      for await (const piece of pieces) {
        first ??= piece.logprobs?.top[0];
        if (piece.finish) usage = piece.finish.usage;
        else ids.push(piece.id);
      }
      return { ids, id: first.id, logprob: first.logprob, ...usage };
    };
  });
  return page;
}

for (const device of ['cpu', 'gpu']) {
  test(`${device}: a model says of a picture what transformers computes`, async (t) => {
    const page = await open(t);
    const got = await page.evaluate(
      async ({ device, sizes }) => {
        const llm = await load({ device });
        const answers = [];
        for (const [width, height] of sizes) {
          const pixels = draw(width, height);
          const png = await canvasOf(pixels).convertToBlob({ type: 'image/png' });
          const first = await ask(llm, { type: 'image', value: png });
          answers.push([first, await ask(llm, { type: 'image', value: pixels })]);
        }
        const { inputs } = llm.info;
        llm.dispose();
        return { answers, inputs };
      },
      { device, sizes: prompts.map(({ size }) => size) },
    );
    assert.deepEqual(got.inputs, ['text', 'image']);
    for (const [i, { size, expanded, logits }] of prompts.entries()) {
      const [first, again] = got.answers[i];
      const expected = likeliest(logits.at(-1));
      assert.equal(first.id, expected.id, `${size}`);
      assert.ok(
        Math.abs(first.logprob - expected.logprob) < TOLERANCE,
        `${size}: ${first.logprob}, ${expected.logprob}`,
      );
      assert.equal(first.promptTokens, expanded.length);
      // all but the last token, whose logits are not kept
      assert.equal(again.cachedTokens, expanded.length - 1, 'a second question about a picture');
      assert.deepEqual(again.ids, first.ids);
    }
  });
}

test('a picture may come in any form', async (t) => {
  const page = await open(t);
  const answers = await page.evaluate(async () => {
    const llm = await load({ device: 'cpu' });
    const pixels = draw(41, 29);
    const canvas = canvasOf(pixels);
    const png = await canvas.convertToBlob({ type: 'image/png' });
    const bytes = await png.arrayBuffer();
    const data = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(png);
    });
    const image = new Image();
    image.src = data;
    await image.decode();
    const element = document.createElement('canvas');
    Object.assign(element, { width: 41, height: 29 }).getContext('2d').putImageData(pixels, 0, 0);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const values = { png, bytes, view: new Uint8Array(bytes), pixels, canvas, element, image };
    values.bitmap = await createImageBitmap(pixels);
    values.frame = frame;
    const answers = {};
    for (const [name, value] of Object.entries(values)) answers[name] = await ask(llm, { type: 'image', value });
    answers.data = await ask(llm, { type: 'image_url', image_url: data });
    frame.close();
    const { choices } = await llm.chat.completions.create({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'd2f' },
            { type: 'image_url', image_url: { url: data } },
            { type: 'text', text: 'k!hf' },
          ],
        },
      ],
      temperature: 0,
      max_tokens: 3,
      logprobs: true,
      top_logprobs: 1,
    });
    answers.openai = { logprob: choices[0].logprobs.content[0].logprob };
    llm.dispose();
    return answers;
  });
  for (const [name, { logprob }] of Object.entries(answers)) {
    assert.ok(Math.abs(logprob - answers.png.logprob) < 1e-6, `${name}: ${logprob}, ${answers.png.logprob}`);
  }
});

test('a session and the Prompt API take pictures', async (t) => {
  const page = await open(t);
  const said = await page.evaluate(async () => {
    const llm = await load({ device: 'cpu' });
    const value = draw(41, 29);
    const content = [
      { type: 'text', text: 'd2f' },
      { type: 'image', value },
      { type: 'text', text: 'k!hf' },
    ];
    const options = { temperature: 0, maxTokens: 3 };
    const alone = await collect(llm.chat([{ role: 'user', content }], options));
    const session = llm.session(options);
    const first = await collect(session.send({ role: 'user', content }));
    const used = session.contextUsage;
    const second = await collect(session.send('a b'));
    const messages = [
      { role: 'user', content },
      { role: 'assistant', content: first.text },
      { role: 'user', content: 'a b' },
    ];
    const again = await collect(llm.chat(messages, options));
    const saved = await failure(() => session.save());
    const { configure, LanguageModel } = await import('/node_modules/weft-llm/dist/prompt-api/index.js');
    configure({ llm });
    const expectedInputs = [{ type: 'image' }];
    const availability = await LanguageModel.availability({ expectedInputs });
    const model = await LanguageModel.create({ expectedInputs, temperature: 0, topK: 1 });
    const parts = content.map((part) => (part.type === 'text' ? { type: 'text', value: part.text } : part));
    let text = '';
    const reader = model.promptStreaming([{ role: 'user', content: parts }]).getReader();
    while (text.length < alone.text.length) {
      const { value: more, done } = await reader.read();
      if (done) break;
      text += more;
    }
    await reader.cancel();
    const blind = await LanguageModel.create();
    const refused = await failure(() => blind.prompt([{ role: 'user', content: parts }]));
    llm.dispose();
    return { alone, first, used, second, again, saved, availability, text, refused };
  });
  const { alone, first, second, again } = said;
  assert.deepEqual(first.ids, alone.ids);
  assert.equal(said.used, alone.usage.promptTokens + 3);
  // what the first turn computed, with the picture, is there
  assert.ok(second.usage.cachedTokens >= alone.usage.promptTokens, `${second.usage.cachedTokens} tokens`);
  assert.equal(second.usage.promptTokens, again.usage.promptTokens);
  assert.deepEqual(second.ids, again.ids);
  assert.match(said.saved.message, /one without pictures/);
  assert.equal(said.availability, 'available');
  assert.ok(said.text.startsWith(alone.text), `${said.text}, ${alone.text}`);
  assert.equal(said.refused.name, 'NotSupportedError');
});

test('what cannot be seen is refused, and the model goes on', async (t) => {
  const page = await open(t);
  const failures = await page.evaluate(async () => {
    const blind = await load({ device: 'cpu', projector: undefined });
    const llm = await load({ device: 'cpu' });
    const picture = { type: 'image', value: draw(9, 9) };
    const message = async (work) => (await failure(work))?.message ?? null;
    const found = {
      blind: await message(() => ask(blind, picture)),
      bytes: await message(() => ask(llm, { type: 'image', value: new Blob(['not a picture']) })),
      value: await message(async () => ask(llm, { type: 'image', value: 7 })),
      url: await message(async () => ask(llm, { type: 'image_url', image_url: { url: 'ftp://a/b' } })),
      absent: await message(() => ask(llm, { type: 'image_url', image_url: { url: '/absent.png' } })),
      audio: await message(async () => ask(llm, { type: 'input_audio', input_audio: {} })),
      empty: await message(async () => ask(llm, { type: 'image', value: new Image() })),
      blob: await message(() => ask(llm, { type: 'image_url', image_url: URL.createObjectURL(new Blob(['x'])) })),
      session: await message(async () => blind.session().send({ role: 'user', content: [picture] })),
      model: await message(() => load({ device: 'cpu', projector: '/fixtures/vision/model.gguf' })),
      projector: await message(() => load({ device: 'cpu', projector: 7 })),
      swapped: await message(() =>
        load({ device: 'cpu', model: '/fixtures/vision/projector.gguf', projector: undefined }),
      ),
    };
    found.after = (await ask(llm, picture)).ids.length;
    blind.dispose();
    llm.dispose();
    return found;
  });
  const says = {
    blind: /loaded with a `projector`/,
    bytes: /a picture in a format that this browser decodes/,
    value: /`messages\[0\]\.content\[1\]\.value`.*ImageBitmap/,
    url: /`messages\[0\]\.content\[1\]\.image_url`.*blob:/,
    absent: /the picture .*absent\.png could not be read: the server answered 404/,
    // the tests' policy forbids it
    blob: /the picture blob:.* could not be read.*`connect-src`/,
    audio: /'text', 'image' or 'image_url'/,
    empty: /a picture that has been loaded/,
    session: /loaded with a `projector`/,
    model: /general\.architecture.*projectors/,
    projector: /`projector`.*a URL/,
    swapped: /mmproj/,
  };
  for (const [name, pattern] of Object.entries(says)) assert.match(failures[name] ?? 'nothing', pattern, name);
  assert.equal(failures.after, 3);
});
