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
  takeSpaced,
  type Reader,
} from './calls.js';
import { gemmaCall } from './gemma.js';
import { readTagged, type Tags } from './tagged.js';

/** How a format writes calls. */
export interface Written {
  /** Before the first call. */
  readonly begin: string;
  /** Before the arguments of a call. `name` is escaped as in a JSON string. */
  open(name: string): string;
  /** Arguments as one JSON object, as `key=value` in Python, or in a pair of tags each. */
  readonly args: 'json' | 'python' | Tags;
  /** After the arguments of a call. */
  readonly close: string;
  /** Between two calls; null if there can be only one. */
  readonly between: string | null;
  /** After the last call. */
  readonly end: string;
  /** The format's way to write a call in JSON, for schemas that tags or Python cannot guarantee. */
  readonly json?: Pick<Written, 'begin' | 'open' | 'args' | 'close' | 'end'>;
  /** Optional text before everything. */
  readonly lead?: string;
}

export interface Form {
  /**
   * A template that contains all of these uses the format. Null if no template shows the format.
   */
  readonly has: readonly string[] | null;
  /** Marks that can start calls. Empty for calls without a mark, at the start of an answer. */
  readonly marks: readonly string[];
  /** Reads calls after one of the marks. */
  readonly read: Reader;
  /** Null if no template uses the format. */
  readonly written: Written | null;
  /** Special tokens of the format besides its marks. */
  readonly tokens: readonly string[];
  /** Prefixes of an answer without calls. */
  readonly prose?: readonly string[];
}

/** A format that no template shows, which is only read. */
const readOnly = (mark: string, read: Reader, ...tokens: readonly string[]): Form => {
  return { has: null, marks: [mark], read, written: null, tokens };
};

/** A format with a list of JSON objects. */
function listForm(
  has: readonly string[],
  [open, close]: readonly [string, string],
  more: { name?: string; args?: string; lead?: string } = {},
): Form {
  const { name: nameKey = 'name', args = 'arguments', lead = '' } = more;
  return {
    has,
    marks: [open],
    read: jsonCalls(close ? [close] : [], { open }),
    written: {
      begin: `${open}[`,
      open: (name) => `{${lead}"${nameKey}": "${name}", "${args}": `,
      args: 'json',
      close: '}',
      between: ', ',
      end: `]${close}`,
    },
    tokens: [close],
  };
}

/** A format with tags. `each`: whether every call has a section of its own. */
function tagForm(has: readonly string[] | null, tags: Tags, each = false): Form {
  const { section, name, end } = tags;
  const [open, close] = section ?? ['', ''];
  const line = (text: string) => (text === '' ? '' : `${text}\n`);
  // GLM has the bare name where others have a tag
  const first = name[0] === '' ? open : line(open);
  const readJson = jsonCalls([close], { open });
  return {
    has,
    marks: [section ? open : name[0]],
    *read(cursor, known, sink) {
      if (!section) cursor.back(cursor.position - name[0].length);
      yield* cursor.space();
      if (section && (yield* cursor.peek()) === '{') return yield* readJson(cursor, known, sink);
      for (;;) {
        yield* cursor.space();
        if (!(yield* readTagged(cursor, tags, known, sink))) return false;
        if (!section) {
          yield* takeSpaced(cursor, tags.stray ?? '');
          return true;
        }
        yield* cursor.space();
        if ((yield* cursor.take(close)) || (yield* cursor.peek()) === '') return true;
        if (end === '') return false;
      }
    },
    written: {
      begin: each ? '' : first,
      open: (called) => `${each ? first : ''}${name[0]}${called}${name[1]}\n`,
      args: tags,
      close: each ? `${line(end)}${close}` : end,
      between: '\n',
      end: each ? '' : `\n${close}`,
      json: {
        begin: each ? '' : first,
        open: (called) => `${each ? line(open) : ''}{"name": "${called}", "arguments": `,
        args: 'json',
        close: each ? `}\n${close}` : '}',
        end: each ? '' : `\n${close}`,
      },
    },
    tokens: [...(section ?? []), ...tags.key, ...tags.value],
  };
}

/** A format with Python calls between marks. */
function pythonForm(has: string, begin: string, between: string, end: string): Form {
  const [mark = '', close = ''] = [begin, end].map((text) => text.replace(/[\s[\]]/g, ''));
  return {
    has: [has],
    marks: [mark],
    read: pythonCalls([close]),
    written: {
      begin,
      open: (name) => `${name}(`,
      args: 'python',
      close: ')',
      between,
      end,
      json: { begin, open: (name) => `{"name": "${name}", "arguments": `, args: 'json', close: '}', end },
    },
    tokens: [close],
  };
}

/** Gemma's marks around strings are read; the grammar writes JSON, which is read too. */
function gemmaForm(open: string, quote: string, close: string): Form {
  return {
    has: [open, quote],
    marks: [open],
    read: gemmaCall(quote, close),
    written: {
      begin: '',
      open: (name) => `${open}call:${name}`,
      args: 'json',
      close,
      between: '',
      end: '',
    },
    tokens: [quote, close],
  };
}

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

const DEEPSEEK = {
  section: ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'],
  call: ['<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>'],
  separator: '<｜tool▁sep｜>',
  // spellings by distilled models
  spelled: ['<｜tool_calls_begin｜>', '<｜tool calls begin｜>', '<｜tool\\_calls\\_begin｜>', '<｜tool▁calls｜>'],
} as const;

/** DeepSeek: V3 and R1 put the arguments in a code block, V3.1 does not. */
function deepseekForm(has: readonly string[], head: RegExp, headEnd: string, block: readonly [string, string]): Form {
  const { section, call, separator, spelled } = DEEPSEEK;
  const [before, behind] = block;
  return {
    has,
    marks: [section[0], call[0], ...spelled],
    read: namedCalls({
      lead: call[0],
      head,
      headEnd,
      tail: behind ? ['```', call[1]] : [call[1]],
      close: [section[1]],
    }),
    written: {
      begin: section[0],
      open: (name) => `${call[0]}${before ? `function${separator}${name}${before}` : `${name}${separator}`}`,
      args: 'json',
      close: `${behind}${call[1]}`,
      between: before ? '\n' : '',
      end: section[1],
    },
    tokens: [section[1], call[1], separator],
  };
}

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
