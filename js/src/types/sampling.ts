/** How the next token is chosen. */

import type * as wasm from '../../generated/weft-types.js';

export interface SamplingOptions extends Omit<wasm.SamplingOptions, 'logitBias'> {
  /**
   * Added to the logits of these tokens, by id, before anything else. -100 practically bans a
   * token. Default: none.
   */
  logitBias?: Readonly<Record<number, number>>;
}
