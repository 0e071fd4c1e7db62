/** What the runtime has seen, as an inspection. */

import type { InspectCall } from '../common/protocol.js';
import type { AttentionLayer, ExpertLayer, Inspection, LensLayer } from '../types/index.js';
import type { RuntimeLayer, RuntimeSeen } from './runtime.js';

/** `asked`: what is to be there; `seen`: what was seen of the whole. */
export function inspectionOf(
  asked: InspectCall['options'],
  layers: readonly RuntimeLayer[],
  seen: RuntimeSeen,
): Inspection {
  const { tokens, next, rotations, timing, cachedTokens } = seen;
  const attention = layers.flatMap(({ layer, heads, attention }): AttentionLayer[] =>
    layer !== null && attention ? [{ layer, heads, weights: floats(attention) }] : [],
  );
  const lens = layers.flatMap(({ layer, lens }): LensLayer[] =>
    layer !== null && lens ? [{ layer, positions: lens }] : [],
  );
  const experts = layers.flatMap(({ layer, experts }): ExpertLayer[] =>
    layer !== null && experts ? [{ layer, tokens: experts }] : [],
  );
  return {
    tokens,
    ...(asked.attention && { attention }),
    ...(asked.hiddenStates && { hiddenStates: layers.flatMap(({ norms }) => (norms ? [floats(norms)] : [])) }),
    ...(asked.lens && { lens }),
    ...(next && { next }),
    ...(asked.experts && { experts }),
    ...(rotations && { rotations: rotations.map(({ layers, angles }) => ({ layers, angles: angles.map(floats) })) }),
    ...(timing && { timing }),
    cachedTokens,
  };
}

/** The numbers that bytes of the runtime are. */
function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
}
