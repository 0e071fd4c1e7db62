/** Shared by chat and text completions: one request, several answers, their usage. */

import type { Finish, Llm, TokenLogprob, TokenLogprobs, Usage } from '../types/index.js';
import type { CompletionUsage, TopLogprob } from '../types/openai.js';

/** Fields of every answer and chunk of a request. */
export interface Header {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

export function header(llm: Llm, kind: string): Header {
  return { id: `${kind}-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model: llm.info.name };
}

/** Total usage of all answers. Their common prompt counts once, as on OpenAI's servers. */
export class UsageSum {
  #first: Usage | undefined;
  #prompt = 0;
  #cached = 0;
  #completion = 0;
  #drafted: number | undefined;
  #accepted = 0;

  /** `newPrompt`: whether this is the first answer to its prompt. */
  add({ usage }: Finish, newPrompt: boolean): void {
    this.#completion += usage.completionTokens;
    if (usage.draftedTokens !== undefined) this.#drafted = (this.#drafted ?? 0) + usage.draftedTokens;
    this.#accepted += usage.acceptedTokens ?? 0;
    if (!newPrompt) return;
    this.#first ??= usage;
    this.#prompt += usage.promptTokens;
    this.#cached += usage.cachedTokens;
  }

  sum(): CompletionUsage {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
      ...(this.#drafted !== undefined && {
        completion_tokens_details: {
          accepted_prediction_tokens: this.#accepted,
          rejected_prediction_tokens: this.#drafted - this.#accepted,
        },
      }),
      timings: {
        time_to_first_token_ms: this.#first?.timeToFirstTokenMs ?? 0,
        prompt_tokens_per_second: this.#first?.promptTokensPerSecond ?? 0,
        tokens_per_second: this.#first?.tokensPerSecond ?? 0,
      },
    };
  }
}

export function toLogprob({ text, bytes, logprob }: TokenLogprob): TopLogprob {
  return { token: text, bytes: [...bytes], logprob };
}

export function toChatLogprob(logprobs: TokenLogprobs): TopLogprob & { top_logprobs: TopLogprob[] } {
  return { ...toLogprob(logprobs), top_logprobs: logprobs.top.map(toLogprob) };
}
