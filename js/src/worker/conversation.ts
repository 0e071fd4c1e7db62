/**
 * Prepares a conversation for generation: its token ids by the model's template, and what is known
 * of the answer.
 */

import { thoughtFormat, thoughtTokens, type ThoughtFormat } from '../answers/thought-formats.js';
import { Thoughts } from '../answers/thoughts.js';
import { picturesOf } from '../common/pictures.js';
import type { Conversation, PictureSource, PlainMessage } from '../common/protocol.js';
import { KEPT_TOKENS, MARKS } from '../tools/forms.js';
import { withPlainTools } from '../tools/generic.js';
import { answerConstraint } from '../tools/grammar.js';
import { withIds } from '../tools/ids.js';
import { callRules } from '../tools/options.js';
import { CallWatch, knownTools } from '../tools/reader.js';
import { templateMessage } from './pictures.js';
import type { RuntimeLlm } from './runtime.js';

export interface Prepared {
  readonly ids: Uint32Array;
  /** What belongs in the places of its image tokens, in order. */
  readonly pictures: readonly PictureSource[];
  /** Separates reasoning from the answer; undefined if the model does not think. */
  readonly thoughts: Thoughts | undefined;
  /** Constraint on the whole answer including calls, as JSON; null if there is none. */
  readonly constraint: string | null;
  /** Detects when the answer has all its calls; undefined without tools. */
  readonly calls: CallWatch | undefined;
  /** Special tokens to keep in the text. */
  readonly keepSpecial: readonly string[];
}

/** `constraint`: on the answer without calls, as JSON. Errors: `CHAT_TEMPLATE`, `TOKENIZE`. */
export function prepare(llm: RuntimeLlm, conversation: Conversation, constraint: string | null = null): Prepared {
  const template = llm.chat_template(conversation.template, (conversation.tools?.length ?? 0) > 0) ?? '';
  const format = thoughtFormat(template);
  const { tools, toolChoice = 'auto', parallelToolCalls: parallel = true } = conversation;
  const rules = callRules(toolChoice, parallel, constraint !== null);
  const answer = answerConstraint(llm, template, { tools, choice: toolChoice, parallel, constraint });
  return {
    ...promptIds(llm, conversation, template, format, answer),
    pictures: conversation.pictures ?? picturesOf(conversation.messages),
    constraint: answer,
    calls: tools ? new CallWatch(knownTools(tools), rules) : undefined,
    keepSpecial: [...(format ? thoughtTokens(format) : []), ...(tools ? KEPT_TOKENS : [])],
  };
}

function promptIds(
  llm: RuntimeLlm,
  {
    messages,
    tools,
    variables,
    reasoning = 'auto',
    toolChoice: _,
    parallelToolCalls: __,
    ids: known,
    pictures: ___,
    ...rest
  }: Conversation,
  template: string,
  format: ThoughtFormat | undefined,
  constraint: string | null,
): Pick<Prepared, 'ids' | 'thoughts'> {
  const knowsTools = /\btools\b/.test(template);
  const asked = reasoning === 'step-by-step' && !format ? stepByStep(messages) : messages;
  const described =
    tools?.map(({ function: { strict: _, ...tool } }) => ({ type: 'function' as const, function: tool })) ?? null;
  const ids = known
    ? Uint32Array.from(known)
    : llm.chat_prompt(
        JSON.stringify({
          ...rest,
          messages: (knowsTools ? withIds(asked, template) : withPlainTools(asked, described, template)).map(
            templateMessage,
          ),
          tools: knowsTools ? described : null,
          variables: { ...VARIABLES[reasoning], ...variables },
        }),
      );
  if (!format) return { ids, thoughts: undefined };
  const begun = llm.detokenize(ids.slice(-LONGEST_OPEN)).trimEnd().endsWith(format.open);
  const options = { calls: tools ? MARKS : [], unopened: constraint === null };
  if (reasoning !== 'off') {
    const [opening = null, ...more] = llm.tokenize(format.open, false, true);
    return { ids, thoughts: new Thoughts(format, begun, { ...options, opening: more.length === 0 ? opening : null }) };
  }
  // If the template cannot switch reasoning off, close it before it starts.
  const over = begun ? llm.tokenize(`\n${format.close}\n\n`, false, true) : [];
  return { ids: Uint32Array.from([...ids, ...over]), thoughts: new Thoughts(format, false, options) };
}

/** Maximum tokens of a mark that starts reasoning, with the space after it. */
const LONGEST_OPEN = 8;

/** Names of the variables that switch reasoning on and off in templates. */
const VARIABLES: Record<NonNullable<Conversation['reasoning']>, Readonly<Record<string, unknown>>> = {
  auto: {},
  off: { enable_thinking: false, thinking: false, reasoning_effort: 'low' },
  'step-by-step': { enable_thinking: true, thinking: true },
};

/** Asks a model that was not trained to think to write down its steps. */
function stepByStep(messages: readonly PlainMessage[]): PlainMessage[] {
  const last = messages.findLastIndex(({ role }) => role === 'user');
  return messages.map((message, index) => (index === last ? withText(message, STEPS) : message));
}

const STEPS = '\n\nThink step by step, then give the answer.';

function withText({ parts, ...message }: PlainMessage, text: string): PlainMessage {
  return { ...message, content: `${message.content ?? ''}${text}`, ...(parts && { parts: [...parts, text] }) };
}
