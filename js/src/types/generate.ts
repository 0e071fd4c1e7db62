/** How a text is continued, and what an answer is. */

export interface SamplingOptions {
  /** Added to the logits of these tokens, by id, before all else: -100 bans one, as good as. Default: none. */
  logitBias?: Readonly<Record<number, number>>;
  /** 0 picks the most likely token always. Default 0.8. */
  temperature?: number;
  /** Keeps the k most likely tokens; 0 keeps all. Default 40. */
  topK?: number;
  /** Keeps the most likely tokens whose probabilities sum to p; 1 keeps all. Default 0.95. */
  topP?: number;
  /** Keeps tokens at least this fraction as likely as the best; 0 keeps all. Default 0.05. */
  minP?: number;
  /** Divides the logits of tokens seen lately; 1 changes nothing. Default 1. */
  repetitionPenalty?: number;
  /** Lowers a logit by this much for every time its token occurred lately. Default 0. */
  frequencyPenalty?: number;
  /** Lowers a logit by this much if its token occurred lately. Default 0. */
  presencePenalty?: number;
  /** How many of the last tokens, prompt included, the penalties look at; 0 turns them off. Default 64. */
  penaltyLastN?: number;
  /**
   * The same seed, prompt and options give the same answer on the same engine; but on the GPU, a prompt that was partly in
   * the KV cache may round differently. Default: random.
   */
  seed?: number;
}

export interface GenerateOptions extends SamplingOptions {
  /** Default: until the context is full. */
  maxTokens?: number;
  /** Ends the answer before any of these strings; they are not part of the text. */
  stop?: string | readonly string[];
  /**
   * What the answer may be; the text then always fits, as far as it comes. Fetches a module of its own at first use. Default: anything.
   */
  constraint?: Constraint;
  /**
   * What becomes of a part of a schema that cannot be enforced, of a constraint or of a tool: an
   * `INVALID_CONSTRAINT` that names its place, or it is left out, and `finish.ignored` names it.
   * Default `error`.
   */
  onUnsupported?: 'error' | 'ignore';
  /** Bounds of what a schema leaves without one. */
  limits?: SchemaLimits;
  /** Tells the log-probability of every token, and of so many of the likeliest beside it. Default: of none. */
  topLogprobs?: number;
  /** Special tokens that are part of the text, by their names; others never are. Default: none. */
  keepSpecial?: readonly string[];
  /** Stops at once; the iteration then ends with reason `abort`. */
  signal?: AbortSignal;
}

export type TokenIds = readonly number[] | Uint32Array;

/** How to continue a text. */
export interface TextOptions extends GenerateOptions {
  /**
   * What stands behind the text; the answer is what fills the gap between the two. For models that
   * were trained for it, coders most of all, which have `infill` in `info.tasks`. It is plain text,
   * as the prompt is.
   */
  suffix?: string;
}

/** Text that is written and matched as a whole. */
export type Constraint =
  /**
   * JSON that fits a JSON Schema: drafts 4 to 2020-12, or an object of zod, Valibot or ArkType that
   * can say what its schema is. See also `onUnsupported` and `limits`.
   */
  | { readonly jsonSchema: object | boolean }
  /** A regular expression, in the syntax of Rust's `regex`. */
  | { readonly regex: string }
  /** A grammar in Lark's syntax, from `start`. */
  | { readonly lark: string }
  | { readonly choices: readonly string[] };

/**
 * So that every number, every text of a `format` and every recursion has an end: at temperature 0
 * some models go on for as long as they may.
 */
export interface SchemaLimits {
  /**
   * Digits of a number before its point, where its schema has no bounds that need more. Default 20.
   */
  digits?: number;
  /** Digits of a number after its point. Default 17. */
  fraction?: number;
  /** Digits of a number's exponent; 0: none is written. Default 2. */
  exponent?: number;
  /** Digits of a fraction of a second. Default 9. */
  seconds?: number;
  /**
   * Characters of a text of a `format` that has no bound of its own, a URL for example. Default
   * 512.
   */
  format?: number;
  /** How deep a schema may lead to itself, and JSON of any kind may nest. Default 10. */
  depth?: number;
}

/** A part of a schema that is not enforced. */
export interface IgnoredKeyword {
  /** JSON pointer within the schema. */
  readonly pointer: string;
  readonly keyword: string;
  readonly reason: string;
}

export type FinishReason = 'stop' | 'length' | 'abort';

/** One step of an answer. Concatenated, the texts are the answer. */
export type Piece = {
  readonly text: string;
  /** What the model thinks before its answer; only in a chat, of a model that was trained to think. */
  readonly reasoning?: string;
  /**
   * The model ended thoughts that it had not begun: the text of all pieces before this one was
   * reasoning.
   */
  readonly endsReasoning?: true;
} &
  /** A token; its text is empty while a character or a stop string is incomplete. */
  (
    | { readonly id: number; readonly finish: null; readonly logprobs?: TokenLogprobs }
    /** The last piece: held-back text, if any, and how it ended. */
    | { readonly id: null; readonly finish: Finish }
  );

/** How likely the model found a token. */
export interface TokenLogprob {
  readonly id: number;
  /** Of the token alone: U+FFFD where it is no whole character. */
  readonly text: string;
  /** Its UTF-8. */
  readonly bytes: readonly number[];
  /** In nats, of the model's own distribution: before temperature, filters, biases and penalties. */
  readonly logprob: number;
}

export interface TokenLogprobs extends TokenLogprob {
  /** The likeliest tokens, best first, with or without the one that was chosen. */
  readonly top: readonly TokenLogprob[];
}

export interface Finish {
  readonly reason: FinishReason;
  /** Whether the text fits the constraint as a whole; only where there was one. False where the answer was cut. */
  readonly fits?: boolean;
  /**
   * What of the schemas was not enforced; only where there is any, by `onUnsupported: 'ignore'`.
   */
  readonly ignored?: readonly IgnoredKeyword[];
  readonly usage: Usage;
}

export interface Usage {
  readonly promptTokens: number;
  /** How many of them were still in the KV cache from the call before. */
  readonly cachedTokens: number;
  /** How many of the oldest were dropped while the answer was written; only in a session whose overflow is `shift`. */
  readonly droppedTokens?: number;
  readonly completionTokens: number;
  /** From the call to the first token. */
  readonly timeToFirstTokenMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

/**
 * An answer, in pieces as they come or as a whole: `for await (const { text } of answer)`, or
 * `await answer.text`. It begins when it is first iterated or one of its promises is asked for.
 * Iterated again, it gives the same pieces from the first on. `break` ends an answer that nobody
 * else waits for; what had come by then stays.
 */
export interface Generation<Step extends { readonly finish: unknown } = Piece> extends AsyncIterable<Step> {
  /**
   * Fulfilled when its turn has come and the model has accepted the prompt and the constraint,
   * before anything is computed. Rejects where the model cannot answer at all.
   */
  readonly started: Promise<void>;
  /**
   * The whole text; of an answer that was stopped what came of it, for which `finish` says `abort`.
   * Rejects where it fails.
   */
  readonly text: Promise<string>;
  /** All that the model thought before; empty where it did not think. */
  readonly reasoning: Promise<string>;
  readonly finish: Promise<NonNullable<Step['finish']>>;
}

export interface TokenizeOptions {
  /** Adds the tokens that the model wants at the start and the end of a text. Default true. */
  addSpecial?: boolean;
  /** Reads `<|im_end|>` and the like as the special token instead of as text. Default false. */
  parseSpecial?: boolean;
}
