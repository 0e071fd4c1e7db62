/**
 * Stands in for what weft-llm sees inside a model. `?inspect=CODE` fails with that error, `?moe`
 * has experts, `?encoder` is an encoder, `?server` a model of a server, `?inspected=MS` takes so
 * long for a panel.
 */

import { WeftError, type ErrorCode } from '../../js/src/common/errors.js';
import type {
  AttentionLayer,
  InspectedToken,
  Inspection,
  InspectOptions,
  Llm,
  Message,
  Piece,
  SamplerStage,
  TextOptions,
  TokenIds,
  TokenProbability,
} from '../../js/src/types/index.js';

const query = new URLSearchParams(location.search);
const LAYERS = 30;
const HEADS = 9;
const PAIRS = 32;

/** What was asked, for tests: `globalThis.inspections`. */
const asked: { options: InspectOptions | TextOptions; aborted: boolean }[] = [];
Object.assign(globalThis, { inspections: asked });

/** A number from 0 to 1, the same for the same parts. */
function chance(...parts: (string | number)[]): number {
  let hash = 2166136261;
  for (const char of parts.join(' ')) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619);
  hash ^= hash >>> 15;
  return ((Math.imul(hash, 2246822519) ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}

const vocabulary: { text: string; bytes: Uint8Array; special: boolean }[] = [];
const ids = new Map<string, number>();

function idOf(bytes: Uint8Array, special = false): number {
  const key = bytes.join(' ');
  const known = ids.get(key);
  if (known !== undefined) return known;
  ids.set(key, vocabulary.length);
  return vocabulary.push({ text: new TextDecoder().decode(bytes), bytes, special }) - 1;
}

const utf8 = (text: string) => new TextEncoder().encode(text);

const WORDS =
  ' thirsty hungry the a of and it was not very tired animal tiger tree water river so to drink Paris Berlin five'
    .split(/(?= )/)
    .map((word) => idOf(utf8(word)));
const END = idOf(utf8('<|im_end|>'), true);

/** Words with the space before them; a character outside the BMP is two tokens. */
function tokensOf(prompt: string | TokenIds | readonly Message[]): number[] {
  if (typeof prompt === 'string') {
    const parts = prompt.match(/<\|\w+\|>| ?\p{L}+| ?\p{N}|[\u{10000}-\u{10FFFF}]|\s|[^\s\p{L}\p{N}]/gu) ?? [];
    return parts.flatMap((part) => {
      const bytes = utf8(part);
      if (/[\u{10000}-\u{10FFFF}]/u.test(part)) return [idOf(bytes.slice(0, 2)), idOf(bytes.slice(2))];
      return [idOf(bytes, part.startsWith('<|'))];
    });
  }
  const isIds = (given: TokenIds | readonly Message[]): given is TokenIds => typeof given[0] === 'number';
  if (isIds(prompt)) return [...prompt];
  return prompt.flatMap(({ role, content }) =>
    tokensOf(`<|im_start|>${role}\n${typeof content === 'string' ? content : ''}<|im_end|>\n`),
  );
}

const textOf = (id: number) => vocabulary[id]?.text ?? '';

function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Rests on the first token, looks at neighbours, and “it” at the tiger. */
function attend(tokens: readonly number[], layer: number): AttentionLayer {
  const count = tokens.length;
  const weights = new Float32Array(HEADS * count * count);
  for (let head = 0; head < HEADS; head++) {
    for (let at = 0; at < count; at++) {
      const logits = tokens.slice(0, at + 1).map((id, to) => {
        const near = (head % 3 === 0 ? 2 : 0.3) / (1 + at - to);
        const meant = textOf(tokens[at]!) === ' it' && textOf(id) === ' tiger' ? 3 * chance(layer, head) : 0;
        return 2.5 * chance(layer, head, tokens[at]!, id) + near + meant + (to === 0 ? 2 : 0);
      });
      softmax(logits).forEach((weight, to) => (weights[(head * count + at) * count + to] = weight));
    }
  }
  return { layer, heads: HEADS, weights };
}

/** Surer in later layers. */
function guesses(tokens: readonly number[], layer: number, top: number): TokenProbability[] {
  const last = tokens.slice(-2).join(' ');
  const sure = 1 + (6 * layer) / LAYERS;
  const noise = (id: number) => (layer < LAYERS / 2 ? chance(layer, last, id) : chance(last, id));
  const shares = softmax(WORDS.map((id) => sure * noise(id)));
  return WORDS.map((id, at) => ({ id, text: textOf(id), probability: shares[at]! }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

function stages(tokens: readonly number[], options: TextOptions, top: number): SamplerStage[] {
  const { temperature = 0.8, topK = 40, topP = 0.95, minP = 0.05, repetitionPenalty = 1, constraint } = options;
  const { frequencyPenalty = 0, presencePenalty = 0 } = options;
  let now = guesses(tokens, LAYERS, WORDS.length);
  const model = now.slice(0, top);
  const seen: SamplerStage[] = [{ stage: 'model', left: 49152, top: model }];
  const add = (stage: SamplerStage['stage'], keep: (token: TokenProbability, rank: number) => number) => {
    const kept = now.map((token, rank) => ({ ...token, probability: Math.max(0, keep(token, rank)) }));
    const sum = kept.reduce((total, { probability }) => total + probability, 0);
    now = kept
      .map((token) => ({ ...token, probability: token.probability / (sum || 1) }))
      .filter(({ probability }) => probability > 0)
      .sort((a, b) => b.probability - a.probability);
    const cut = model.filter(({ id }) => !now.some((token) => token.id === id));
    seen.push({
      stage,
      left: now.length,
      top: [...now.slice(0, top), ...cut.map((token) => ({ ...token, probability: 0 }))],
    });
  };
  if (repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0)
    add('penalties', ({ id, probability }) => {
      const times = tokens.filter((token) => token === id).length;
      return times === 0
        ? probability
        : (probability / repetitionPenalty) * Math.exp(-frequencyPenalty * times - presencePenalty);
    });
  if (constraint) {
    let fits: (text: string) => boolean;
    if ('choices' in constraint) fits = (text) => constraint.choices.some((choice) => choice.startsWith(text));
    else if ('regex' in constraint) {
      try {
        const expression = new RegExp(`^(?:${constraint.regex})$`, 'u');
        fits = (text) => expression.test(text);
      } catch (error) {
        throw new WeftError('INVALID_CONSTRAINT', String(error));
      }
    } else throw new WeftError('INVALID_CONSTRAINT', 'not here');
    add('constraint', ({ text, probability }) => (fits(text) ? probability : 0));
  }
  if (topK > 0) add('topK', ({ probability }, rank) => (rank < topK ? probability : 0));
  if (topP < 1) {
    let sum = 0;
    add('topP', ({ probability }) => {
      const before = sum;
      sum += probability;
      return before < topP ? probability : 0;
    });
  }
  if (minP > 0) {
    const least = minP * (now[0]?.probability ?? 0);
    add('minP', ({ probability }) => (probability >= least ? probability : 0));
  }
  if (temperature === 0) add('temperature', (_, rank) => (rank === 0 ? 1 : 0));
  else if (temperature !== 1) add('temperature', ({ probability }) => probability ** (1 / temperature));
  return seen;
}

const every = Array.from({ length: LAYERS }, (_, layer) => layer);

function look(tokens: readonly number[], options: InspectOptions): Inspection {
  const { attention, hiddenStates, lens, next, logprobs, experts, rotations, timing } = options;
  const found: { -readonly [Part in keyof Inspection]: Inspection[Part] } = {
    tokens: tokens.map((id, at): InspectedToken => {
      const logprob = logprobs && at > 0 ? Math.log(0.02 + 0.9 * chance('says', tokens[at - 1]!, id) ** 2) : null;
      return { id, ...vocabulary[id]!, logprob };
    }),
    cachedTokens: Math.max(0, tokens.length - 1),
  };
  const of = <Wanted>(wanted: boolean | Wanted) => (typeof wanted === 'object' ? wanted : undefined);
  if (attention) found.attention = (of(attention)?.layers ?? every).map((layer) => attend(tokens, layer));
  if (hiddenStates)
    found.hiddenStates = Array.from({ length: LAYERS + 1 }, (_, layer) =>
      Float32Array.from(tokens, (id, at) => (at === 0 && layer > 2 ? 400 : 0) + (layer + 1) * (1 + chance(id, layer))),
    );
  if (lens) {
    const { top = 5, positions = [tokens.length - 1], layers = every } = of(lens) ?? {};
    found.lens = layers.map((layer) => ({
      layer,
      positions: positions.map((position) => ({ position, top: guesses(tokens.slice(0, position + 1), layer, top) })),
    }));
  }
  if (next) found.next = stages(tokens, options, of(next)?.top ?? 20);
  if (rotations) {
    const angles = tokens.map((_, at) =>
      Float32Array.from({ length: PAIRS }, (_, pair) => at * 1e4 ** (-pair / PAIRS)),
    );
    found.rotations = [{ layers: every, angles }];
  }
  if (experts && query.has('moe'))
    found.experts = every.map((layer) => ({
      layer,
      tokens: tokens.map((id) => {
        const expert = Math.floor(7 * chance(layer, id));
        const weight = 0.5 + 0.4 * chance(id, layer);
        return [
          { expert, weight },
          { expert: expert + 1, weight: 1 - weight },
        ];
      }),
    }));
  if (timing) {
    const shares = { 'q_proj, k_proj, v_proj': 3, attention: 1.5, o_proj: 1, 'gate_proj, up_proj': 6, down_proj: 3 };
    found.timing = [
      { operation: 'embed_tokens', layer: null, milliseconds: 0.02, bytes: 4e4 },
      ...every.flatMap((layer) =>
        Object.entries(shares).map(([operation, share]) => {
          const milliseconds = share * 0.05 * (1 + 0.2 * chance(operation, layer));
          return { operation, layer, milliseconds, bytes: share * 3e5 };
        }),
      ),
      { operation: 'lm_head', layer: null, milliseconds: 3.1, bytes: 17e6 },
    ];
  }
  return found;
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  const entry = asked.at(-1)!;
  const quick = 'logprobs' in entry.options || !query.has('inspected');
  await new Promise((resolve) => setTimeout(resolve, quick ? 2 : Number(query.get('inspected'))));
  if (signal?.aborted) {
    entry.aborted = true;
    throw signal.reason;
  }
  const code = query.get('inspect');
  if (code) throw new WeftError(code as ErrorCode, `a made-up failure of inspect: ${code}`);
}

type Looking = Pick<Llm, 'inspect' | 'nearestTokens'>;

/** A step of an answer that is looked into. */
async function* step(
  prompt: string | TokenIds,
  { signal, inspect: _, ...options }: TextOptions,
): AsyncGenerator<Piece> {
  asked.push({ options, aborted: false });
  await pause(signal);
  const inspection = { tokens: [], cachedTokens: 0, next: stages(tokensOf(prompt), options, 20) };
  yield { text: '', id: WORDS[0]!, finish: null, inspection };
}

/** What a step of an answer sees that draws `text` after `before`. */
export function stepOf(before: string, text: string, options: TextOptions): { id: number; inspection: Inspection } {
  const id = idOf(utf8(text));
  const tokens = tokensOf(before);
  const seen = stages(tokens, options, 6);
  const likeliest = seen.at(-1)!.top[0]!.id;
  const next = seen.map((stage) => ({
    ...stage,
    top: stage.top.map((token) => (token.id === likeliest ? { ...token, id, text } : token)),
  }));
  const { timing } = look([], { timing: options.inspect?.timing === true });
  return { id, inspection: { tokens: [], cachedTokens: 38 + tokens.length, next, ...(timing ? { timing } : {}) } };
}

const methods: Looking = {
  async inspect(prompt, options = {}) {
    asked.push({ options, aborted: false });
    await pause(options.signal);
    return look(tokensOf(prompt), options);
  },
  async nearestTokens(token, { top = 10, signal } = {}) {
    asked.push({ options: {}, aborted: false });
    await pause(signal);
    const from = typeof token === 'number' ? token : idOf(utf8(token));
    return vocabulary
      .map(({ text, special }, id) => ({
        id,
        text,
        similarity: 0.9 * chance(Math.min(id, from), Math.max(id, from)),
        special,
      }))
      .filter(({ id, special }) => id !== from && id !== END && !special)
      .sort((a, b) => b.similarity - a.similarity)
      .slice(0, top)
      .map(({ id, text, similarity }) => ({ id, text, similarity }));
  },
};

/** `others` answers what is not looked into. */
export function inspecting(others: Pick<Llm, 'generate'>): Partial<Looking> & Pick<Llm, 'generate'> {
  const generate = (prompt: string | TokenIds, options: TextOptions = {}) =>
    options.inspect ? step(prompt, options) : others.generate(prompt, options);
  return { ...(query.has('server') ? {} : methods), generate: generate as Llm['generate'] };
}

export const kind = query.has('encoder') ? 'encoder' : 'decoder';
