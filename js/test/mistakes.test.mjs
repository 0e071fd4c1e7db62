// Common mistakes and their messages: what is wrong, where, and what to do. Each row has a call, a
// code and the message.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingModel, languageModel } from '../dist/ai-sdk/index.js';
import { request } from '../dist/download/http.js';
import { explained, reasonFor, whereabouts } from '../dist/download/refusals.js';
import { WeftError } from '../dist/common/errors.js';
import { estimate, load } from '../dist/index.js';
import { checkEstimate, checkLoad } from '../dist/options/load.js';
import { openaiFetch } from '../dist/openai/fetch.js';
import { configure, LanguageModel } from '../dist/prompt-api/index.js';
import { hybrid, remote } from '../dist/remote/index.js';
import { rolesOf } from '../dist/common/roles.js';
import { FakeLlm, loadFake } from './support/fake.mjs';
import { listen } from './support/server.mjs';

const hi = [{ role: 'user', content: 'hi' }];
const model = new Blob(['x']);
const I = 'INVALID_OPTION';
const tool = { type: 'function', function: { name: 'now', parameters: { type: 'object' } } };

/** Calls of a loaded model. */
const calls = [
  // options that do not exist
  [
    (llm) => llm.chat(hi, { max_tokens: 9 }),
    I,
    /^option `max_tokens`: there is no such option. Did you mean `maxTokens`\? The options are maxTokens, temperature,.* tools, toolChoice,.* examples, reasoning, variables/,
  ],
  [(llm) => llm.chat(hi, { temprature: 1 }), I, /Did you mean `temperature`\?/],
  [(llm) => llm.chat(hi, { top_p: 1 }), I, /Did you mean `topP`\?/],
  [(llm) => llm.chat(hi, { toolchoice: 'auto' }), I, /Did you mean `toolChoice`\?/],
  [(llm) => llm.chat(hi, { enable_thinking: false }), I, /Did you mean `reasoning`\?/],
  [(llm) => llm.chat(hi, { response_format: {} }), I, /Did you mean `constraint`\?/],
  [(llm) => llm.chat(hi, { max_new_tokens: 3 }), I, /Did you mean `maxTokens`\?/],
  [(llm) => llm.chat(hi, { temp: 1 }), I, /Did you mean `temperature`\?/],
  [(llm) => llm.chat(hi, { stop_token_ids: [1] }), I, /Did you mean `stop`\?/],
  [(llm) => llm.chat(hi, { chat_template_kwargs: {} }), I, /Did you mean `variables`\?/],
  [(llm) => llm.chat(hi, { variables: [1] }), I, /^option `variables`: expected an object, got an array of 1/],
  [(llm) => llm.generate('a', { n_predict: 3 }), I, /Did you mean `maxTokens`\?/],
  [(llm) => llm.generate('a', { tools: [] }), I, /^option `tools`: there is no such option\. The options/],
  [(llm) => llm.generate('a', { qwertz: 3 }), I, /^option `qwertz`: there is no such option\. The options are/],
  [(llm) => llm.session({ message: hi }), I, /Did you mean `messages`\?/],
  [(llm) => llm.session({ signal: new AbortController().signal }), I, /`signal`: expected none: each turn has its own/],
  [(llm) => llm.session().send('a', { prefx: 'b' }), I, /Did you mean `prefix`\?/],
  [(llm) => llm.embed(['a'], { normalise: true }), I, /Did you mean `normalize`\?/],
  [(llm) => llm.tokenize('a', { addSpecials: true }), I, /Did you mean `addSpecial`\?/],
  [
    (llm) => llm.score('a', { before: 'b' }),
    I,
    /`before`: there is no such option. The options are after, adapter, signal/,
  ],
  [(llm) => llm.classify('a', ['b', 'c'], { instructions: '' }), I, /Did you mean `instruction`\?/],
  // values
  [
    (llm) => llm.chat(hi, { maxTokens: -3 }),
    I,
    'option `maxTokens`: expected an integer of at least 0 and at most 4294967295, got -3',
  ],
  [
    (llm) => llm.chat(hi, { temperature: '0.5' }),
    I,
    'option `temperature`: expected a number of at least 0, got "0.5"',
  ],
  [(llm) => llm.chat(hi, { reasoning: true }), I, /`reasoning`: expected 'auto' or 'off' or 'step-by-step', got true/],
  [(llm) => llm.chat(hi, { stop: '' }), I, /`stop`: expected a string, or an array of strings, none empty, got ""/],
  [
    (llm) => llm.chat(hi, { constraint: { schema: {} } }),
    I,
    /`constraint`: expected an object with one of jsonSchema, regex/,
  ],
  [
    (llm) => llm.chat(hi, { constraint: { regex: /a/ } }),
    I,
    /`constraint\.regex`: expected a string, as the `source` of a RegExp is, got/,
  ],
  [(llm) => llm.chat(hi, { constraint: { choices: [1] } }), I, /`constraint\.choices`/],
  [
    (llm) => llm.chat(hi, { tools: [{ type: 'function', name: 'f', parameters: {} }] }),
    I,
    /`tools\[0\]\.function\.name`: expected the name there and not beside it.*got undefined/,
  ],
  [(llm) => llm.chat(hi, { tools: [tool], toolChoice: { name: 'then' } }), I, /`toolChoice`/],
  [(llm) => llm.chat(hi, { signal: new AbortController() }), I, /`signal`: expected an AbortSignal/],
  [(llm) => llm.generate(Promise.resolve('a')), I, /got a Promise \(is an `await` missing\?\)/],
  [(llm) => llm.generate(hi), I, /`prompt\[0\]`/],
  // messages
  [(llm) => llm.chat('hi'), I, /`messages`: expected an array of { role, content }, not empty, got "hi"/],
  [(llm) => llm.chat([]), I, /`messages`.*got an empty array/],
  [
    (llm) => llm.chat([{ role: 'usr', content: 'a' }]),
    I,
    /^option `messages\[0\]\.role`: expected a role that the model's chat template knows \(system, user, assistant, tool\), got "usr"\. Did you mean 'user'\?$/,
  ],
  [(llm) => llm.chat([...hi, { role: 'human', content: 'a' }]), I, /`messages\[1\]\.role`.*Did you mean 'user'\?/],
  [(llm) => llm.chat([{ role: 'User', content: 'a' }]), I, /Did you mean 'user'\?/],
  [(llm) => llm.chat([{ role: 'ai', content: 'a' }]), I, /Did you mean 'assistant'\?/],
  [(llm) => llm.chat([{ content: 'a' }]), I, /`messages\[0\]\.role`: expected a string, got undefined/],
  [
    (llm) => llm.chat([{ role: 'user', text: 'a' }]),
    I,
    /`messages\[0\]\.content`: expected a string, or an array of { type: 'text', text }/,
  ],
  [
    (llm) => llm.chat([{ role: 'user', content: [{ type: 'image_url' }] }]),
    I,
    /`messages\[0\]\.content\[0\]\.type`: expected 'text': pictures are for .* a `projector`, got "image_url"/,
  ],
  [(llm) => llm.chat([{ role: 'user', content: [{ type: 'text' }] }]), I, /`messages\[0\]\.content\[0\]\.text`/],
  [(llm) => llm.session({ messages: [{ role: 'robot', content: 'a' }] }), I, /`messages\[0\]\.role`/],
  [(llm) => llm.session().send({ role: 'robot', content: 'a' }), I, /`messages\[0\]\.role`/],
  [(llm) => llm.score('a', { after: [{ role: 'robot', content: 'a' }] }), I, /`after\[0\]\.role`/],
  // OpenAI's format
  [(llm) => llm.chat.completions.create({ messages: hi, maxTokens: 3 }), I, /`maxTokens`.*Did you mean `max_tokens`\?/],
  [(llm) => llm.chat.completions.create({ messages: hi, functions: [] }), I, /`functions`.*Did you mean `tools`\?/],
  [(llm) => llm.chat.completions.create({ messages: hi, temperature: -1 }), I, /`temperature`/],
  [(llm) => llm.completions.create({ prompt: 'a', messages: hi }), I, /`messages`: there is no such option/],
];

/** Calls whose options are checked first. */
const options = [
  [() => checkLoad('hf:a/b'), I, /`options`: expected an object: load\(\{ model \}\), got "hf:a\/b"/],
  [
    () => openaiFetch(Promise.resolve({})),
    I,
    /`llm`: expected a model that has `chat`, got a Promise \(is an `await` missing\?\)/,
  ],
  [() => languageModel({}), I, /`llm`: expected a model that has `chat`/],
  [() => embeddingModel({}), I, /`llm`: expected a model that has `embed`/],
  [() => configure({ llm: Promise.resolve() }), I, /`llm`.*is an `await` missing\?/],
  [() => hybrid({ local: { model }, remote: {}, wen: ['failed'] }), I, /`wen`.*Did you mean `when`\?/],
  [() => checkLoad({ url: model }), I, /`url`.*Did you mean `model`\?/],
  [() => checkLoad({ model, progress_callback() {} }), I, /Did you mean `onProgress`\?/],
  [() => checkLoad({ model, webgpu: true }), I, /Did you mean `device`\?/],
  [() => checkLoad({ file: model }), I, /Did you mean `model`\?/],
  [() => remote({ url: 'http://localhost' }), I, /Did you mean `baseURL`\?/],
  [() => remote({ baseURL: 'http://localhost', defaultHeaders: {} }), I, /Did you mean `headers`\?/],
  [() => checkLoad({ model, n_ctx: 4096 }), I, /Did you mean `contextLength`\?/],
  [() => checkLoad({ model, dtype: 'q4' }), I, /Did you mean `quantize`\?/],
  [() => checkLoad({ model, quantize: 'q4' }), I, /`quantize`: expected 'q8_0' or/],
  [() => checkLoad({ model, kvCache: 'q2' }), I, /`kvCache`: expected 'f32' or 'f16' or 'q8' or 'q4', got "q2"/],
  [() => checkLoad({ model, ropeScaling: 'yarn' }), I, /`ropeScaling`: expected \{ type: 'linear', .* got "yarn"/],
  [() => checkLoad({ model, ropeScaling: { type: 'ntk', factor: 2 } }), I, /`ropeScaling.type`: expected 'linear' or/],
  [() => checkLoad({ model, ropeScaling: { type: 'yarn', factor: 0.5 } }), I, /`ropeScaling.factor`: .* at least 1/],
  [() => checkLoad({ model, ropeScaling: { type: 'yarn', scale: 2 } }), I, /scale/],
  [() => checkLoad({ model, ropeScale: 2 }), I, /Did you mean `ropeScaling`\?/],
  [() => checkLoad({ model, type_k: 'f16' }), I, /Did you mean `kvCache`\?/],
  [() => checkLoad({ model, promptCache: true }), I, /Did you mean `prefixCache`\?/],
  [
    () => checkLoad({ model, prefixCache: true }),
    I,
    /`prefixCache`: expected an object: \{ maxBytes, persist \}, got true/,
  ],
  [() => checkLoad({ model, prefixCache: { persist: 1 } }), I, /`prefixCache.persist`: expected a boolean/],
  [() => checkLoad({ model, prefixCache: { persist: true }, store: false }), I, /beside `store: false`/],
  [() => checkLoad({ model, prefixCache: { maxBytes: -1 } }), I, /`prefixCache.maxBytes`: expected an integer of at/],
  [() => checkLoad({ model, device: 'webgpu' }), I, /`device`: expected 'auto' or 'gpu' or 'cpu', got "webgpu"/],
  [() => checkLoad({ model: 'hf:owner' }), I, /`model`: expected 'hf:owner\/repository\/path\/to\/file.gguf'/],
  [
    () => checkLoad({ model: 'hf:a/b', token: 'two words' }),
    I,
    /`token`: expected a string of printable characters without spaces, got another string, which is not shown/,
  ],
  [() => checkLoad({ model, store: { evit: true } }), I, /`evit`.*Did you mean `evict`\?/],
  [
    () => checkEstimate('http://a/m.gguf', { device: 'cpu' }),
    I,
    /`device`: there is no such option. The options are contextLength/,
  ],
  [
    () => load({ model }),
    'NOT_SUPPORTED',
    /this is not a browser. Call load\(\) in a browser, in an effect or event handler/,
  ],
  [() => estimate('http://a/m.gguf'), 'NOT_SUPPORTED', /Call estimate\(\) in a browser/],
  [() => remote({ baseUrl: 'http://localhost' }), I, /Did you mean `baseURL`\?/],
  [() => remote({ baseURL: 'http://[' }), I, /`baseURL`: expected the address of an API/],
  [
    () => hybrid({ local: { model }, remote: {}, when: 'failed' }),
    I,
    /`when`: expected a function, or an array of unfit, too-long, failed/,
  ],
];

async function tells([call, code, message], ...given) {
  const what = call.toString();
  // also for calls that throw at once
  await assert.rejects(
    async () => call(...given),
    (error) => {
      assert.ok(error instanceof WeftError, `${what}: ${error}`);
      assert.equal(error.code, code, what);
      if (typeof message === 'string') assert.equal(error.message, message, what);
      else assert.match(error.message, message, what);
      return true;
    },
  );
}

test('an error of a mistaken call names what was meant', async (t) => {
  const { llm, fake } = await loadFake(t);
  for (const row of calls) await tells(row, llm);
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 0);
});

test('an error of a mistaken option names what was meant', async () => {
  for (const row of options) await tells(row);
  await assert.rejects(LanguageModel.create(), /call configure\({ model }\) of weft-llm\/prompt-api first/);
});

test('allowed roles are the usual ones and those that the template names', async (t) => {
  const common = ['system', 'user', 'assistant', 'tool'];
  const templates = [
    ["{% if message['role'] == 'document' %}", 'document'],
    ['{% if message.role == "critic" %}', 'critic'],
    ["{% if 'critic' == message.role %}", 'critic'],
    ["{% if message.role in ['a-b', 'critic'] %}", 'critic'],
    ["{% if message.role not in ('a-b', 'critic') %}", 'critic'],
    ["{% set role = 'model' %}", 'model'],
    ["{% if message.get('role') == 'critic' %}", 'critic'],
    ["{% for m in messages | selectattr('role', 'equalto', 'critic') %}", 'critic'],
    ["{% set roles = ['critic', 'user'] %}", 'critic'],
    ["{% set role_lower = m.role | lower %}{% if role_lower == 'chatbot' %}", 'chatbot'],
    ['{{ "<|start_of_role|>document {\\"id\\": 1}<|end_of_role|>" }}', 'document'],
    ["{{ '<start_of_turn>model\\n' }}", 'model'],
    ["{% if messages[0]['role'] != 'critic' %}", 'critic'],
  ];
  for (const [template, role] of templates) assert.ok(rolesOf(template).includes(role), template);
  for (const template of ["{{ message['content'] == 'x' }}", '{{ message.role }}', '{{ tools }}']) {
    assert.deepEqual(rolesOf(template), common);
  }
  const fake = new FakeLlm();
  fake.template = "{{ tools }}{% if message.role == 'critic' %}";
  const { llm } = await loadFake(t, fake);
  assert.deepEqual(llm.info.roles, [...common, 'critic']);
  const said = async (role) => {
    await llm.chat([{ role, content: 'a' }]).text;
    return fake.conversation.messages[0].role;
  };
  assert.equal(await said('critic'), 'critic');
  assert.equal(await said('developer'), 'system');
  assert.equal(await said('function'), 'tool');
  fake.template = "{{ tools }}{% if message.role == 'developer' %}";
  const { llm: knows } = await loadFake(t, fake);
  await knows.chat([{ role: 'developer', content: 'a' }]).text;
  assert.equal(fake.conversation.messages[0].role, 'developer');
});

test('messages take parts of text, as chat.completions does', async (t) => {
  const { llm, fake } = await loadFake(t);
  const content = ['a', 'b'].map((text) => ({ type: 'text', text }));
  await llm.chat([{ role: 'user', content }]).text;
  assert.equal(fake.conversation.messages[0].content, 'ab');
});

/** The error for a server that responds with this status, with or without a token. */
async function fetched(t, status, { isHub = false, token, said } = {}) {
  const origin = await listen(t, (_, response) =>
    response.writeHead(status, said ? { 'X-Error-Message': said } : {}).end(),
  );
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const target = { url: `${origin}/owner/model`, headers, isHub, useCache: false, stallMs: 1e4 };
  return request(fetch, target, new AbortController().signal, null, undefined);
}

test('an error for a refusing server names the option that helps', async (t) => {
  const rows = [
    [
      () => fetched(t, 401, { isHub: true }),
      /answered 401 Unauthorized\. The repository is private or gated, .*give `token`/,
    ],
    [
      () => fetched(t, 403, { isHub: true, token: 'hf_x' }),
      /answered 403 Forbidden\. This `token` may not read it\. Of a gated model, ask for access/,
    ],
    [() => fetched(t, 401), /give `load` a `fetch` that says so\. `token` goes to `hf:` addresses alone/],
    [
      () => fetched(t, 404, { isHub: true }),
      /answered 404 Not Found\. .*`hf:owner\/repository\/path\/to\/file\.gguf@revision`/,
    ],
    [() => fetched(t, 404, { isHub: true, said: 'Entry not found' }), /answered 404 Entry not found\./],
    [() => fetched(t, 410), /answered 410 Gone\. Is the address right\?/],
    [() => fetched(t, 418), /answered 418 I'm a Teapot$/],
  ];
  for (const [call, message] of rows) await tells([call, 'NETWORK', message]);
});

/** Runs `work` in a page with this URL. */
async function inPage(t, href, work, onLine = true) {
  globalThis.location = new URL(href);
  const navigator = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { onLine }, configurable: true });
  try {
    return await work();
  } finally {
    delete globalThis.location;
    if (navigator) Object.defineProperty(globalThis, 'navigator', navigator);
    else delete globalThis.navigator;
  }
}

const at = (url, more) => ({ url, headers: {}, ...more });

test('a missing file is looked for in public/ and on a hub', async (t) => {
  await inPage(t, 'http://localhost:5173/app/', () => {
    const page = 'http://localhost:5173/app';
    assert.match(whereabouts(at(`${page}/models/m.gguf`)), /`public\/`.*'hf:owner\/repository\/file\.gguf'/);
    assert.match(whereabouts(at(`${page}/HuggingFaceTB/SmolLM2-135M`)), /'hf:HuggingFaceTB\/SmolLM2-135M'/);
    assert.match(whereabouts(at(`${page}/HuggingFaceTB/SmolLM2-135M/`)), /'hf:HuggingFaceTB\/SmolLM2-135M'/);
    assert.equal(whereabouts(at('http://other/m.gguf')), 'Is the address right?');
  });
});

test('a URL that answers a web page or other text is named with what it answers', async (t) => {
  const invalid = (looks) =>
    Object.assign(new Error(`magic: expected \`GGUF\`, got \`x\`, which looks like ${looks}`), {
      code: 'INVALID_FILE',
    });
  await inPage(t, 'http://localhost:5173/', () => {
    const asked = at('http://localhost:5173/models/x.gguf');
    const page = explained(invalid('a web page, such as a login or error page'), asked);
    assert.equal(page.code, 'INVALID_FILE');
    assert.match(
      page.message,
      /^http:\/\/localhost:5173\/models\/x\.gguf answered a web page, not a model\. Is the file among .*`public\/`/,
    );
    const pointer = explained(invalid('a Git LFS pointer: fetch the file itself with `git lfs pull`'), asked);
    assert.match(
      pointer.message,
      /^http:\/\/localhost:5173\/models\/x\.gguf is no model: .*Git LFS pointer.*`git lfs pull`/,
    );
    const other = new WeftError('INVALID_MODEL', 'x');
    assert.equal(explained(other, asked), other);
    assert.match(explained(invalid('JSON'), undefined).message, /^magic/);
  });
});

test('an error for a request without a response gives its cause, if it is known', async (t) => {
  const rows = [
    ['https://app.example/', 'http://models.example/m.gguf', {}, /mixed content/, true],
    ['https://app.example/', 'http://localhost:8080/m.gguf', {}, /CORS/, false],
    [
      'https://app.example/',
      'https://models.example/m.gguf',
      {},
      /Most likely.*CORS.*Access-Control-Allow-Origin/,
      false,
    ],
    ['https://app.example/', 'https://app.example/m.gguf', {}, /^Is the server running\?$/, false],
    ['https://app.example/', 'https://models.example/m.gguf', { onLine: false }, /^The browser is offline\.$/, false],
    [
      'https://app.example/',
      'https://models.example/m.gguf',
      { forbidden: [{ directive: 'connect-src', blocked: 'https://models.example/m.gguf' }] },
      /content security policy.*`connect-src https:\/\/models\.example`/,
      true,
    ],
    [
      'https://app.example/',
      'https://huggingface.co/a/b/resolve/main/m.gguf',
      {
        isHub: true,
        forbidden: [{ directive: 'connect-src', blocked: 'https://huggingface.co/a/b/resolve/main/m.gguf' }],
      },
      /`connect-src https:\/\/huggingface\.co https:\/\/\*\.hf\.co`/,
      true,
    ],
    [
      'https://app.example/',
      'https://app.example/m.gguf',
      { forbidden: [{ directive: 'connect-src', blocked: 'https://app.example/m.gguf' }] },
      /`connect-src 'self'`/,
      true,
    ],
    [
      'https://app.example/',
      'https://models.example/m.gguf',
      { forbidden: [{ directive: 'img-src', blocked: 'https://models.example/' }] },
      /CORS/,
      false,
    ],
  ];
  for (const [page, url, { forbidden = [], isHub = false, onLine = true }, reason, certain] of rows) {
    const found = await inPage(t, page, () => reasonFor(at(url, { isHub }), forbidden), onLine);
    assert.match(found.reason, reason, url);
    assert.equal(found.certain, certain, url);
  }
});

test('the table has at least 40 mistakes', () => assert.ok(calls.length + options.length >= 40));
