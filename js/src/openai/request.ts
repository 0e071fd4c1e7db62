/**
 * Converts a request to weft's options. What weft cannot do fails with an error that names the
 * field.
 */

import { invalidOption, renamed, unknownOption, WeftError } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import { callRules, checkToolChoice, checkTools, type CallRules } from '../tools/options.js';
import type {
  ChatOptions,
  GenerateOptions,
  Message,
  TextOptions,
  ToolChoice,
  ToolDescription,
} from '../types/index.js';
import type {
  ChatCompletionRequest,
  ChatMessage,
  CompletionRequest,
  ContentPart,
  RequestOptions,
} from '../types/openai.js';

/** Fields that concern servers and accounts, and do not change the answer. */
const IGNORED = new Set([
  ...['metadata', 'prompt_cache_key', 'prompt_cache_retention', 'safety_identifier'],
  ...['service_tier', 'store', 'user', 'verbosity', 'prediction'],
]);

/** OpenAI's names of weft's options. */
export const TEXT_NAMES: Readonly<Record<string, string>> = {
  maxTokens: 'max_tokens',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  frequencyPenalty: 'frequency_penalty',
  presencePenalty: 'presence_penalty',
  logitBias: 'logit_bias',
  topLogprobs: 'logprobs',
};

export function chatNames(request: ChatCompletionRequest): Readonly<Record<string, string>> {
  return {
    ...TEXT_NAMES,
    maxTokens: request.max_completion_tokens == null ? 'max_tokens' : 'max_completion_tokens',
    topLogprobs: 'top_logprobs',
    constraint: 'response_format',
    onUnsupported: 'on_unsupported',
    reasoning: 'reasoning_effort',
    toolChoice: 'tool_choice',
    variables: 'chat_template_kwargs',
  };
}

/** Runs `work`; errors then name options as the caller did. */
export async function inTheirNames<T>(names: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    throw renamed(error, (option) => option.replace(/^\w+/, (name) => names[name] ?? name));
  }
}

const COMMON = [
  ...['model', 'max_tokens', 'n', 'seed', 'stop', 'stream', 'stream_options', 'temperature', 'top_p'],
  ...['frequency_penalty', 'presence_penalty', 'logit_bias', 'top_k', 'min_p', 'speculate', 'adapter'],
];

const CHAT = new Set([
  ...COMMON,
  ...['messages', 'max_completion_tokens', 'logprobs', 'top_logprobs', 'tools', 'tool_choice', 'response_format'],
  ...['parallel_tool_calls', 'reasoning_effort', 'chat_template_kwargs', 'modalities', 'on_unsupported', 'limits'],
]);

const TEXT = new Set([...COMMON, 'prompt', 'logprobs', 'echo', 'best_of', 'suffix']);

/** Maximum number of answers to a request. */
const MAX_N = 128;

/** Maximum number of alternatives per token, as at OpenAI. */
const MAX_TOP_LOGPROBS = 20;

export interface Plan<Options> {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Options of each answer. */
  readonly answers: readonly Options[];
}

export interface ChatPlan extends Plan<ChatOptions> {
  readonly messages: readonly Message[];
  /** Functions that the model is told about. */
  readonly tools: readonly ToolDescription[];
  /** Rules for the calls. */
  readonly calls: CallRules;
}

export interface TextPlan extends Plan<TextOptions> {
  readonly prompts: readonly (string | readonly number[])[];
  readonly echo: boolean;
}

export function planChat(request: ChatCompletionRequest, { signal }: RequestOptions, context: number): ChatPlan {
  checkFields(request, CHAT);
  const objects = { response_format: 'an object', chat_template_kwargs: 'an object' };
  checkKinds(request, {
    ...KINDS,
    ...objects,
    logprobs: 'a boolean',
    reasoning_effort: 'a string',
    parallel_tool_calls: 'a boolean',
  });
  const { modalities } = request as { modalities?: unknown };
  if (Array.isArray(modalities) && modalities.some((kind) => kind !== 'text')) {
    throw invalidOption('modalities', "['text']", modalities);
  }
  const { max_completion_tokens: most, logprobs, top_logprobs: top } = request;
  if (top != null && !logprobs) throw invalidOption('top_logprobs', 'none without `logprobs`', top);
  const { tools, choice, parallel } = planTools(request);
  const { reasoning_effort: effort } = request;
  const variables = {
    ...(effort == null || effort === 'none' ? {} : { reasoning_effort: effort }),
    ...request.chat_template_kwargs,
  };
  const options: ChatOptions = {
    ...common({ ...request, max_tokens: most ?? request.max_tokens ?? null }, signal, context),
    ...(logprobs ? { topLogprobs: checkTop('top_logprobs', top ?? 0) } : {}),
    ...(tools.length ? { tools, toolChoice: choice, parallelToolCalls: parallel } : {}),
    ...(effort === 'none' ? { reasoning: 'off' } : {}),
    ...formatConstraint(request.response_format),
    ...(request.on_unsupported == null ? {} : { onUnsupported: request.on_unsupported }),
    ...(request.limits == null ? {} : { limits: request.limits }),
    variables,
  };
  return {
    ...plan(request, options),
    messages: planMessages(request.messages),
    tools,
    calls: callRules(choice, parallel, options.constraint !== undefined),
  };
}

export function planText(request: CompletionRequest, { signal }: RequestOptions, context: number): TextPlan {
  checkFields(request, TEXT);
  checkKinds(request, { ...KINDS, echo: 'a boolean', suffix: 'a string' });
  const { best_of: best } = request as { best_of?: unknown };
  if (best != null && best !== (request.n ?? 1)) throw unable('best_of', 'as many as `n`', best);
  const { prompt, logprobs, echo, suffix } = request;
  const options: TextOptions = {
    ...common(request, signal, context),
    ...(suffix == null ? {} : { suffix }),
    ...(logprobs == null ? {} : { topLogprobs: checkTop('logprobs', logprobs) }),
  };
  return { ...plan(request, options), prompts: planPrompts(prompt), echo: echo === true };
}

function plan<Options extends GenerateOptions>(
  request: ChatCompletionRequest | CompletionRequest,
  options: Options,
): Plan<Options> {
  const { n, seed, stream, stream_options: streamOptions } = request;
  const count = n ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > MAX_N)
    throw invalidOption('n', `an integer from 1 to ${MAX_N}`, n);
  if (seed != null && typeof seed !== 'number') throw invalidOption('seed', 'an integer of at least 0', seed);
  // with the same seed, all answers would be equal
  const answers = Array.from({ length: count }, (_, i) => (seed == null ? options : { ...options, seed: seed + i }));
  return { stream: stream === true, includeUsage: streamOptions?.include_usage === true, answers };
}

function common(
  request: ChatCompletionRequest | CompletionRequest,
  signal: AbortSignal | null | undefined,
  context: number,
): GenerateOptions {
  const { logit_bias: logitBias, frequency_penalty: frequency, presence_penalty: presence } = request;
  const given = {
    maxTokens: request.max_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    stop: request.stop,
    frequencyPenalty: frequency,
    presencePenalty: presence,
    // OpenAI's penalties look at the whole text.
    penaltyLastN: frequency || presence ? context : null,
    logitBias,
    speculate: request.speculate,
    adapter: request.adapter,
    signal,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value != null));
}

function checkTop(name: string, top: number): number {
  if (Number.isInteger(top) && top >= 0 && top <= MAX_TOP_LOGPROBS) return top;
  throw invalidOption(name, `an integer from 0 to ${MAX_TOP_LOGPROBS}`, top);
}

function formatConstraint(format: ChatCompletionRequest['response_format']): Pick<GenerateOptions, 'constraint'> {
  if (!format || format.type === 'text') return {};
  if (format.type === 'json_object') return { constraint: { jsonSchema: { type: 'object' } } };
  if (format.type === 'json_schema') {
    const schema = format.json_schema?.schema ?? true;
    return { constraint: { jsonSchema: jsonSchemaOf('response_format.json_schema.schema', schema) } };
  }
  throw unable('response_format', 'one of the types text, json_object, json_schema', format.type);
}

interface Tools {
  readonly tools: readonly ToolDescription[];
  readonly choice: ToolChoice;
  readonly parallel: boolean;
}

function planTools({ tools, tool_choice: given, parallel_tool_calls: parallel }: ChatCompletionRequest): Tools {
  const checked = tools == null ? [] : checkTools(tools);
  const names = checked.map((tool) => tool.function.name);
  const choice = checkToolChoice('tool_choice', names, choiceOf(given ?? 'auto'), CHOICES);
  return { tools: choice === 'none' ? [] : checked, choice, parallel: parallel ?? true };
}

const CHOICES =
  "'auto', 'none', or with tools 'required', { type: 'function', function: { name } } or { type: 'allowed_tools', … } of some of them";

/** Converts to weft's form; returns anything else unchanged. */
function choiceOf(given: unknown): ToolChoice {
  const { type, function: called, name, allowed_tools: allowed } = Object(given) as Record<string, unknown>;
  const nameOf = (tool: unknown) => (tool as { function?: { name?: unknown } } | null)?.function?.name;
  if (type === 'function') return { name: (nameOf({ function: called }) ?? name) as string };
  if (type !== 'allowed_tools') return given as ToolChoice;
  // chat completions wrap it, responses do not
  const { mode, tools } = (allowed ?? given) as { mode?: unknown; tools?: unknown };
  if (!Array.isArray(tools) || (mode !== 'auto' && mode !== 'required')) return given as ToolChoice;
  const names = tools.map((tool: unknown) => nameOf(tool) ?? (tool as { name?: unknown } | null)?.name);
  return { allowed: names as string[], required: mode === 'required' };
}

function planMessages(messages: readonly ChatMessage[]): Message[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidOption('messages', 'an array of { role, content }, not empty', messages);
  }
  return (messages as readonly ChatMessage[]).map((message, index) => {
    const at = `messages[${index}]`;
    const { role, name, tool_calls: calls, tool_call_id: id, reasoning_content: thoughts } = message ?? {};
    if (calls != null && !Array.isArray(calls)) throw invalidOption(`${at}.tool_calls`, CALLS, calls);
    return {
      role,
      content: contentOf(message ?? {}),
      ...(name == null ? {} : { name }),
      ...(calls?.length ? { tool_calls: calls.map((call, i) => templateCall(`${at}.tool_calls[${i}]`, call)) } : {}),
      ...(id == null ? {} : { tool_call_id: id }),
      ...(thoughts == null ? {} : { reasoning_content: thoughts }),
    };
  });
}

/**
 * Takes a refusal as the assistant's text. Other content that is not text is refused later, by its
 * place.
 */
function contentOf({ content, refusal }: Partial<ChatMessage>): Message['content'] {
  const text = (part: ContentPart | null) => (part?.type === 'refusal' ? { type: 'text', text: part.refusal } : part);
  const given = content ?? refusal ?? null;
  return (Array.isArray(given) ? given.map(text) : given) as Message['content'];
}

const CALLS = "an array of { id, type: 'function', function: { name, arguments } }";

/**
 * Gives the template arguments as text or as data, whichever it reads. Text keeps the digits of
 * numbers.
 */
function templateCall(at: string, call: NonNullable<ChatMessage['tool_calls']>[number] | null): unknown {
  if (typeof call !== 'object' || call === null) throw invalidOption(at, 'an object', call);
  const { id, type, function: called } = call;
  if (type !== 'function') throw unable(`${at}.type`, "'function'", type);
  if (typeof called?.name !== 'string') throw invalidOption(`${at}.function.name`, 'a string', called?.name);
  return { id, type, function: { name: called.name, arguments: called.arguments } };
}

function planPrompts(prompt: CompletionRequest['prompt']): (string | readonly number[])[] {
  if (typeof prompt === 'string') return [prompt];
  const isIds = (value: unknown): value is readonly number[] =>
    Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === 'number');
  if (isIds(prompt)) return [prompt];
  const prompts: readonly unknown[] = Array.isArray(prompt) ? prompt : [];
  const fits = (value: unknown): value is string | readonly number[] => typeof value === 'string' || isIds(value);
  if (prompts.length > 0 && prompts.every(fits)) return [...prompts];
  throw invalidOption('prompt', 'a string, token ids, or an array of those, not empty', prompt);
}

export function checkFields(request: object, known: ReadonlySet<string>): void {
  if (typeof request !== 'object' || request === null) throw invalidOption('request', 'an object', request);
  for (const [name, value] of Object.entries(request)) {
    if (value == null || known.has(name) || IGNORED.has(name)) continue;
    throw unknownOption(name, [...known]);
  }
}

const KINDS = { model: 'a string', stream: 'a boolean', stream_options: 'an object' };

/** Checks fields whose effect depends on their type. */
function checkKinds(request: object, kinds: Readonly<Record<string, string>>): void {
  for (const [name, kind] of Object.entries(kinds)) {
    const value = (request as Record<string, unknown>)[name];
    const found = Array.isArray(value) ? 'array' : typeof value;
    if (value != null && !kind.endsWith(found)) throw invalidOption(name, kind, value);
  }
}

/** Error for what OpenAI's servers can do and weft cannot. */
function unable(name: string, expected: string, got: unknown): WeftError {
  return invalidOption(name, `${expected}; weft supports nothing else`, got);
}
