/** Generating text: options, constraints, and the pieces of an answer. */

import type * as grammar from '../../generated/weft-grammar-types.js';
import type * as wasm from '../../generated/weft-types.js';
import type { AdapterChoice } from './adapters.js';
import type { ModelInfo } from './info.js';
import type { Inspection, StepInspectOptions } from './inspect.js';
import type { SamplingOptions } from './sampling.js';

export type { Ignored as IgnoredKeyword, Limits as SchemaLimits } from '../../generated/weft-grammar-types.js';

export interface GenerateOptions
  extends SamplingOptions, Pick<wasm.GenerateOptions, 'maxTokens' | 'topLogprobs' | 'keepSpecial'> {
  /** Ends the answer before any of these strings. They are not part of the text. */
  stop?: string | readonly string[];
  /**
   * Restricts the answer; the text so far can always be completed to one that fits. The first use
   * fetches a WebAssembly module of its own. Default: none.
   */
  constraint?: Constraint;
  /**
   * What to do with a part of a JSON Schema that cannot be enforced, in a constraint or in a tool.
   * `error` fails with `INVALID_CONSTRAINT`, which names the place; `ignore` leaves it out and
   * lists it in `finish.ignored`. Default `error`.
   */
  onUnsupported?: 'error' | 'ignore';
  /** Bounds for what a JSON Schema leaves unbounded. */
  limits?: grammar.Limits;
  /**
   * Drafts the next tokens and computes several in one step. The answer stays what it is, and comes
   * faster where drafts are right. Default: no drafts.
   */
  speculate?: Speculate;
  /** Adapters that were loaded with `llm.adapters.load`. Default: none, but for merged ones. */
  adapter?: AdapterChoice;
  /** What to look at in each step; a piece then has `inspection`. Default: nothing. */
  inspect?: StepInspectOptions;
  /** Stops the answer at once; its iteration then ends with the reason `abort`. */
  signal?: AbortSignal;
}

/**
 * Where drafts come from. `lookup`: from where the end of the text came before, in the prompt or in
 * the answer. `draft`: from a smaller model that was loaded on the same page and has the same
 * vocabulary, as `info.vocabularyFingerprint` tells. Where it is disposed of or fails, the answer
 * goes on without.
 */
export type Speculate = 'lookup' | { readonly draft: DraftModel };

/** A model that `load` gave. */
export interface DraftModel {
  readonly info: ModelInfo;
  dispose(): void;
}

export type TokenIds = readonly number[] | Uint32Array;

/** Options for continuing a text. */
export interface TextOptions extends GenerateOptions {
  /**
   * Text after the gap that the answer fills (fill-in-the-middle). Needs a model that was trained
   * for it, which has `infill` in `info.tasks`; most code models are. Like the prompt, it is plain
   * text.
   */
  suffix?: string;
}

/** What an answer must match as a whole. */
export type Constraint =
  /**
   * JSON that fits a JSON Schema of draft 4 to 2020-12, or a schema object of zod, Valibot or
   * ArkType that can export one. See also `onUnsupported` and `limits`.
   */
  | { readonly jsonSchema: object | boolean }
  /** A regular expression in the syntax of Rust's `regex` crate. */
  | { readonly regex: string }
  /** A grammar in Lark's syntax; its start rule is `start`. */
  | { readonly lark: string }
  /** One of these texts. */
  | { readonly choices: readonly string[] };

/**
 * Why an answer ended: the model or a stop string ended it (`stop`), `maxTokens` or the context was
 * used up (`length`), or the caller stopped it (`abort`).
 */
export type FinishReason = 'stop' | 'length' | 'abort';

/** One step of an answer. The texts of all pieces make the answer. */
export type Piece = {
  readonly text: string;
  /** Reasoning before the answer; only in a chat with a model that was trained to think. */
  readonly reasoning?: string;
  /**
   * The model closed a block of reasoning that it had not opened: the text of all earlier pieces
   * was reasoning.
   */
  readonly endsReasoning?: true;
  /** What the step saw that the token was drawn from; only of a token, with `inspect`. */
  readonly inspection?: Inspection;
} &
  /** A token. Its text is empty while a character or a possible stop string is incomplete. */
  (
    | { readonly id: number; readonly finish: null; readonly logprobs?: TokenLogprobs }
    /** The last piece, with any text that was held back. */
    | { readonly id: null; readonly finish: Finish }
  );

/** The log-probability of a token. */
export interface TokenLogprob extends wasm.TokenLogprob {
  /** Text of this token alone, with U+FFFD for incomplete characters. */
  readonly text: string;
}

export interface TokenLogprobs extends TokenLogprob {
  /** The most likely tokens, best first. The chosen token need not be among them. */
  readonly top: readonly TokenLogprob[];
}

/** How an answer ended. */
export interface Finish {
  readonly reason: FinishReason;
  /**
   * Whether the whole text fits the constraint; only with a constraint. False if the answer was cut
   * off.
   */
  readonly fits?: boolean;
  /**
   * Parts of schemas that were not enforced; only with `onUnsupported: 'ignore'`, if there are any.
   */
  readonly ignored?: readonly grammar.Ignored[];
  readonly usage: Usage;
}

/** Tokens and times of an answer. */
export interface Usage {
  readonly promptTokens: number;
  /**
   * Prompt tokens that were not computed: an earlier prompt began alike, or another that is read at
   * the same time.
   */
  readonly cachedTokens: number;
  /**
   * Oldest tokens that were dropped while the answer was written; only in a session with the
   * overflow `shift` or `sinks`.
   */
  readonly droppedTokens?: number;
  readonly completionTokens: number;
  /** Tokens that were drafted; only with `speculate`. */
  readonly draftedTokens?: number;
  /** Drafted tokens that became tokens of the answer; only with `speculate`. */
  readonly acceptedTokens?: number;
  /** From the call to the first token. */
  readonly timeToFirstTokenMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

/**
 * An answer, as pieces (`for await (const { text } of answer)`) or as a whole (`await
 * answer.text`). It starts when it is first iterated or one of its promises is read. Every
 * iteration gives all pieces from the first one on. `break` stops the answer unless something else
 * still waits for it; what was generated until then is kept.
 */
export interface Generation<Step extends { readonly finish: unknown } = Piece> extends AsyncIterable<Step> {
  /**
   * Resolves when its turn has come and the model has accepted the prompt and the constraint,
   * before anything is computed. Rejects if the model cannot answer.
   */
  readonly started: Promise<void>;
  /**
   * The whole text. If the answer was stopped: the text until then, and `finish` has the reason
   * `abort`. Rejects if it failed.
   */
  readonly text: Promise<string>;
  /** All reasoning before the answer; empty if the model did not think. */
  readonly reasoning: Promise<string>;
  readonly finish: Promise<NonNullable<Step['finish']>>;
}

export interface TokenizeOptions {
  /**
   * Adds the special tokens that the model expects at the start and end of a text. Default true.
   */
  addSpecial?: boolean;
  /** Reads names of special tokens such as `<|im_end|>` as tokens, not as text. Default false. */
  parseSpecial?: boolean;
}
