/** The public object of a loaded model: checks arguments and calls the worker. */

import { WeftError } from '../common/errors.js';
import type {
  Call,
  EncodeTask,
  GenerateCall,
  ReadCache,
  LoadedInfo,
  Prompt,
  ScoreCall,
  ScoredText,
} from '../common/protocol.js';
import { createChatCompletions } from '../openai/chat.js';
import { createCompletions } from '../openai/completions.js';
import { createEmbeddings } from '../openai/embeddings.js';
import { adaptersOf, checkAdapterLoad, checkAdapterName, checkScale } from '../options/adapters.js';
import { checkChat, checkRemember } from '../options/chat.js';
import { checkIds, checkNames, checkString, checkText, checkTexts } from '../options/check.js';
import { checkEmbed, checkEncode, checkTopK, prompted } from '../options/encode.js';
import { checkGenerate, checkPrompt, checkTokenize, splitSuffix, type CheckedOptions } from '../options/generate.js';
import { checkInspect, checkNearest, checkToken } from '../options/inspect.js';
import { checkMessages } from '../options/messages.js';
import { checkAfter, checkLabelling, checkScored } from '../options/score.js';
import type { SessionModel } from '../session/context.js';
import { checkSession } from '../session/options.js';
import { decodeSession } from '../session/saved.js';
import { ChatSession } from '../session/session.js';
import type {
  Chat,
  ClassifyOptions,
  Filling,
  GenerateOptions,
  Inspection,
  LabelOptions,
  LabelScore,
  Llm,
  Message,
  NearToken,
  RankedDocument,
  Remembered,
  Sharing,
  TokenIds,
  TokenizeOptions,
  TokenLabel,
} from '../types/index.js';
import { promised, type Connection } from './connection.js';
import { drafterOf, mayDraft } from './drafting.js';
import { generation } from './generation.js';
import { bestOf, rankLabels, scoreOf } from './prompting.js';

export const ALONE: Sharing = { shared: false, notShared: null };

/** Creates the public object for a connection with a loaded model. */
export function createLlm(connection: Connection, loaded: LoadedInfo, sharing: Sharing = ALONE): Llm {
  let info = { ...loaded, ...sharing };
  connection.onReload = (reloaded) => (info = { ...reloaded, ...sharing });
  const begin = (call: Omit<GenerateCall, 'options'>, { draft, ...options }: CheckedOptions, signal?: AbortSignal) => {
    if (!draft) return generation(connection, { ...call, options }, signal);
    const { connection: drafter, cost } = drafterOf(llm, draft);
    const speculate = { given: { cost } };
    return generation(connection, { ...call, options: { ...options, speculate } }, signal, drafter);
  };
  const generate = (prompt: Prompt, options: GenerateOptions = {}, suffix?: string) => {
    const behind = suffix === undefined ? {} : { suffix };
    return begin({ type: 'generate', prompt, ...behind }, checkGenerate(options), options.signal);
  };
  const answer: (...args: Parameters<Chat>) => ReturnType<Chat> = (messages, options = {}) => {
    const checked = checkChat(messages, options, info.roles, info.inputs.includes('image'));
    return generate(checked.conversation, checked.options);
  };
  const score = (call: ScoreCall, signal?: AbortSignal) => promised(connection, call, signal) as Promise<ScoredText[]>;
  const merge = (name: string, scale: number) =>
    connection.request({ type: 'mergeAdapter', name: checkAdapterName('name', name), scale });
  const ofSessions: SessionModel = {
    get info() {
      return info;
    },
    prompt: (conversation, known) => connection.request({ type: 'prompt', conversation, known }) as Promise<number[]>,
    generate: (prompt, options, signal, cache) =>
      begin({ type: 'generate', prompt, ...(cache ? { cache } : {}) }, options, signal),
    readCache: (ids, restored, adapter) =>
      connection.request({
        type: 'readCache',
        ids,
        restored: restored ?? null,
        ...adaptersOf({ adapter }),
      }) as Promise<ReadCache>,
    fingerprints: (names) => connection.request({ type: 'adapterFingerprints', names }) as Promise<string[]>,
  };
  const llm: Llm = {
    get info() {
      return info;
    },
    generate(prompt, textOptions = {}) {
      const { suffix, options } = splitSuffix(textOptions);
      return generate(checkPrompt(prompt), options, suffix);
    },
    adapters: {
      async load(source, options) {
        const call = checkAdapterLoad(source, options);
        await promised(connection, call, options.signal);
      },
      async unload(name) {
        await connection.request({ type: 'unloadAdapter', name: checkAdapterName('name', name) });
      },
      async merge(name, scale = 1) {
        await merge(name, checkScale('scale', scale));
      },
      async unmerge(name) {
        await merge(name, 0);
      },
    },
    chat: Object.assign(answer, { completions: createChatCompletions(() => llm) }),
    async remember(prompt, options = {}) {
      const call = checkRemember(prompt, options, info.roles);
      return (await promised(connection, call, options.signal)) as Remembered;
    },
    session(options = {}) {
      const { settings, state } = checkSession(options, info);
      const { speculate } = settings.generate;
      if (typeof speculate === 'object') drafterOf(llm, speculate.draft);
      return new ChatSession(ofSessions, settings, state);
    },
    async restore(saved) {
      const { settings, state } = await decodeSession(saved, ofSessions);
      return new ChatSession(ofSessions, settings, state);
    },
    completions: createCompletions(() => llm),
    embeddings: createEmbeddings(() => llm),
    async embed(texts, options = {}) {
      const { truncate } = checkEncode(options, ['task', 'pooling', 'normalize', 'adapter']);
      const task = {
        name: 'embed',
        texts: prompted(checkTexts('texts', texts), options.task, info.prompts),
        options: checkEmbed(options),
        truncate,
      } as const;
      const call = { type: 'encode', task, ...adaptersOf(options) } as const;
      return (await promised(connection, call, options.signal)) as Float32Array[];
    },
    async rerank(query, documents, options = {}) {
      const texts = checkTexts('documents', documents);
      const task = { name: 'rerank', query: checkText('query', query), texts, ...checkEncode(options) } as const;
      return (await encode(connection, task, options.signal)) as RankedDocument[];
    },
    async classify(
      text: string,
      labels: readonly string[] | ClassifyOptions = {},
      labelOptions: LabelOptions = {},
    ): Promise<LabelScore[]> {
      if (Array.isArray(labels)) {
        const asked = checkLabelling(checkText('text', text), labels as readonly string[], labelOptions);
        return rankLabels(score, asked, info.hasChatTemplate);
      }
      const options = labels as ClassifyOptions;
      const { truncate } = checkEncode(options, ['pair']);
      const pair = options.pair === undefined ? null : checkText('pair', options.pair);
      const task = { name: 'classify', text: checkText('text', text), pair, truncate } as const;
      return (await encode(connection, task, options.signal)) as LabelScore[];
    },
    async classifyTokens(text, options = {}) {
      const task = { name: 'classifyTokens', text: checkText('text', text), ...checkEncode(options) } as const;
      return (await encode(connection, task, options.signal)) as TokenLabel[];
    },
    async fillMask(text, options = {}) {
      const { truncate } = checkEncode(options, ['topK']);
      const task = {
        name: 'fillMask',
        text: checkText('text', text),
        topK: checkTopK(options.topK),
        truncate,
      } as const;
      return (await encode(connection, task, options.signal)) as Filling[][];
    },
    async score(text, options = {}) {
      checkNames(options, ['after', 'adapter', 'signal']);
      const call = {
        type: 'score',
        texts: [checkScored(text)],
        after: checkAfter(options.after, info.roles),
        end: false,
        ...adaptersOf(options),
      } as const;
      const [scored] = await score(call, options.signal);
      return scoreOf(scored as ScoredText);
    },
    bestOf: (n, scorer) => bestOf(() => llm, n, scorer),
    async inspect(prompt, options = {}) {
      const isConversation = Array.isArray(prompt) && typeof prompt[0] === 'object';
      const call = {
        type: 'inspect',
        prompt: isConversation
          ? { messages: checkMessages(prompt as readonly Message[], info.roles), tools: null, variables: {} }
          : checkPrompt(prompt as string | TokenIds),
        options: checkInspect(options),
        ...adaptersOf(options),
      } as const;
      return (await promised(connection, call, options.signal)) as Inspection;
    },
    async nearestTokens(token, options = {}) {
      const call = { type: 'nearest', token: checkToken(token), top: checkNearest(options) } as const;
      return (await promised(connection, call, options.signal)) as NearToken[];
    },
    async tokenize(text, options: TokenizeOptions = {}) {
      const call: Call = { type: 'tokenize', text: checkString('text', text), ...checkTokenize(options) };
      return (await connection.request(call)) as number[];
    },
    async detokenize(ids) {
      return (await connection.request({ type: 'detokenize', ids: checkIds('ids', ids) })) as string;
    },
    dispose() {
      connection.fail(new WeftError('DISPOSED', 'the model was disposed of; load it again'));
    },
  };
  mayDraft(llm, connection);
  return llm;
}

/** Runs an encoder task. */
function encode(connection: Connection, task: EncodeTask, signal?: AbortSignal): Promise<unknown> {
  return promised(connection, { type: 'encode', task }, signal);
}
