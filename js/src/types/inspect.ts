/** Looking inside a model: what is asked for, and what is seen. */

import type { AdapterChoice } from './adapters.js';
import type * as wasm from '../../generated/weft-types.js';
import type { SamplingOptions } from './sampling.js';

export type {
  ChosenExpert,
  LensPosition,
  OperationTime,
  SamplerStage,
  TokenProbability,
} from '../../generated/weft-types.js';

/**
 * What to look at. Only what is asked for is computed, and the cost of each is beside it. Whatever
 * needs layers one by one (`attention`, `hiddenStates`, `lens`, `experts`, `timing`) computes the
 * whole text, stops after the last layer that it needs, and waits once a layer for the engine.
 *
 * The sampling options are those that `next` is explained with.
 */
export interface InspectOptions extends SamplingOptions, StepInspectOptions {
  /**
   * Log-probability of each token given those before it. Cost: the output head for each token.
   * Default false.
   */
  logprobs?: boolean;
  /** Adapters that were loaded with `llm.adapters.load`. Default: none, but for merged ones. */
  adapter?: AdapterChoice;
  /** Stops between two layers; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * What to look at in each step of an answer (`inspect` of `generate`, `chat` and `send`), where the
 * sampling is that of the answer, and the lens has the one position of the step. The steps are then
 * computed layer by layer, and on a GPU one waits for the other.
 */
export interface StepInspectOptions {
  /**
   * Attention weights: of all layers, or of these, counted from 0. Cost: queries and keys of each
   * layer are read back and multiplied again; heads · tokens² numbers a layer, at most 512 MiB in
   * all. Default: none.
   */
  attention?: boolean | { readonly layers?: readonly number[] };
  /**
   * The norm of each token's residual stream, after the embedding and after each layer. Cost: no
   * more than the layers one by one. Default false.
   */
  hiddenStates?: boolean;
  /**
   * What the model would say if it ended after a layer (nostalgebraist's logit lens): the most
   * likely next tokens, by its output head. Cost: the output head, once for each layer and
   * position. Default: none.
   */
  lens?: boolean | InspectLensOptions;
  /**
   * The next token, stage by stage of the sampler: its distribution as the model says it, and what
   * each option makes of it. `top`: how many tokens to list for each stage, 20 by default. Cost:
   * the output head once; with nothing else but `rotations`, a text that is in the KV cache is not
   * computed again. Default: none.
   */
  next?: boolean | { readonly top?: number };
  /**
   * Which experts each token went to in each layer, of a mixture of experts. Cost: reads them back.
   * Default false.
   */
  experts?: boolean;
  /**
   * The angles that RoPE rotates queries and keys by. Cost: no step of the model. Default false.
   */
  rotations?: boolean;
  /**
   * The time of each operation. Cost: the engine is waited for after each one, and on a GPU that
   * wait is part of the time. Default false.
   */
  timing?: boolean;
}

/** Where the lens looks. */
export interface InspectLensOptions {
  /** How many tokens to list. Default 5. */
  readonly top?: number;
  /** Positions of tokens, counted from 0. Default: the last. */
  readonly positions?: readonly number[];
  /** Layers, counted from 0. Default: all. */
  readonly layers?: readonly number[];
}

/** What was seen. A field is there if it was asked for. */
export interface Inspection {
  /** In a step of an answer, the one that was read: the last of the prompt, then those drawn. */
  readonly tokens: readonly InspectedToken[];
  /** In the order of the layers. */
  readonly attention?: readonly AttentionLayer[];
  /** After the embedding, then after each layer: the L2 norm of each token's residual stream. */
  readonly hiddenStates?: readonly Float32Array[];
  readonly lens?: readonly LensLayer[];
  /** Before the first stage of the sampler, then after each that is switched on. */
  readonly next?: readonly wasm.SamplerStage[];
  /** Of each layer that has experts. */
  readonly experts?: readonly ExpertLayer[];
  /** One for each RoPE of the model: some have two, for different layers. Empty without RoPE. */
  readonly rotations?: readonly Rotations[];
  readonly timing?: readonly wasm.OperationTime[];
  /** Tokens whose keys and values were in the KV cache. */
  readonly cachedTokens: number;
}

export interface InspectedToken extends Omit<wasm.TokenSeen, 'bytes'> {
  /** Its text as UTF-8, which need not be whole characters. */
  readonly bytes: Uint8Array;
}

export interface AttentionLayer {
  /** Counted from 0. */
  readonly layer: number;
  readonly heads: number;
  /**
   * (heads, tokens, tokens), row-major: how much each token takes from each one. A row sums to 1,
   * less what a learned sink takes, and is 0 for tokens that the row's token does not see. In a
   * step of an answer (heads, 1, tokens): the token that was read, and all tokens so far.
   */
  readonly weights: Float32Array;
}

export interface LensLayer {
  /** Counted from 0. */
  readonly layer: number;
  readonly positions: readonly wasm.LensPosition[];
}

export interface ExpertLayer {
  /** Counted from 0. */
  readonly layer: number;
  /** The experts of each token, most important first. */
  readonly tokens: readonly (readonly wasm.ChosenExpert[])[];
}

export interface Rotations {
  /** The layers that rotate so, counted from 0. */
  readonly layers: readonly number[];
  /** For each position the angle of each pair of dimensions, in radians. */
  readonly angles: readonly Float32Array[];
}

export interface NearestOptions {
  /** How many tokens to return. Default 10. */
  top?: number;
  /** Stops; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A token with a similar embedding. */
export interface NearToken extends wasm.NearToken {}
