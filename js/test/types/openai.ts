// Compiled, never run: weft takes the requests of the official package and gives its answers.

import type OpenAI from 'openai';
import type { Llm } from '../../dist/index.js';
import { openaiFetch } from '../../dist/openai/fetch.js';

declare const llm: Llm;
declare const client: typeof OpenAI;

declare const chat: OpenAI.ChatCompletionCreateParamsNonStreaming;
declare const streamedChat: OpenAI.ChatCompletionCreateParamsStreaming;
declare const anyChat: OpenAI.ChatCompletionCreateParams;
declare const text: OpenAI.CompletionCreateParamsNonStreaming;
declare const streamedText: OpenAI.CompletionCreateParamsStreaming;

export const answer: OpenAI.ChatCompletion = await llm.chat.completions.create(chat);
export const chunks: AsyncIterable<OpenAI.ChatCompletionChunk> = await llm.chat.completions.create(streamedChat);
export const either: object = await llm.chat.completions.create(anyChat, { signal: new AbortController().signal });
export const completion: OpenAI.Completion = await llm.completions.create(text);
const parts = await llm.completions.create(streamedText);
for await (const part of parts) part.choices[0]?.text satisfies string | undefined;

declare const embed: OpenAI.EmbeddingCreateParams;
export const vectors: OpenAI.CreateEmbeddingResponse = await llm.embeddings.create(embed);

// What was answered goes into the next request.
const [choice] = answer.choices;
if (choice) chat.messages.push(choice.message);

export const official: OpenAI = new client({ fetch: openaiFetch(llm) });
