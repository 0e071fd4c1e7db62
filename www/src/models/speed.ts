/**
 * How fast models answer here. A token takes every weight through the processor once, so the speed
 * of one model tells roughly that of others.
 */

import type { Estimate, ModelInfo, Usage } from 'weft-llm';
import { t } from '../text/text.js';

interface Measured {
  name: string;
  tokensPerSecond: number;
  /** Of weights and activations. */
  bytes: number;
}

const STORE = 'weft-speed';

/** Shorter answers measure the clock. */
const ENOUGH_TOKENS = 16;

/** Mixtures of experts use a part of their weights for a token: they tell nothing of others. */
const MIXTURE = /moe|grok/;

export function noteSpeed({ name, architecture, engine }: ModelInfo, usage: Usage): void {
  const { completionTokens, tokensPerSecond } = usage;
  if (completionTokens < ENOUGH_TOKENS || !(tokensPerSecond > 0) || MIXTURE.test(architecture)) return;
  try {
    localStorage.setItem(
      STORE,
      JSON.stringify({ name, tokensPerSecond, bytes: engine.memoryBytes } satisfies Measured),
    );
  } catch {
    // Storage is full or forbidden: nothing is expected then.
  }
}

function measured(): Measured | null {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? 'null') as Measured | null;
  } catch {
    return null;
  }
}

/**
 * Expected speed of a model of which a token uses so many bytes, in words. `gpuTime`: what its
 * estimate says.
 */
export function expectedSpeed(bytes: number, gpuTime: Estimate['gpuTime'] = null): string {
  const known = measured();
  if (!known) return gpuTime ? published(gpuTime) : t('speed-unknown');
  const speed = (known.tokensPerSecond * known.bytes) / bytes;
  return t('speed-expected', { speed: rounded(speed), name: known.name, measured: rounded(known.tokensPerSecond) });
}

function published({ family, tokenSeconds: { least, most } }: NonNullable<Estimate['gpuTime']>): string {
  return t('speed-published', { least: rounded(1 / most), most: rounded(1 / least), family });
}

/** To one digit: an expectation has no more. */
const rounded = (figure: number) => Number(figure.toPrecision(figure < 100 ? 1 : 2));
