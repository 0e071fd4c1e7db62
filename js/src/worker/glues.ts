/**
 * The generated JavaScript of each wasm module. All of it is in the worker's file: it is small, and
 * then needs no import at run time.
 */

import * as grammarGlue from '../../generated/weft-grammar.js';
import * as relaxedThreads from '../../generated/weft-relaxed-threads.js';
import * as relaxed from '../../generated/weft-relaxed.js';
import * as threads from '../../generated/weft-threads.js';
import * as weft from '../../generated/weft.js';
import type { Build, ThreadsBuild } from '../common/builds.js';
import type { Glue, GrammarGlue, ThreadsGlue } from './runtime.js';

export const glues: { readonly [B in Build]: B extends ThreadsBuild ? ThreadsGlue : Glue } = {
  weft,
  'weft-relaxed': relaxed,
  'weft-threads': threads,
  'weft-relaxed-threads': relaxedThreads,
};

export const grammar: GrammarGlue = grammarGlue;
