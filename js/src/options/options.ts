/** Checks what the caller gave before it crosses to the worker: names the option, what it should be and what it is. */

import { moduleAddresses } from '../assets.js';
import { BUILDS } from '../common/builds.js';
import { invalidOption, invalidSecret, unknownOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import type {
  Conversation,
  EncodeTask,
  EstimateCall,
  LoadCall,
  PlainMessage,
  StartOptions,
} from '../common/protocol.js';
import { checkRole } from '../common/roles.js';
import {
  HUB,
  hubAddress,
  partsOf,
  webAddress,
  webFolder,
  type Address,
  type FileSource,
  type FolderAddress,
} from '../common/source.js';
import { give, giveFetch } from '../download/port.js';
import { checkTools } from '../tools/options.js';
import type {
  BuildAddresses,
  ChatOptions,
  EmbedOptions,
  EncodeOptions,
  EstimateOptions,
  FileLike,
  GenerateOptions,
  LoadOptions,
  Message,
  ModelSource,
  Pooling,
  Quantize,
  SchemaLimits,
  StoreOptions,
  TextOptions,
  TextPart,
  TokenIds,
  TokenizeOptions,
} from '../types/index.js';

const DEVICES = ['auto', 'gpu', 'cpu'] as const;

/** The fields of an interface, by their names: the compiler sees to it that none is missing. */
type FieldsOf<Options> = Record<keyof Options, 1>;

const OF_ESTIMATES: FieldsOf<EstimateOptions> = {
  ...{ contextLength: 1, quantize: 1, signal: 1, store: 1, fetch: 1, token: 1, hub: 1, builds: 1 },
};
const OF_LOADS: FieldsOf<LoadOptions> = {
  ...{ model: 1, device: 1, threads: 1, onProgress: 1, sha256: 1, shared: 1 },
  ...OF_ESTIMATES,
};
const LOAD_OPTIONS = Object.keys(OF_LOADS);
const ESTIMATE_OPTIONS = Object.keys(OF_ESTIMATES);

const QUANTIZE = ['q8_0', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0', 'f16', 'bf16', 'none'] as const;

/** What crosses to the worker. A stream of the caller, or its `fetch`, is served from now on. */
export function checkLoad(options: LoadOptions): LoadCall {
  const isModel = typeof (options as unknown) === 'string' || options instanceof URL || options instanceof Blob;
  if (isModel) throw invalidOption('options', 'an object: load({ model })', options);
  checkNames(options, LOAD_OPTIONS);
  const { device = 'auto', contextLength, threads, onProgress, fetch } = options;
  if (!DEVICES.includes(device)) throw invalidOption('device', DEVICES.map((name) => `'${name}'`).join(' or '), device);
  checkContext(contextLength);
  if (threads !== undefined) checkNumber('threads', threads, { min: 1, max: MAX_THREADS, integer: true });
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidOption('onProgress', 'a function', onProgress);
  }
  checkSignal(options.signal);
  const { shared = false } = options;
  if (typeof shared !== 'boolean') throw invalidOption('shared', 'a boolean', shared);
  if (shared) checkShareable(options);
  const store = checkStore(options.store);
  const sha256 = checkSha256(options.sha256);
  const quantize = checkQuantize(options.quantize);
  checkFetch(fetch);
  const files = checkModel(options);
  const fetchPort = portOf(fetch);
  return {
    type: 'load',
    files,
    device,
    contextLength: contextLength ?? null,
    threads: threads ?? null,
    sha256,
    quantize,
    store,
    fetchPort,
    modules: moduleAddresses(checkBuilds(options.builds)),
  };
}

/** The same for {@link estimate}. */
export function checkEstimate(model: ModelSource, options: EstimateOptions): EstimateCall {
  checkNames(options, ESTIMATE_OPTIONS);
  const { contextLength, fetch } = options;
  checkContext(contextLength);
  checkSignal(options.signal);
  checkFetch(fetch);
  const quantize = checkQuantize(options.quantize);
  const store = checkStore(options.store);
  const files = checkModel({ ...options, model });
  return {
    type: 'estimate',
    files,
    contextLength: contextLength ?? null,
    quantize,
    store,
    fetchPort: portOf(fetch),
    modules: moduleAddresses(checkBuilds(options.builds)),
  };
}

function checkBuilds(builds: unknown): BuildAddresses {
  if (builds === undefined) return {};
  const addresses = builds as Record<string, unknown>;
  const known = (name: string) => BUILDS.some((build) => build === name);
  const isAddress = (address: unknown) => typeof address === 'string' && URL.canParse(address);
  const isBuilds = typeof builds === 'object' && builds !== null;
  if (isBuilds && Object.entries(addresses).every(([name, address]) => known(name) && isAddress(address))) {
    return addresses;
  }
  throw invalidOption('builds', `what \`allBuilds()\` gives: absolute addresses of ${BUILDS.join(', ')}`, builds);
}

function checkContext(contextLength: unknown): void {
  if (contextLength !== undefined) checkNumber('contextLength', contextLength, { min: 1, max: U32_MAX, integer: true });
}

function checkQuantize(quantize: unknown): Quantize | null {
  if (quantize === undefined) return null;
  const found = QUANTIZE.find((name) => name === quantize);
  if (!found) throw invalidOption('quantize', QUANTIZE.map((name) => `'${name}'`).join(' or '), quantize);
  return found;
}

function checkFetch(fetch: unknown): void {
  if (fetch !== undefined && typeof fetch !== 'function') throw invalidOption('fetch', 'a function', fetch);
}

/** A port to the caller's own `fetch`, where there is one. */
function portOf(fetch: LoadOptions['fetch']): MessagePort | null {
  if (!fetch) return null;
  const { port1, port2 } = new MessageChannel();
  giveFetch(fetch, port1);
  return port2;
}

/** What a call must hand over, since it cannot be copied. */
export function transfersOf({ files, fetchPort }: LoadCall | EstimateCall): Transferable[] {
  const streams = files.flatMap((file) => (file.type === 'stream' ? [file.port] : []));
  return fetchPort ? [...streams, fetchPort] : streams;
}

function checkModel({ model, hub, token }: LoadOptions): FileSource[] {
  const files = Array.isArray(model) ? (model as readonly FileLike[]) : [model as FileLike];
  if (files.length === 0) throw invalidOption('model', 'at least one file', model);
  const checked = files.map((file): FileSource => {
    if (file instanceof Blob) {
      const path = 'webkitRelativePath' in file ? String(file.webkitRelativePath) : '';
      return { type: 'blob', blob: file, ...(path && { path }) };
    }
    if (typeof file === 'string' || file instanceof URL) return checkSource('model', file, hub, token);
    if (isHandle(file) && (file.kind === 'file' || !Array.isArray(model))) return { type: 'handle', handle: file };
    if (!(file instanceof ReadableStream)) {
      const expected = 'a URL, a File or Blob, a handle of a file or folder, a ReadableStream, or an array of files';
      throw invalidOption('model', expected, file);
    }
    if (file.locked) throw invalidOption('model', 'a stream that nobody reads', file);
    const { port1, port2 } = new MessageChannel();
    give(file, port1);
    return { type: 'stream', port: port2 };
  });
  const [first] = checked;
  return checked.length === 1 && first?.type === 'address' ? allParts(first) : checked;
}

/** The worker outlives the page, and may have to read the model again. */
function checkShareable({ model, fetch }: LoadOptions): void {
  const remedy = 'or no `shared`, since another tab cannot use what this one holds';
  for (const file of Array.isArray(model) ? (model as readonly unknown[]) : [model]) {
    const isAddress = (typeof file === 'string' || file instanceof URL) && !/^(blob|data):/i.test(String(file));
    if (!isAddress) throw invalidOption('model', `addresses of a server, ${remedy}`, file);
  }
  if (fetch !== undefined) throw invalidOption('fetch', `none, ${remedy}`, fetch);
}

function isHandle(file: unknown): file is FileSystemFileHandle {
  const { kind } = (file ?? {}) as { kind?: unknown };
  return kind === 'file' || kind === 'directory';
}

function allParts(first: Address): Address[] {
  const urls = partsOf(first.url);
  const keys = partsOf(first.key);
  return urls.map((url, index) => ({ ...first, url, key: keys[index] ?? url }));
}

/** The address of a file, as it is fetched and stored. */
export function checkAddress(option: string, address: unknown, hub?: unknown, token?: unknown): Address {
  const found = checkSource(option, address, hub, token);
  if (found.type === 'folder') throw invalidOption(option, 'the address of a file', address);
  return found;
}

/** The address of a file, or of a folder. */
export function checkSource(
  option: string,
  address: unknown,
  hub: unknown = HUB,
  token?: unknown,
): Address | FolderAddress {
  if (typeof address !== 'string' && !(address instanceof URL)) throw invalidOption(option, 'a URL', address);
  // The worker has another base address than the page.
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (typeof hub !== 'string' || !URL.canParse(hub, base)) throw invalidOption('hub', 'an address', hub);
  if (token !== undefined && (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))) {
    throw invalidSecret('token', token);
  }
  const text = String(address);
  if (text.startsWith('hf:')) {
    const found = hubAddress(text, new URL(hub, base).href, token ?? null);
    if (!found)
      throw invalidOption(
        option,
        "'hf:owner/repository/path/to/file.gguf', 'hf:owner/repository', or with @revision",
        text,
      );
    return found;
  }
  if (!URL.canParse(text, base)) throw invalidOption(option, 'an address that can be resolved', text);
  const url = new URL(text, base);
  return url.pathname.endsWith('/') && /^https?:$/.test(url.protocol) ? webFolder(url) : webAddress(url);
}

function checkStore(store: unknown): StoreOptions | null {
  if (store === false) return null;
  if (store === undefined || store === true) return checkStore({});
  if (typeof store !== 'object' || store === null)
    throw invalidOption('store', 'a boolean, or { evict, required, revalidate }', store);
  checkNames(store, ['evict', 'required', 'revalidate']);
  const { evict = 'never', required = false, revalidate = false } = store as StoreOptions;
  if (evict !== 'never' && evict !== 'least-recently-used') {
    throw invalidOption('store.evict', "'never' or 'least-recently-used'", evict);
  }
  for (const [name, value] of Object.entries({ required, revalidate })) {
    if (typeof value !== 'boolean') throw invalidOption(`store.${name}`, 'a boolean', value);
  }
  return { evict, required, revalidate };
}

function checkSha256(sha256: unknown): string[] {
  if (sha256 === undefined) return [];
  const all: unknown[] = Array.isArray(sha256) ? sha256 : [sha256];
  return all.map((hash) => {
    if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/i.test(hash))
      throw invalidOption('sha256', '64 hexadecimal digits', hash);
    return hash.toLowerCase();
  });
}

/** The ranges are checked here; what only the model can know (does the prompt fit?) is checked there. */
export function checkGenerate(options: GenerateOptions): StartOptions {
  checkNames(options, GENERATE_OPTIONS);
  const { signal, stop, keepSpecial, constraint, onUnsupported, limits, logitBias, ...numbers } = options;
  checkSignal(signal);
  const stops = checkStrings('stop', typeof stop === 'string' && stop !== '' ? [stop] : stop);
  const kept = checkStrings('keepSpecial', keepSpecial);
  const biases = checkBiases(logitBias);
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) checkNumber(name, value, RANGES[name as keyof typeof RANGES]);
  const entropy = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  return {
    ...Object.fromEntries(given),
    logitBias: biases,
    stop: stops,
    keepSpecial: kept,
    constraint: checkConstraint(constraint),
    schemas: checkSchemas(onUnsupported, limits),
    entropy,
  };
}

/** A text to go on with, or its ids. */
export function checkPrompt(prompt: string | TokenIds): string | number[] {
  return typeof prompt === 'string' ? checkString('prompt', prompt) : checkIds('prompt', prompt);
}

/** The options of `generate`, apart from what stands behind the gap. */
export function splitSuffix(textOptions: TextOptions): { suffix: string | undefined; options: GenerateOptions } {
  checkNames(textOptions, [...GENERATE_OPTIONS, 'suffix']);
  const { suffix, ...options } = textOptions;
  return { suffix: suffix === undefined ? undefined : checkString('suffix', suffix), options };
}

const OF_GENERATIONS: FieldsOf<GenerateOptions> = {
  ...{ maxTokens: 1, temperature: 1, topK: 1, topP: 1, minP: 1, stop: 1, seed: 1, constraint: 1, signal: 1 },
  ...{ repetitionPenalty: 1, frequencyPenalty: 1, presencePenalty: 1, penaltyLastN: 1 },
  ...{ logitBias: 1, topLogprobs: 1, keepSpecial: 1, onUnsupported: 1, limits: 1 },
};
const OF_CHATS: FieldsOf<ChatOptions> = {
  ...OF_GENERATIONS,
  ...{ tools: 1, toolChoice: 1, parallelToolCalls: 1, examples: 1, reasoning: 1, variables: 1, template: 1 },
};

/** Options of whatever generates. */
export const GENERATE_OPTIONS: readonly string[] = Object.keys(OF_GENERATIONS);
export const CHAT_OPTIONS: readonly string[] = Object.keys(OF_CHATS);

const CONSTRAINTS = ['jsonSchema', 'regex', 'lark', 'choices'];

/** Its JSON. What is wrong in it, the worker finds. */
function checkConstraint(constraint: unknown): string | null {
  if (constraint === undefined) return null;
  const keys = typeof constraint === 'object' && constraint !== null ? Object.keys(constraint) : [];
  if (keys.length !== 1 || !CONSTRAINTS.includes(String(keys[0]))) {
    throw invalidOption('constraint', `an object with one of ${CONSTRAINTS.join(', ')}`, constraint);
  }
  const { jsonSchema, regex, lark, choices } = constraint as Record<string, unknown>;
  if (regex !== undefined && typeof regex !== 'string') {
    throw invalidOption('constraint.regex', 'a string, as the `source` of a RegExp is', regex);
  }
  if (lark !== undefined && typeof lark !== 'string') throw invalidOption('constraint.lark', 'a string', lark);
  const isTexts = Array.isArray(choices) && choices.length > 0 && choices.every((text) => typeof text === 'string');
  if (choices !== undefined && !isTexts) {
    throw invalidOption('constraint.choices', 'an array of strings, not empty', choices);
  }
  if (jsonSchema === undefined) return JSON.stringify(plain('constraint', constraint));
  return JSON.stringify(plain('constraint', { jsonSchema: jsonSchemaOf('constraint.jsonSchema', jsonSchema) }));
}

const LIMITS = {
  digits: { min: 1, max: 1000, integer: true },
  fraction: { min: 0, max: 1000, integer: true },
  exponent: { min: 0, max: 3, integer: true },
  seconds: { min: 1, max: 1000, integer: true },
  format: { min: 1, max: 1e6, integer: true },
  depth: { min: 0, max: 100, integer: true },
} as const satisfies Record<keyof SchemaLimits, Range>;

/** How schemas are read, as JSON. */
function checkSchemas(onUnsupported: unknown, limits: unknown = {}): string {
  if (onUnsupported !== undefined && onUnsupported !== 'error' && onUnsupported !== 'ignore') {
    throw invalidOption('onUnsupported', "'error' or 'ignore'", onUnsupported);
  }
  if (typeof limits !== 'object' || limits === null) throw invalidOption('limits', 'an object', limits);
  checkNames(limits, Object.keys(LIMITS));
  const given = Object.entries(limits).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) checkNumber(`limits.${name}`, value, LIMITS[name as keyof typeof LIMITS]);
  return JSON.stringify({ ...(onUnsupported ? { onUnsupported } : {}), limits: Object.fromEntries(given) });
}

function checkStrings(name: string, texts: unknown = []): string[] {
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== 'string' || text === '')) {
    const expected =
      name === 'stop' ? 'a string, or an array of strings, none empty' : 'an array of strings, none empty';
    throw invalidOption(name, expected, texts);
  }
  return texts.map(wellFormed);
}

function checkBiases(biases: unknown = {}): [number, number][] {
  if (typeof biases !== 'object' || biases === null)
    throw invalidOption('logitBias', 'an object, token id → bias', biases);
  return Object.entries(biases).map(([id, bias]) => {
    checkNumber('logitBias', /^\d+$/.test(id) ? Number(id) : id, { min: 0, max: U32_MAX, integer: true });
    checkNumber(`logitBias[${id}]`, bias, { min: -Infinity, max: Infinity, integer: false });
    return [Number(id), Number(bias)];
  });
}

/** The largest size that the wasm module can count to. */
const U32_MAX = 2 ** 32 - 1;

/** Each is a worker: more than any machine has use for, and browsers limit their number. */
const MAX_THREADS = 64;

interface Range {
  readonly min: number;
  readonly max: number;
  readonly integer: boolean;
}

const RANGES = {
  maxTokens: { min: 0, max: U32_MAX, integer: true },
  topLogprobs: { min: 0, max: U32_MAX, integer: true },
  temperature: { min: 0, max: Infinity, integer: false },
  topK: { min: 0, max: U32_MAX, integer: true },
  topP: { min: 0, max: 1, integer: false },
  minP: { min: 0, max: 1, integer: false },
  repetitionPenalty: { min: Number.MIN_VALUE, max: Infinity, integer: false },
  frequencyPenalty: { min: -Infinity, max: Infinity, integer: false },
  presencePenalty: { min: -Infinity, max: Infinity, integer: false },
  penaltyLastN: { min: 0, max: U32_MAX, integer: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
} satisfies Record<string, Range>;

export function checkNumber(name: string, value: unknown, { min, max, integer }: Range): void {
  const fits = integer ? Number.isInteger(value) : Number.isFinite(value);
  if (fits && Number(value) >= min && Number(value) <= max) return;
  const kind = integer ? 'an integer' : 'a number';
  const low = min === -Infinity ? '' : min === Number.MIN_VALUE ? ' above 0' : ` of at least ${min}`;
  const high = max === Infinity ? '' : ` and at most ${max}`;
  throw invalidOption(name, kind + low + high, value);
}

/** Returns a copy that crosses to the worker: without other fields, and safe from what the caller does to it next. */
export function checkConversation(
  messages: readonly Message[],
  chatOptions: ChatOptions,
  roles?: readonly string[],
): { conversation: Conversation; options: GenerateOptions } {
  if (typeof chatOptions !== 'object' || chatOptions === null) throw invalidOption('options', 'an object', chatOptions);
  const { tools, variables, template, ...options } = chatOptions;
  const described = tools === undefined ? [] : checkTools(tools);
  if (variables !== undefined && (typeof variables !== 'object' || variables === null || Array.isArray(variables))) {
    throw invalidOption('variables', 'an object', variables);
  }
  if (template !== undefined && typeof template !== 'string') throw invalidOption('template', 'a name', template);
  const conversation = {
    messages: checkMessages(messages, roles),
    tools: described.length ? plain('tools', described) : null,
    variables: plain('variables', variables ?? {}),
    ...(template === undefined ? {} : { template }),
  };
  return { conversation, options };
}

/** `roles`: those that are known; any where that is left to a server. */
export function checkMessages(
  messages: readonly Message[],
  roles: readonly string[] | undefined,
  name = 'messages',
): PlainMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidOption(name, 'an array of { role, content }, not empty', messages);
  }
  return Array.from(messages as readonly unknown[], (message, index) => {
    const at = `${name}[${index}]`;
    const { role, content, ...rest } = (message ?? {}) as Partial<Message>;
    if (typeof role !== 'string') throw invalidOption(`${at}.role`, 'a string', role);
    const known = roles ? checkRole(role, roles, at) : role;
    const given = MESSAGE_FIELDS.filter((name) => rest[name] !== undefined);
    const fields = Object.fromEntries(given.map((name) => [name, plain(`${at}.${name}`, rest[name])]));
    // Calls speak for themselves.
    const text = content == null && rest.tool_calls ? null : checkContent(`${at}.content`, content);
    return { role: wellFormed(known), content: text, ...fields };
  });
}

/** The text of a message: a string, or its parts joined. */
function checkContent(at: string, content: unknown): string {
  if (!Array.isArray(content)) {
    if (typeof content === 'string') return wellFormed(content);
    throw invalidOption(at, "a string, or an array of { type: 'text', text }", content);
  }
  const texts = Array.from(content as readonly unknown[], (part, index) => {
    const { type, text } = (part ?? {}) as Partial<TextPart>;
    if (type !== 'text')
      throw invalidOption(`${at}[${index}].type`, "'text', since the model reads nothing else", type);
    if (typeof text !== 'string') throw invalidOption(`${at}[${index}].text`, 'a string', text);
    return text;
  });
  return wellFormed(texts.join(''));
}

/** What templates read of a message, beside its text. */
const MESSAGE_FIELDS = ['name', 'tool_calls', 'tool_call_id', 'reasoning_content'] as const;

/** A copy of plain data. */
function plain<T>(name: string, value: T): T {
  try {
    return JSON.parse(JSON.stringify(value), (_, part: unknown) =>
      typeof part === 'string' ? wellFormed(part) : part,
    );
  } catch {
    throw invalidOption(name, 'data that JSON can write', value);
  }
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidOption(name, 'a string', value);
  return wellFormed(value);
}

/** A string that was cut in the middle of an emoji has half of a surrogate pair, which UTF-8 cannot write. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}

/** A text for an encoder, which has nothing to say of none. */
export function checkText(name: string, value: unknown): string {
  const text = checkString(name, value);
  if (text.trim() === '') throw invalidOption(name, 'a text that is not empty', value);
  return text;
}

export function checkTexts(name: string, values: unknown): string[] {
  if (!Array.isArray(values)) throw invalidOption(name, 'an array of strings', values);
  return Array.from(values as readonly unknown[], (value, index) => checkText(`${name}[${index}]`, value));
}

/** What all encoders' calls have, and that no other option is there but `more`. */
export function checkEncode(options: EncodeOptions, more: readonly string[] = []): { truncate: boolean } {
  checkNames(options, ['truncate', 'signal', ...more]);
  const { truncate = false, signal } = options;
  if (typeof truncate !== 'boolean') throw invalidOption('truncate', 'a boolean', truncate);
  checkSignal(signal);
  return { truncate };
}

export function checkEmbed(options: EmbedOptions): Extract<EncodeTask, { name: 'embed' }>['options'] {
  const { pooling, normalize = true } = options;
  if (pooling !== undefined && !POOLINGS.includes(pooling)) {
    throw invalidOption('pooling', POOLINGS.map((name) => `'${name}'`).join(' or '), pooling);
  }
  if (typeof normalize !== 'boolean') throw invalidOption('normalize', 'a boolean', normalize);
  return { normalize, ...(pooling !== undefined && { pooling }) };
}

const POOLINGS: readonly Pooling[] = ['mean', 'cls', 'last'];

export function checkTopK(topK: unknown = 5): number {
  checkNumber('topK', topK, { min: 1, max: U32_MAX, integer: true });
  return topK as number;
}

export function checkTokenize(options: TokenizeOptions): Required<TokenizeOptions> {
  checkNames(options, ['addSpecial', 'parseSpecial']);
  const { addSpecial = true, parseSpecial = false } = options;
  if (typeof addSpecial !== 'boolean') throw invalidOption('addSpecial', 'a boolean', addSpecial);
  if (typeof parseSpecial !== 'boolean') throw invalidOption('parseSpecial', 'a boolean', parseSpecial);
  return { addSpecial, parseSpecial };
}

/** Takes typed arrays too. Returns a copy. */
export function checkIds(name: string, ids: TokenIds): number[] {
  const expected = name === 'prompt' ? 'a string, or an array of token ids' : 'an array of token ids';
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids)) throw invalidOption(name, expected, ids);
  return Array.from(ids as readonly number[], (id, index) => {
    if (!Number.isInteger(id) || id < 0 || id > U32_MAX) throw invalidOption(`${name}[${index}]`, 'a token id', id);
    return id;
  });
}

/** A model, loaded or of a server, that has this method. */
export function checkLlm<Model>(llm: Model, method: keyof Model & string): Model {
  if ((llm as Partial<Model> | undefined)?.[method] !== undefined) return llm;
  throw invalidOption('llm', `a model that has \`${method}\``, llm);
}

/** A misspelt option would have no effect otherwise. */
export function checkNames(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, known);
}

export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption('signal', 'an AbortSignal', signal);
}
