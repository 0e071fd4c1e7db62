/**
 * Converts weft's options to a request in OpenAI's format. Options that servers do not have are
 * refused by name.
 */

import { invalidOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import { CHAT_OPTIONS, withExamples } from '../options/chat.js';
import { checkNames } from '../options/check.js';
import { checkGenerate, checkPrompt, splitSuffix } from '../options/generate.js';
import { checkConversation, checkMessages } from '../options/messages.js';
import type { ChatOptions, GenerateOptions, Message, TextOptions, TokenIds } from '../types/index.js';
import type { ChatCompletionRequest, ChatMessage, CompletionRequest } from '../types/openai.js';

type Sampling = Omit<CompletionRequest, 'prompt' | 'logprobs'>;

export function textRequest(prompt: string | TokenIds, textOptions: TextOptions): CompletionRequest {
  const { suffix, options } = splitSuffix(textOptions);
  const { constraint } = options;
  if (constraint) throw local('constraint', 'none in `generate`', Object.keys(constraint)[0]);
  return { ...sampling(options), prompt: checkPrompt(prompt), ...(suffix === undefined ? {} : { suffix }) };
}

export function chatRequest(messages: readonly Message[], chatOptions: ChatOptions): ChatCompletionRequest {
  checkNames(chatOptions, CHAT_OPTIONS);
  const { examples = [], reasoning = 'auto', toolChoice = 'auto', parallelToolCalls, ...others } = chatOptions;
  if (reasoning !== 'auto') throw local('reasoning', "'auto'", reasoning);
  if (toolChoice !== 'auto') throw local('toolChoice', "'auto'", toolChoice);
  if (parallelToolCalls !== undefined) throw local('parallelToolCalls', 'none', parallelToolCalls);
  const shown = withExamples(checkMessages(messages, undefined), examples);
  const { conversation, options } = checkConversation(shown, others);
  // A loaded model returns its calls as text, a server separately.
  if (conversation.tools) throw local('tools', 'none in `chat`: `chat.completions.create` gives the calls', 'tools');
  const { variables, template } = conversation;
  if (template !== undefined) throw local('template', 'none: a server chooses its own', template);
  return {
    ...sampling(options),
    ...format(options.constraint),
    messages: conversation.messages.map(chatMessage),
    ...(Object.keys(variables).length > 0 ? { chat_template_kwargs: variables } : {}),
  };
}

function sampling(options: GenerateOptions): Sampling {
  checkGenerate(options);
  const { topLogprobs, keepSpecial, penaltyLastN, inspect, speculate, adapter } = options;
  if (adapter !== undefined) throw local('adapter', 'none: a server chooses its own', adapter);
  if (inspect !== undefined) throw local('inspect', 'none: a server shows nothing of its model', inspect);
  if (topLogprobs !== undefined)
    throw local('topLogprobs', 'none: `logprobs` of `chat.completions.create`', topLogprobs);
  if (keepSpecial?.length) throw local('keepSpecial', 'none', keepSpecial.join(', '));
  if (speculate !== undefined) throw local('speculate', 'none: a server speculates as it likes', speculate);
  if (penaltyLastN !== undefined) throw local('penaltyLastN', 'none', penaltyLastN);
  const request = {
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    top_p: options.topP,
    frequency_penalty: options.frequencyPenalty,
    presence_penalty: options.presencePenalty,
    seed: options.seed,
    stop: options.stop,
    logit_bias: options.logitBias,
    // Not in OpenAI's API: llama-server and vLLM have these, with different names for the penalty.
    top_k: options.topK,
    min_p: options.minP,
    repeat_penalty: options.repetitionPenalty,
    repetition_penalty: options.repetitionPenalty,
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}

function format(constraint: GenerateOptions['constraint']): Pick<ChatCompletionRequest, 'response_format'> {
  if (!constraint) return {};
  if (!('jsonSchema' in constraint)) throw local('constraint', '{ jsonSchema }', Object.keys(constraint)[0]);
  const { jsonSchema } = constraint;
  const described = jsonSchemaOf('constraint.jsonSchema', jsonSchema);
  const schema = typeof described === 'object' ? described : {};
  return { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } as object } };
}

/** Templates read the arguments of a call as data, servers as JSON text. */
function chatMessage({ tool_calls: calls, ...message }: Message): ChatMessage {
  const written = calls?.map((call) => {
    const { function: called, ...rest } = call as { function?: { name: string; arguments: unknown } };
    if (!called || typeof called.arguments === 'string') return call;
    return { ...rest, function: { ...called, arguments: JSON.stringify(called.arguments) } };
  });
  return { ...message, ...(written ? { tool_calls: written } : {}) } as ChatMessage;
}

function local(name: string, expected: string, got: unknown) {
  return invalidOption(name, `${expected}; servers support nothing else`, got);
}
