/** The ways in which models mark what they think before they answer: a row for each. */

export interface ThoughtFormat {
  /** A template that contains all of these has the format. */
  readonly has: readonly string[];
  /** Begins thoughts, at the start of an answer or at the end of a prompt. */
  readonly open: string;
  /** Ends them. */
  readonly close: string;
  /** May stand before the answer and is no part of it. */
  readonly skip: readonly string[];
  /** Begins a call, although it begins as what is skipped. */
  readonly call?: string;
  /** Whether `close` also ends a part of the answer, behind which thoughts may begin again. */
  readonly parts?: true;
  /** Heads of messages, where they have more than `open` and `skip` say. */
  readonly head?: Head;
  /** Ends an answer that begins with what is skipped, and is no part of it. */
  readonly last?: string;
}

interface Head {
  readonly begin: string;
  readonly end: string;
  /** What a head says that is no call; its first group is the channel. */
  readonly pattern: RegExp;
  /** The channel of thoughts. */
  readonly thoughts: string;
  /** Within the head of a call. */
  readonly call: string;
}

const FORMATS: readonly ThoughtFormat[] = [
  // Granite 3.3, ERNIE 4.5
  { has: ['</think>', '<response>'], open: '<think>', close: '</think>', skip: ['<response>'], last: '</response>' },
  // Hunyuan
  { has: ['</think>', '<answer>'], open: '<think>', close: '</think>', skip: ['<answer>'], last: '</answer>' },
  // Qwen 3, SmolLM 3, DeepSeek R1 and its distillations, GLM 4.5, Kimi K2, MiniMax M2, OLMo 3
  { has: ['</think>'], open: '<think>', close: '</think>', skip: [] },
  // Magistral
  { has: ['[THINK]', '[/THINK]'], open: '[THINK]', close: '[/THINK]', skip: [] },
  // Seed-OSS
  { has: ['</seed:think>'], open: '<seed:think>', close: '</seed:think>', skip: [] },
  // EXAONE Deep
  { has: ['<thought>', '</thought>'], open: '<thought>', close: '</thought>', skip: [] },
  // Command A Reasoning
  {
    has: ['<|START_THINKING|>', '<|END_THINKING|>'],
    open: '<|START_THINKING|>',
    close: '<|END_THINKING|>',
    skip: ['<|START_RESPONSE|>'],
  },
  // Gemma 4
  { has: ['<|channel>', '<channel|>'], open: '<|channel>thought', close: '<channel|>', skip: [] },
  // Apertus
  { has: ['<|inner_prefix|>', '<|inner_suffix|>'], open: '<|inner_prefix|>', close: '<|inner_suffix|>', skip: [] },
  // gpt-oss: thoughts are messages on a channel of their own
  {
    has: ['<|channel|>', '<|end|>'],
    open: '<|channel|>analysis<|message|>',
    close: '<|end|>',
    skip: ['<|start|>assistant', '<|channel|>final<|message|>', '<|channel|>commentary<|message|>'],
    call: '<|start|>assistant to=',
    parts: true,
    head: {
      begin: '<|channel|>',
      end: '<|message|>',
      pattern: /^<\|channel\|>(\w+) ?(?:(?:<\|constrain\|>)? ?\w+ ?)?<\|message\|>/,
      thoughts: 'analysis',
      call: ' to=',
    },
  },
];

/** How a model thinks, by its template; undefined if it does not. */
export function thoughtFormat(template: string): ThoughtFormat | undefined {
  return FORMATS.find(({ has }) => has.every((mark) => template.includes(mark)));
}

/** Special tokens of the format, which the text of an answer must keep. */
export function thoughtTokens({ open, close, skip }: ThoughtFormat): string[] {
  return [...new Set([open, close, ...skip].flatMap((text) => text.match(MARK) ?? []))];
}

const MARK = /<[^<>]+>|\[[^[\]]+\]/g;
