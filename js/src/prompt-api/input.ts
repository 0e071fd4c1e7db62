/** Checks the inputs of a session and converts them to one form. */

import { jsonSchemaOf } from '../common/json-schema.js';
import type { Constraint, ImagePart, Message, TextPart } from '../types/index.js';
import { unsupported } from './errors.js';
import { rustRegex } from './regexp.js';
import type {
  LanguageModelCreateCoreOptions,
  LanguageModelMessage,
  LanguageModelMessageContent,
  LanguageModelParams,
  LanguageModelPrompt,
  LanguageModelPromptOptions,
  SamplingMode,
  Thinking,
} from './types.js';

/** Messages, and the start of the answer, which is not one of them. */
export interface Input {
  readonly messages: readonly Message[];
  readonly prefix: string;
}

const ROLES: readonly unknown[] = ['system', 'user', 'assistant'];

interface Rules {
  /** Whether there were messages before, after which system messages are not allowed. */
  readonly begun: boolean;
  /** Whether pictures were expected. */
  readonly sees: boolean;
}

export function checkInput(input: LanguageModelPrompt, { begun, sees }: Rules): Input {
  if (typeof input === 'string') return { messages: [{ role: 'user', content: input }], prefix: '' };
  if (!Array.isArray(input)) throw new TypeError('a prompt is a string, or an array of messages');
  if (input.length === 0) return checkInput('', { begun, sees });
  const all = Array.from(input as readonly unknown[], (message, index) => {
    const { role, content, prefix = false } = (message ?? {}) as Partial<LanguageModelMessage>;
    if (role === undefined || !ROLES.includes(role))
      throw new TypeError(`message ${index}: ${String(role)} is not one of the roles ${ROLES.join(', ')}`);
    if (role === 'system' && (begun || index > 0)) {
      throw new TypeError(`message ${index}: a system message must be the first, and there can be only one`);
    }
    if (prefix && (role !== 'assistant' || index < input.length - 1)) {
      throw new DOMException(
        `message ${index}: only the last message, by the assistant, can be a prefix`,
        'SyntaxError',
      );
    }
    return { role, content: contentOf(content, index, sees && role === 'user'), prefix };
  });
  const last = all.at(-1)?.prefix ? all.pop()?.content : undefined;
  const prefix = typeof last === 'string' ? last : '';
  return { messages: all.map(({ role, content }) => ({ role, content })), prefix };
}

/** Text, or parts if there are pictures. */
function contentOf(content: unknown, index: number, sees: boolean): NonNullable<Message['content']> {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw new TypeError(`message ${index}: its content is a string, or an array of parts`);
  const parts = Array.from(content as readonly unknown[], (part): TextPart | ImagePart => {
    const { type, value } = (part ?? {}) as Partial<LanguageModelMessageContent>;
    if (!TYPES.includes(type)) throw new TypeError(`message ${index}: ${String(type)} is not a type of content`);
    if (type === 'image' && sees) return { type, value: value as ImagePart['value'] };
    if (type !== 'text') throw unsupported(`message ${index}: content of the type ${String(type)}`);
    if (typeof value !== 'string') throw new TypeError(`message ${index}: the value of a text is a string`);
    return { type, text: value };
  });
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  return texts.length < parts.length ? parts : texts.join('');
}

/** Returns the messages of an input that gets no answer, so that it cannot have a prefix. */
export function complete({ messages, prefix }: Input): readonly Message[] {
  if (prefix === '') return messages;
  throw new DOMException('a prefix begins an answer, and here is none', 'SyntaxError');
}

const TYPES: readonly unknown[] = ['text', 'image', 'audio', 'tool-call', 'tool-response'];

/** Content types of a session with tools, besides text. */
const OF_TOOLS: readonly unknown[] = ['tool-call', 'tool-response'];

/**
 * Throws `NotSupportedError` for unsupported types, `TypeError` for malformed options and
 * `RangeError` for invalid language tags. All languages are accepted, because a model's file does
 * not tell which ones it knows.
 */
export function checkExpected(options: LanguageModelCreateCoreOptions): void {
  const { expectedInputs = [], expectedOutputs = [], thinking } = options;
  const expected = [...expectedInputs.filter(({ type }) => type !== 'image'), ...expectedOutputs].map(
    ({ type, languages = [] }) => {
      if (!TYPES.includes(type)) throw new TypeError(`${String(type)} is not a type of content`);
      Intl.getCanonicalLocales([...languages]);
      return type;
    },
  );
  const other = expected.find((type) => type !== 'text' && !OF_TOOLS.includes(type));
  if (other) throw unsupported(`content of the type ${other}`);
  checkThinking(thinking);
}

const EFFORTS: readonly unknown[] = ['none', 'low', 'medium', 'high'];

/** Whether prompts may hold pictures. */
export function expectsPictures({ expectedInputs = [] }: LanguageModelCreateCoreOptions): boolean {
  return expectedInputs.some(({ type }) => type === 'image');
}

/** Checks `thinking` of a session or prompt. Throws as {@link checkExpected} does. */
export function checkThinking(thinking: Thinking | undefined): void {
  const { effort = 'none', includeThoughts = false } = thinking ?? {};
  if (!EFFORTS.includes(effort)) throw new TypeError(`${String(effort)} is not a thinking effort`);
  if (effort !== 'none' || includeThoughts) throw unsupported("`thinking` beyond { effort: 'none' }");
}

const TEMPERATURES: Readonly<Record<SamplingMode, number>> = {
  'most-predictable': 0,
  predictable: 0.3,
  'slightly-predictable': 0.6,
  balanced: 0.8,
  'slightly-creative': 0.9,
  creative: 1,
  'most-creative': 1.2,
};

const DEFAULT_MODE = 'balanced';

/** Result of `params`. `topK` is weft's default. */
export const PARAMS: LanguageModelParams = {
  defaultTopK: 40,
  maxTopK: 2 ** 20,
  defaultTemperature: TEMPERATURES[DEFAULT_MODE],
  maxTemperature: 2,
};

export interface Sampling {
  /** Null if `temperature` or `topK` was given. */
  readonly mode: SamplingMode | null;
  readonly temperature: number;
  readonly topK: number;
}

export function checkSampling({ samplingMode = 'default', ...numbers }: LanguageModelCreateCoreOptions): Sampling {
  const mode = samplingMode === 'default' ? DEFAULT_MODE : samplingMode;
  if (!Object.hasOwn(TEMPERATURES, mode)) throw new TypeError(`${String(mode)} is not a samplingMode`);
  const { defaultTopK: topK, defaultTemperature, maxTopK, maxTemperature } = PARAMS;
  if (numbers.temperature === undefined && numbers.topK === undefined) {
    return { mode, temperature: TEMPERATURES[mode], topK };
  }
  if (samplingMode !== 'default') throw new TypeError('either samplingMode, or temperature and topK');
  const given = { temperature: Number(numbers.temperature ?? defaultTemperature), topK: Number(numbers.topK ?? topK) };
  if (!(given.temperature >= 0)) throw new RangeError('temperature is below 0');
  if (!(given.topK >= 1)) throw new RangeError('topK is below 1');
  return {
    mode: null,
    temperature: Math.min(given.temperature, maxTemperature),
    topK: Math.floor(Math.min(given.topK, maxTopK)),
  };
}

/** How an answer is constrained, and what the model is told about it. */
export interface Response {
  readonly constraint: Constraint;
  readonly instruction: string;
  /** Whether a text fits the constraint. */
  fits(text: string): boolean;
}

export function checkConstraint(options: LanguageModelPromptOptions): Response | undefined {
  const { responseConstraint: wanted, omitResponseConstraintInput: omit = false } = options;
  if (wanted === undefined || wanted === null) {
    if (omit) throw new TypeError('omitResponseConstraintInput without a responseConstraint');
    return undefined;
  }
  if (typeof wanted !== 'object') throw new TypeError('a responseConstraint is a JSON Schema, or a RegExp');
  const tell = (text: string) => (omit ? '' : `\n\n${text}`);
  if (wanted instanceof RegExp) {
    const whole = new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, ''));
    return {
      constraint: { regex: rustRegex(wanted) },
      instruction: tell(`Answer with nothing but text that matches the regular expression ${wanted.source}`),
      fits: (text) => whole.test(text),
    };
  }
  const jsonSchema = schemaOf(wanted);
  return {
    constraint: { jsonSchema },
    instruction: tell(`Answer with nothing but JSON that fits this schema: ${JSON.stringify(jsonSchema)}`),
    fits: () => true,
  };
}

function schemaOf(wanted: object): object | boolean {
  try {
    return jsonSchemaOf('responseConstraint', wanted);
  } catch (error) {
    throw new TypeError((error as Error).message, { cause: error });
  }
}

/** Adds an instruction to the end of the last user message. */
export function withInstruction(input: Input, instruction: string): Input {
  const last = input.messages.findLastIndex(({ role }) => role === 'user');
  const messages = input.messages.map((message, index) =>
    index === last && instruction ? { ...message, content: withText(message.content, instruction) } : message,
  );
  return { ...input, messages };
}

function withText(content: Message['content'], text: string): NonNullable<Message['content']> {
  return typeof content === 'string' ? `${content}${text}` : [...(content ?? []), { type: 'text', text }];
}
