// What every runtime is asked, and when its answer counts as right.

import { readFileSync } from 'node:fs';
import { inRoot } from '../../scripts/lib/run.mjs';

const { greedy } = JSON.parse(readFileSync(inRoot('tests/golden/smollm2-135m-q4_1/figures.json'), 'utf8'));
const golden = greedy.at(-1);

/** A slow answer is stopped this long after its first token; its speed is that of the tokens which came. */
const maxSeconds = 20;

export const questions = {
  /** 37 tokens with the chat template. */
  short: { question: greedy[0].prompt, maxTokens: 64, maxSeconds },
  /** As short, but its answer goes on for more than 64 tokens: not every runtime can be told to ignore the end. */
  story: { question: 'Tell me a long story about a lighthouse.', maxTokens: 64, maxSeconds },
  /** 259 tokens with the chat template. */
  long: { question: golden.prompt, maxTokens: 64, maxSeconds },
};

export const longPromptTokens = golden.prompt_ids.length;

/**
 * The golden answer to the long question up to its first ", and": 20 tokens, at each of which the best was clearly ahead of
 * the next (by 0.55 in the logit at least), so that no engine may choose otherwise because it rounds otherwise.
 */
const opening = golden.text.split(', and')[0];

/** Whether an answer to the long question is right as far as it goes. */
export const isRight = (text) => text.length > 0 && (text.startsWith(opening) || opening.startsWith(text));
