/** Converts calls of the AI SDK to requests in OpenAI's format. */

import type { LanguageModel } from 'ai';
import { dataUrl } from '../common/data-url.js';
import { invalidOption } from '../common/errors.js';
import type { ChatCompletionRequest, ChatMessage, ContentPart, ToolCall } from '../types/openai.js';

/** Version 4 of the SDK's model interface, which the SDK exports under no other name. */
export type SdkModel = Extract<LanguageModel, { readonly specificationVersion: 'v4' }>;
export type SdkCall = Parameters<SdkModel['doGenerate']>[0];
export type SdkWarning = Awaited<ReturnType<SdkModel['doGenerate']>>['warnings'][number];

type Message = SdkCall['prompt'][number];
type UserPart = Extract<Message, { role: 'user' }>['content'][number];
type FunctionTool = Extract<NonNullable<SdkCall['tools']>[number], { type: 'function' }>;
type ToolOutput = Extract<Extract<Message, { role: 'tool' }>['content'][number], { type: 'tool-result' }>['output'];

/**
 * Returns the request, and warnings about settings without effect. `providerOptions.weft` holds
 * more fields of the request.
 */
export function requestOf(call: SdkCall): { request: ChatCompletionRequest; warnings: SdkWarning[] } {
  const warnings: SdkWarning[] = [];
  const tools = (call.tools ?? []).filter((tool): tool is FunctionTool => {
    if (tool.type === 'function') return true;
    warnings.push({
      type: 'unsupported',
      feature: `tool ${tool.name}`,
      details: 'It runs on servers of its provider.',
    });
    return false;
  });
  const request = {
    messages: call.prompt.flatMap(messagesOf),
    max_completion_tokens: call.maxOutputTokens,
    temperature: call.temperature,
    top_p: call.topP,
    top_k: call.topK,
    presence_penalty: call.presencePenalty,
    frequency_penalty: call.frequencyPenalty,
    seed: call.seed,
    stop: call.stopSequences?.length ? call.stopSequences : undefined,
    response_format: formatOf(call.responseFormat),
    tools: tools.length ? tools.map(toolOf) : undefined,
    tool_choice: tools.length ? choiceOf(call.toolChoice) : undefined,
    reasoning_effort: call.reasoning === 'provider-default' ? undefined : call.reasoning,
    ...call.providerOptions?.['weft'],
  };
  const given = Object.entries(request).filter(([, value]) => value !== undefined);
  return { request: Object.fromEntries(given) as unknown as ChatCompletionRequest, warnings };
}

function messagesOf(message: Message, index: number): ChatMessage[] {
  const at = `prompt[${index}].content`;
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: message.content.map((part, i) => userPart(`${at}[${i}]`, part)) }];
    case 'assistant': {
      const textOf = (kind: 'text' | 'reasoning') =>
        message.content.flatMap((part) => (part.type === kind ? [part.text] : [])).join('');
      const [text, thought] = [textOf('text'), textOf('reasoning')];
      const calls = message.content.flatMap((part): ToolCall[] =>
        part.type === 'tool-call'
          ? [
              {
                id: part.toolCallId,
                type: 'function',
                function: { name: part.toolName, arguments: JSON.stringify(part.input) },
              },
            ]
          : [],
      );
      const content = text || !calls.length ? text : null;
      return [
        {
          role: 'assistant',
          content,
          ...(thought ? { reasoning_content: thought } : {}),
          ...(calls.length ? { tool_calls: calls } : {}),
        },
      ];
    }
    case 'tool':
      return message.content.flatMap((part): ChatMessage[] =>
        part.type === 'tool-result'
          ? [{ role: 'tool', tool_call_id: part.toolCallId, name: part.toolName, content: outputOf(part.output) }]
          : [],
      );
  }
}

function userPart(at: string, part: UserPart): ContentPart {
  if (part.type === 'text') return { type: 'text', text: part.text };
  const { data, mediaType } = part;
  if (data.type === 'text') return { type: 'text', text: data.text };
  const isImage = /^image(\/|$)/.test(mediaType);
  const url =
    data.type === 'url' ? data.url.href : data.type === 'data' && isImage ? dataUrl(data.data, mediaType) : null;
  if (!isImage || url === null) throw invalidOption(at, 'text or an image', `${mediaType} as ${data.type}`);
  return { type: 'image_url', image_url: { url } } as ContentPart;
}

function outputOf(output: ToolOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'execution-denied':
      return output.reason ?? 'The user did not allow it.';
    case 'content':
      return output.value.map((part) => (part.type === 'text' ? part.text : JSON.stringify(part))).join('\n');
    default:
      return JSON.stringify(output.value);
  }
}

function formatOf(format: SdkCall['responseFormat']): ChatCompletionRequest['response_format'] {
  if (format?.type !== 'json') return undefined;
  if (!format.schema) return { type: 'json_object' };
  const { schema, name = 'answer', description } = format;
  const described = { name, strict: true, schema, ...(description === undefined ? {} : { description }) };
  return { type: 'json_schema', json_schema: described as { schema: Readonly<Record<string, unknown>> } };
}

function toolOf({ name, description, inputSchema, strict }: FunctionTool) {
  const described = { name, description, parameters: inputSchema, strict };
  const given = Object.entries(described).filter(([, value]) => value !== undefined);
  return { type: 'function', function: Object.fromEntries(given) };
}

function choiceOf(choice: SdkCall['toolChoice']): unknown {
  if (choice?.type === 'tool') return { type: 'function', function: { name: choice.toolName } };
  return choice?.type;
}
