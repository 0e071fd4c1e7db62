/**
 * What the tasks of the page ask of the fake engine. `?model=KIND` says what the loaded model is:
 * `base` has no chat template, `coder` fills gaps, `encoder` embeds, `classifier` has labels of its
 * own. A model whose address has MiniLM in it is always an encoder.
 */

import type {
  ChatOptions,
  GenerateOptions,
  LabelOptions,
  LabelScore,
  Llm,
  LoadOptions,
  Message,
  ModelInfo,
  Piece,
  TextOptions,
} from '../../js/src/types/index.js';

type Kind = 'chat' | 'base' | 'coder' | 'encoder' | 'classifier';

const query = new URLSearchParams(location.search);

const kindOf = (model: LoadOptions['model']): Kind =>
  String(model).includes('MiniLM') ? 'encoder' : ((query.get('model') ?? 'chat') as Kind);

const infos: Record<Kind, Partial<ModelInfo>> = {
  chat: {},
  base: { tasks: ['generate', 'score'], hasChatTemplate: false },
  coder: { tasks: ['generate', 'infill', 'chat', 'score'] },
  encoder: { kind: 'encoder', name: 'MiniLM', tasks: ['embed'], hasChatTemplate: false },
  classifier: {
    kind: 'encoder',
    name: 'a classifier',
    tasks: ['embed', 'classify'],
    labels: ['POSITIVE', 'NEGATIVE'],
    hasChatTemplate: false,
  },
};

export const taskInfo = (model: LoadOptions['model']) => infos[kindOf(model)];

/** `answer` writes a text as an answer, in pieces. */
export function taskMethods(answer: Answer) {
  const methods = {
    // The answer repeats the last message, and says which examples came before it.
    chat: (messages: readonly Message[], { constraint, examples = [], ...options }: ChatOptions = {}) => {
      const shown = examples.map(({ user, assistant }) => `Example: ${user} → ${assistant}\n\n`).join('');
      return constraint && 'jsonSchema' in constraint
        ? json(constraint.jsonSchema as Schema, answer, options)
        : answer(`${shown}${String(messages.at(-1)?.content)}`, options);
    },
    generate: (_: string, options: TextOptions = {}) => answer('return word == word[::-1]', options),
    async classify(_: string, labels: readonly string[] | object, options: LabelOptions = {}): Promise<LabelScore[]> {
      await new Promise((resolve) => setTimeout(resolve, 50));
      options.signal?.throwIfAborted();
      const given = Array.isArray(labels) ? (labels as string[]) : (infos.classifier.labels ?? []);
      const weights = given.map((_, index) => 0.5 ** index);
      const sum = weights.reduce((a, b) => a + b);
      return given.map((label, index) => ({ label, score: weights[index]! / sum, logit: -index }));
    },
    /** Texts that share words have similar vectors. */
    async embed(texts: readonly string[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
      await new Promise((resolve) => setTimeout(resolve, Number(query.get('embedding') ?? 5)));
      signal?.throwIfAborted();
      return texts.map(vectorOf);
    },
    tokenize: async (text: string) => [...text.matchAll(/\S+/g)].map((_, id) => id),
  };
  return methods as unknown as Pick<Llm, 'chat' | 'generate' | 'classify' | 'embed' | 'tokenize'>;
}

function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(64);
  for (const word of text.toLowerCase().match(/\w+/g) ?? []) {
    const at = [...word].reduce((sum, letter) => (31 * sum + letter.charCodeAt(0)) % 64, 7);
    vector[at] = vector[at]! + word.length / 10;
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

type Answer = (text: string, options: GenerateOptions) => AsyncGenerator<Piece>;

interface Schema {
  properties: Record<string, { type?: string; format?: string; enum?: readonly string[] }>;
}

/** An object that fits the schema. */
async function* json({ properties }: Schema, answer: Answer, options: GenerateOptions): AsyncGenerator<Piece> {
  const values = Object.entries(properties).map(([name, { type, format, enum: choices }]) => {
    if (choices) return [name, choices[0]];
    if (format === 'date') return [name, '2027-03-14'];
    return [name, { string: 'Ada Byron', number: 6, boolean: true, array: ['vegetarian', 'no nuts'] }[type ?? '']];
  });
  for await (const piece of answer(JSON.stringify(Object.fromEntries(values)), options))
    yield piece.finish ? { ...piece, finish: { ...piece.finish, fits: piece.finish.reason === 'stop' } } : piece;
}
