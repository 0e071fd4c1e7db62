// Compiled, never run: local, remote and hybrid models have one interface, and the adapters fit the
// types of their libraries.

import type { EmbeddingModel, generateText as Generate, LanguageModel } from 'ai';
import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import type { EmbeddingsInterface } from '@langchain/core/embeddings';
import { z } from 'zod';
import { embeddingModel, languageModel, provider } from '../../dist/ai-sdk/index.js';
import type { Llm } from '../../dist/index.js';
import { ChatWeft, WeftEmbeddings } from '../../dist/langchain.js';
import { hybrid, remote, type AnyLlm, type HybridLlm, type RemoteLlm } from '../../dist/remote/index.js';

declare const llm: Llm;
declare const generateText: typeof Generate;

const server: RemoteLlm = await remote({ baseURL: 'http://localhost/v1' });
const either: HybridLlm = await hybrid({ local: llm, remote: server, when: ['too-long'] });
export const all: AnyLlm[] = [llm, server, either];

/** An app that is written for all three. */
export async function answer(model: AnyLlm): Promise<string> {
  let text = '';
  for await (const piece of model.chat([{ role: 'user', content: 'hi' }])) text += piece.text;
  const whole = await model.chat.completions.create({ messages: [{ role: 'user', content: 'hi' }] });
  return text + (whole.choices[0]?.message.content ?? '');
}

const placed = await either.chat.completions.create({ messages: [] });
placed.ran_on.where satisfies 'local' | 'remote';

export const model: LanguageModel = languageModel(either);
export const embedding: EmbeddingModel = embeddingModel(llm);
export const text: string = (await generateText({ model: languageModel(llm), prompt: 'hi' })).text;
export const named: LanguageModel = provider({ chat: llm }).languageModel('chat');

export const chat: BaseChatModel = new ChatWeft({ llm, request: { temperature: 0 } });
export const embeddings: EmbeddingsInterface = new WeftEmbeddings({ llm: server });
const structured = new ChatWeft({ llm }).withStructuredOutput(z.object({ colour: z.string() }));
(await structured.invoke('hi')).colour satisfies string;
