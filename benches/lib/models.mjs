// The models that can be measured, and which answers count as right.

import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { pathOf, qwenCoder, smollm2 } from '../../scripts/lib/model.mjs';
import { inRoot } from '../../scripts/lib/run.mjs';

const { greedy } = JSON.parse(readFileSync(inRoot('tests/golden/smollm2-135m-q4_1/figures.json'), 'utf8'));
const golden = greedy.at(-1);

/** The short question and the long one, which are the golden ones of SmolLM2 for every model. */
export const shortQuestion = greedy[0].prompt;
export const longQuestion = golden.prompt;

/**
 * `longPromptTokens`: tokens of the long question with the chat template. `opening`: the start of
 * its greedy answer, up to where two tokens are nearly as likely and engines that round differently
 * may differ. `runtimes`: those that can run it.
 */
export const models = {
  smollm2: {
    source: smollm2,
    longPromptTokens: golden.prompt_ids.length,
    // 20 tokens; the closest step is clear by 0.55 in the logit.
    opening: golden.text.split(', and')[0],
    runtimes: ['weft', 'wllama', 'transformers', 'llama.cpp'],
  },
  'qwen2.5-coder': {
    source: qwenCoder,
    longPromptTokens: 256,
    opening: 'The old lighthouse',
    runtimes: ['weft', 'wllama'],
  },
};

/** Bytes of a model's file, which is there. */
export const bytesOf = ({ source }) => statSync(pathOf(source)).size;

/** The file of a model below models/. */
export const fileOf = ({ source }) => basename(pathOf(source));

/** Whether an answer to the long question is right as far as it goes. */
export const isRight = ({ opening }, text) => text.length > 0 && (text.startsWith(opening) || opening.startsWith(text));
