/** The formats in which models mark their reasoning, one row each. */

export interface ThoughtFormat {
  /** A template that contains all of these uses the format. */
  readonly has: readonly string[];
  /** Starts reasoning, at the start of an answer or the end of a prompt. */
  readonly open: string;
  /** Ends reasoning. */
  readonly close: string;
  /** May come before the answer and is not part of it. */
  readonly skip: readonly string[];
  /** Starts a call, although it starts like a skipped text. */
  readonly call?: string;
  /** Whether `close` also ends a part of the answer, after which reasoning may start again. */
  readonly parts?: true;
  /** Heads of messages that `open` and `skip` cannot describe. */
  readonly head?: Head;
  /** Ends an answer that starts with a skipped text, and is not part of it. */
  readonly last?: string;
}

interface Head {
  readonly begin: string;
  readonly end: string;
  /** Matches a head that is not a call; its first group is the channel. */
  readonly pattern: RegExp;
  /** The channel for reasoning. */
  readonly thoughts: string;
  /** Appears in the head of a call. */
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
  // gpt-oss: reasoning is in messages on a channel of its own
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

/** The reasoning format of a template; undefined if the model does not think. */
export function thoughtFormat(template: string): ThoughtFormat | undefined {
  return FORMATS.find(({ has }) => has.every((mark) => template.includes(mark)));
}

/** Special tokens of the format, which the text of an answer must keep. */
export function thoughtTokens({ open, close, skip }: ThoughtFormat): string[] {
  return [...new Set([open, close, ...skip].flatMap((text) => text.match(MARK) ?? []))];
}

const MARK = /<[^<>]+>|\[[^[\]]+\]/g;
