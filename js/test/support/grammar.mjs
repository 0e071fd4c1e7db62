// The built module for constraints, with a vocabulary of bytes and the special tokens of calls.

import { readFile } from 'node:fs/promises';
import { KEPT_TOKENS } from '../../dist/tools/forms.js';

/** One token per byte, the end token, then the special tokens, which no text contains. */
export const END = 255;
const bytesOf = (text) => [...new TextEncoder().encode(text)];
const idOf = (name) => END + 1 + KEPT_TOKENS.indexOf(name);
const VOCABULARY = END + 1 + KEPT_TOKENS.length;

export async function startGrammars() {
  const { default: start, Grammars } = await import('../../generated/weft-grammar.js');
  const wasm = new URL('../../generated/weft-grammar_bg.wasm', import.meta.url);
  await start({ module_or_path: await readFile(wasm) });
  const tokens = [...Array(255).keys()].map((byte) => [byte]);
  tokens.push(...['<end>', ...KEPT_TOKENS].map((name) => [0xff, ...bytesOf(name)]));
  let end = 0;
  const ends = Uint32Array.from(tokens, ({ length }) => (end += length));
  return new Grammars(Uint8Array.from(tokens.flat()), ends, END);
}

/** A model with these special tokens. */
export const modelWith = (special) => ({
  special_id: (name) => (special.includes(name) ? idOf(name) : undefined),
});

/** The ids of `text`, including special tokens. */
function idsOf(text, special) {
  const name = special.find((name) => text.includes(name));
  if (!name) return bytesOf(text);
  const [first, ...rest] = text.split(name);
  return [...idsOf(first, special), ...rest.flatMap((part) => [idOf(name), ...idsOf(part, special)])];
}

const has = (mask, id) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;

/** How many tokens of `text` a constraint allows, and whether the answer can end there. */
export function follow(grammars, constraint, text, special) {
  const constrained = grammars.constrain(constraint);
  try {
    let taken = 0;
    for (const id of idsOf(text, special)) {
      if (constrained.must_end() || !has(constrained.mask(), id)) return { taken, whole: false };
      constrained.accept(id);
      taken += 1;
    }
    return { taken, whole: constrained.may_end() };
  } finally {
    constrained.free();
  }
}

/**
 * Samples an answer that a constraint allows; null if it does not end within `most` tokens. `next`
 * draws random numbers. `wanted`: texts to write where possible. `closers`: texts that end
 * something open.
 */
export function draw(grammars, constraint, next, wanted, closers, most = 600) {
  const constrained = grammars.constrain(constraint);
  const text = [];
  let plan = [];
  try {
    for (let i = 0; i < most; i += 1) {
      const mask = constrained.mask();
      const allowed = [...Array(VOCABULARY).keys()].filter((id) => id !== END && has(mask, id));
      const hurry = i > most / 4;
      if (constrained.must_end() || allowed.length === 0 || (constrained.may_end() && (hurry || next() < 0.2))) break;
      const planned = hurry ? closers : wanted;
      if (plan.length === 0 && next() < (hurry ? 0.4 : 0.1))
        plan = bytesOf(planned[Math.floor(next() * planned.length)]);
      let id = plan.shift();
      if (id === undefined || !allowed.includes(id)) {
        plan = [];
        id = pick(allowed, next, hurry);
      }
      constrained.accept(id);
      text.push(...(id > END ? bytesOf(KEPT_TOKENS[id - END - 1]) : [id]));
    }
    const whole = new TextDecoder('utf-8', { fatal: false }).decode(Uint8Array.from(text));
    return constrained.may_end() ? whole : null;
  } finally {
    constrained.free();
  }
}

/** Prefers tokens that end something, and more so in a hurry. */
function pick(allowed, next, hurry) {
  const ends = allowed.filter((id) => id > END || '"}])<\n,'.includes(String.fromCharCode(id)));
  const plain = allowed.filter((id) => id >= 0x20 && id < 0x7f);
  const from = ends.length > 0 && next() < (hurry ? 0.9 : 0.2) ? ends : plain.length > 0 ? plain : allowed;
  return from[Math.floor(next() * from.length)];
}

/** A reproducible generator of numbers in [0, 1). */
export function random(seed) {
  return () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}
