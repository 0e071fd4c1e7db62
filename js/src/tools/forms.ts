/**
 * The formats in which models write tool calls, one row each. A row tells which chat templates use
 * the format, how a call is written (for the grammar of an answer that must be a call), and how it
 * is read.
 */

import {
  jsonCalls,
  knownCalls,
  namedCalls,
  pythonCalls,
  readBare,
  readJsonFunction,
  readKeyedCall,
  readNameAndJson,
  readNamedFunction,
  readPythonTag,
} from './calls.js';
import { deepseekForm, gemmaForm, listForm, pythonForm, readOnly, tagForm, type Form, type Written } from './form.js';
import type { Tags } from './tagged.js';

const XML: Omit<Tags, 'section' | 'padding'> = {
  name: ['<function=', '>'],
  key: ['<parameter=', '>'],
  value: ['', '</parameter>'],
  end: '</function>',
};

const INVOKE: Omit<Tags, 'section'> = {
  name: ['<invoke name="', '">'],
  key: ['<parameter name="', '">'],
  value: ['', '</parameter>'],
  end: '</invoke>',
  padding: '',
};

const DSML: Tags = {
  name: ['<｜DSML｜invoke name="', '">'],
  key: ['<｜DSML｜parameter name="', '" string="true">'],
  value: ['', '</｜DSML｜parameter>'],
  end: '</｜DSML｜invoke>',
  section: ['<｜DSML｜function_calls>', '</｜DSML｜function_calls>'],
  padding: '',
};

/** Reads a call after `to=`. */
const readHarmony = namedCalls({
  lead: '',
  head: /^\s*(?:functions\.)?([^\s<>]+)[^]*<\|message\|>$/,
  headEnd: '<|message|>',
  tail: ['<|call|>'],
  close: [],
});

const HARMONY = [
  ...['<|channel|>commentary to=', '<|channel|>analysis to=', '<|start|>assistant to='],
  ...['<|start|>assistant<|channel|>commentary to=', '<|start|>assistant<|channel|>analysis to='],
];

/** A template uses the first of these formats that it contains. */
export const FORMS: readonly Form[] = [
  deepseekForm(['<｜tool▁sep｜>', '```json'], /^\s*function<｜tool▁sep｜>\s*(\S+)\s*```json$/, '```json', [
    '\n```json\n',
    '\n```',
  ]),
  deepseekForm(['<｜tool▁sep｜>'], /^\s*(\S+?)\s*<｜tool▁sep｜>$/, '<｜tool▁sep｜>', ['', '']),
  // DeepSeek V3.2
  tagForm(['<｜DSML｜'], DSML),
  // gpt-oss: a message to the function on another channel. A call ends the turn.
  {
    has: ['<|channel|>', '<|message|>'],
    marks: HARMONY,
    read: readHarmony,
    written: {
      begin: '<|channel|>commentary',
      open: (name) => ` to=functions.${name} <|constrain|>json<|message|>`,
      args: 'json',
      close: '',
      between: null,
      end: '',
      lead: '<|start|>assistant',
    },
    prose: ['<|channel|>final<|message|>', '<|start|>assistant<|channel|>final<|message|>'],
    tokens: ['<|start|>', '<|channel|>', '<|message|>', '<|constrain|>', '<|call|>'],
  },
  // gpt-oss, when the prompt starts the message
  {
    has: null,
    marks: [],
    *read(cursor, known, sink) {
      yield* cursor.space();
      return (yield* cursor.take('to=')) && (yield* readHarmony(cursor, known, sink));
    },
    written: null,
    tokens: [],
  },
  // Kimi K2, with numbered calls
  {
    has: ['<|tool_calls_section_begin|>'],
    marks: ['<|tool_calls_section_begin|>'],
    read: namedCalls({
      lead: '<|tool_call_begin|>',
      head: /^\s*(?:functions\.)?(\S+?)(?::\d+)?\s*<\|tool_call_argument_begin\|>$/,
      headEnd: '<|tool_call_argument_begin|>',
      tail: ['<|tool_call_end|>'],
      close: ['<|tool_calls_section_end|>'],
    }),
    written: {
      begin: '<|tool_calls_section_begin|>',
      open: (name) => `<|tool_call_begin|>functions.${name}:0<|tool_call_argument_begin|>`,
      args: 'json',
      close: '<|tool_call_end|>',
      between: '',
      end: '<|tool_calls_section_end|>',
    },
    tokens: ['<|tool_call_begin|>', '<|tool_call_argument_begin|>', '<|tool_call_end|>', '<|tool_calls_section_end|>'],
  },
  // Mistral Small 3.2 and later
  {
    has: ['[TOOL_CALLS]', '[ARGS]'],
    marks: ['[TOOL_CALLS]'],
    read: namedCalls({
      lead: '',
      head: /^\s*([^\s[\]]+)\s*(?:\[CALL_ID\]\s*[^\s[\]]+\s*)?\[ARGS\]$/,
      headEnd: '[ARGS]',
      tail: [],
      close: [],
    }),
    written: {
      begin: '',
      open: (name) => `[TOOL_CALLS]${name}[ARGS]`,
      args: 'json',
      close: '',
      between: '',
      end: '',
    },
    tokens: ['[CALL_ID]', '[ARGS]'],
  },
  listForm(['[TOOL_CALLS]'], ['[TOOL_CALLS]', '']),
  // Devstral and others, which leave out [ARGS]
  readOnly('[TOOL_CALLS]', readNameAndJson),
  // Phi 4 mini; Granite 3, whose calls have no end mark
  listForm(['<|tool_call|>', '<|/tool_call|>'], ['<|tool_call|>', '<|/tool_call|>']),
  listForm(['<|tool_call|>'], ['<|tool_call|>', '']),
  // FunctionGemma, Gemma 4
  gemmaForm('<start_function_call>', '<escape>', '<end_function_call>'),
  gemmaForm('<|tool_call>', '<|"|>', '<tool_call|>'),
  // LFM2
  pythonForm('<|tool_call_start|>', '<|tool_call_start|>[', ', ', ']<|tool_call_end|>'),
  // Command R7B and A
  listForm(['<|START_ACTION|>'], ['<|START_ACTION|>', '<|END_ACTION|>'], {
    name: 'tool_name',
    args: 'parameters',
    lead: '"tool_call_id": "0", ',
  }),
  // Nemotron Nano 2
  listForm(['<TOOLCALL>'], ['<TOOLCALL>', '</TOOLCALL>']),
  // Jamba, Hunyuan
  listForm(['<tool_calls>'], ['<tool_calls>', '</tool_calls>']),
  // Firefunction
  {
    ...listForm(['functools['], ['functools', '']),
    marks: ['functools['],
    *read(cursor, known, sink) {
      cursor.back(cursor.position - 1);
      return yield* jsonCalls([])(cursor, known, sink);
    },
  },
  // InternLM
  {
    ...listForm(['<|action_start|>'], ['<|action_start|><|plugin|>', '<|action_end|>'], { args: 'parameters' }),
    tokens: ['<|action_start|>', '<|plugin|>', '<|action_end|>'],
  },
  // Apertus
  {
    has: ['<|tools_prefix|>'],
    marks: ['<|tools_prefix|>'],
    read: jsonCalls(['<|tools_suffix|>'], { read: readKeyedCall }),
    written: {
      begin: '<|tools_prefix|>[',
      open: (name) => `{"${name}": `,
      args: 'json',
      close: '}',
      between: ', ',
      end: ']<|tools_suffix|>',
    },
    tokens: ['<|tools_suffix|>'],
  },
  // MiniMax M2
  tagForm(['<minimax:tool_call>', '<invoke name='], {
    ...INVOKE,
    section: ['<minimax:tool_call>', '</minimax:tool_call>'],
  }),
  // Seed-OSS
  tagForm(['<seed:tool_call>'], { ...XML, section: ['<seed:tool_call>', '</seed:tool_call>'], padding: '' }, true),
  tagForm(['<function_calls>', '<invoke name='], { ...INVOKE, section: ['<function_calls>', '</function_calls>'] }),
  // OLMo 3
  pythonForm('<function_calls>', '<function_calls>\n', '\n', '\n</function_calls>'),
  // Qwen 3 Coder
  tagForm(['<tool_call>', '<function='], { ...XML, section: ['<tool_call>', '</tool_call>'], padding: '\n' }, true),
  // GLM 4.5
  tagForm(
    ['<arg_key>', '<tool_call>'],
    {
      name: ['', ''],
      key: ['<arg_key>', '</arg_key>'],
      value: ['<arg_value>', '</arg_value>'],
      end: '',
      section: ['<tool_call>', '</tool_call>'],
      padding: '',
    },
    true,
  ),
  // Hermes, Qwen, SmolLM 3, Granite 4; and models whose template has no format, which are told this
  // one
  {
    has: ['<tool_call>'],
    marks: ['<tool_call>'],
    read: jsonCalls(['</tool_call>'], { open: '<tool_call>' }),
    written: {
      begin: '',
      open: (name) => `<tool_call>\n{"name": "${name}", "arguments": `,
      args: 'json',
      close: '}\n</tool_call>',
      between: '\n',
      end: '',
    },
    tokens: ['</tool_call>'],
  },
  // Llama 3.1, by name
  {
    has: ['<function='],
    marks: ['<function='],
    read: readJsonFunction,
    written: {
      begin: '',
      open: (name) => `<function=${name}>`,
      args: 'json',
      close: '</function>',
      between: '\n',
      end: '',
    },
    tokens: [],
  },
  // Qwen 3 Coder, when it leaves out the outer tag
  tagForm(null, { ...XML, section: null, padding: '\n', stray: '</tool_call>' }),
  readOnly('<|python_tag|>', readPythonTag),
  // Llama 4
  readOnly('<|python_start|>', pythonCalls(['<|python_end|>']), '<|python_end|>'),
  // Qwen 2.5 Coder, which often uses other tags than its template
  readOnly('<function_call>', jsonCalls(['</function_call>'], { open: '<function_call>' })),
  readOnly('<tools>', jsonCalls(['</tools>'])),
  // a common variation of the tag that models were told
  readOnly('<function name="', readNamedFunction),
  ...['tool', 'json', 'JSON'].map((tag) => readOnly(`<${tag}>`, knownCalls([`</${tag}>`]))),
  // Llama 3, whose template shows the format; Llama 4
  {
    has: ['{"name": ', '"parameters": '],
    marks: [],
    read: readBare,
    written: {
      begin: '',
      open: (name) => `{"name": "${name}", "parameters": `,
      args: 'json',
      close: '}',
      between: '; ',
      end: '',
    },
    tokens: [],
  },
];

/** The format that models without one in their template are told. */
const TOLD = FORMS.find(({ has }) => has?.join() === '<tool_call>') as Form;

/** The format of a model with this template. */
export function formOf(template: string): Form & { readonly written: Written } {
  const found = FORMS.find(({ has, written }) => written && has?.every((text) => template.includes(text)));
  return (found ?? TOLD) as Form & { readonly written: Written };
}

/** The marks of all formats. */
export const MARKS: readonly string[] = [...new Set(FORMS.flatMap(({ marks }) => marks))];

const SPECIAL = /<[^<>\s]+>|\[[A-Z_]+\]/g;

/** Special tokens of all formats, which the text of an answer must keep. */
export const KEPT_TOKENS: readonly string[] = [
  ...new Set(FORMS.flatMap(({ marks, tokens }) => [...marks, ...tokens].flatMap((text) => text.match(SPECIAL) ?? []))),
];
