// What every runtime is asked.

import { longQuestion, shortQuestion } from './models.mjs';

/**
 * A slow answer is stopped this long after its first token. Its speed is that of the tokens so far.
 */
const maxSeconds = 20;

export const questions = {
  /** 37 tokens with the chat template of SmolLM2. */
  short: { question: shortQuestion, maxTokens: 64, maxSeconds },
  /**
   * As short, but the answer has more than 64 tokens: not every runtime can be told to ignore the
   * end.
   */
  story: { question: 'Tell me a long story about a lighthouse.', maxTokens: 64, maxSeconds },
  /** 259 tokens with the chat template of SmolLM2. */
  long: { question: longQuestion, maxTokens: 64, maxSeconds },
};
