/** What a format of tool calls is, and makers of formats that are alike. */

import { jsonCalls, namedCalls, pythonCalls, takeSpaced, type Reader } from './calls.js';
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
export const readOnly = (mark: string, read: Reader, ...tokens: readonly string[]): Form => {
  return { has: null, marks: [mark], read, written: null, tokens };
};

/** A format with a list of JSON objects. */
export function listForm(
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
export function tagForm(has: readonly string[] | null, tags: Tags, each = false): Form {
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
export function pythonForm(has: string, begin: string, between: string, end: string): Form {
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
export function gemmaForm(open: string, quote: string, close: string): Form {
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

const DEEPSEEK = {
  section: ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'],
  call: ['<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>'],
  separator: '<｜tool▁sep｜>',
  // spellings by distilled models
  spelled: ['<｜tool_calls_begin｜>', '<｜tool calls begin｜>', '<｜tool\\_calls\\_begin｜>', '<｜tool▁calls｜>'],
} as const;

/** DeepSeek: V3 and R1 put the arguments in a code block, V3.1 does not. */
export function deepseekForm(
  has: readonly string[],
  head: RegExp,
  headEnd: string,
  block: readonly [string, string],
): Form {
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
