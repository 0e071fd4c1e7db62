/**
 * How models write that they call a function: a row for each way that is in use. A call that does not parse stays text, since
 * what a model says is never dropped.
 */

export interface Called {
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface ToolFormat {
  /** What begins a call. */
  readonly open: string;
  /** What ends it; where there is none, the end of the answer. */
  readonly close: string | null;
  /** The calls in what stands between; null where it is none. */
  parse(body: string): Called[] | null;
}

/** Qwen 3 Coder: `<function=name><parameter=key>value</parameter></function>`. */
const XML_FUNCTION = /^\s*<function=([^>\n]+)>([^]*?)(?:<\/function>)?\s*$/;
const XML_PARAMETER = /<parameter=([^>\n]+)>\n?([^]*?)\n?<\/parameter>/g;
/** GLM 4.5: the name, then pairs of `<arg_key>` and `<arg_value>`. */
const ARG_FUNCTION = /^\s*([\w.-]+)\s*((?:<arg_key>[^]*)?)$/;
const ARG_PARAMETER = /<arg_key>([^]*?)<\/arg_key>\s*<arg_value>([^]*?)<\/arg_value>/g;
/** Mistral Small 3.2: `name[ARGS]{…}`, with or without `[CALL_ID]id` between. */
const ARGS_CALL = /^([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]([^]*)$/;
/** DeepSeek: `function<｜tool▁sep｜>name`, then JSON in a code block; or `name<｜tool▁sep｜>` and JSON. */
const DEEPSEEK_CALL = /<｜tool▁call▁begin｜>([^]*?)<｜tool▁sep｜>([^]*?)<｜tool▁call▁end｜>/g;
const CODE_BLOCK = /^([\w.-]+)\s*```json\s*([^]*?)\s*```\s*$/;
/** gpt-oss: `to=functions.name` in the header of a message, which is the arguments. */
const HARMONY_CALL = /^.*?\bto=functions\.([\w.-]+)[^]*?<\|message\|>([^]*)$/;

export const TOOL_FORMATS: readonly ToolFormat[] = [
  {
    open: '<tool_call>',
    close: '</tool_call>',
    parse: (body) =>
      parseJson(body) ?? parsePairs(body, XML_FUNCTION, XML_PARAMETER) ?? parsePairs(body, ARG_FUNCTION, ARG_PARAMETER),
  },
  { open: '[TOOL_CALLS]', close: null, parse: (body) => parseJson(body) ?? parseMistral(body) },
  { open: '<|tool_call|>', close: '<|/tool_call|>', parse: parseJson },
  { open: '<|python_tag|>', close: null, parse: parseJson },
  { open: '<function=', close: '</function>', parse: parseNamed },
  { open: '<｜tool▁calls▁begin｜>', close: '<｜tool▁calls▁end｜>', parse: parseDeepSeek },
  { open: '<|channel|>commentary to=', close: null, parse: (body) => parseHarmony(`to=${body}`) },
];

/** Special tokens of the formats: the stream must not skip them. */
export const KEPT_TOKENS: readonly string[] = [
  ...['<tool_call>', '</tool_call>', '[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '<|tool_call|>', '<|/tool_call|>'],
  ...['<|python_tag|>', '<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>', '<｜tool▁call▁begin｜>'],
  ...['<｜tool▁call▁end｜>', '<｜tool▁sep｜>', '<|channel|>', '<|message|>', '<|constrain|>'],
  ...['<arg_key>', '</arg_key>', '<arg_value>', '</arg_value>'],
];

/** `{ "name": …, "arguments" | "parameters": … }`, several in an array or after one another. */
export function parseJson(body: string): Called[] | null {
  const values = parseValues(body);
  const calls = values?.flat().map(calledBy);
  return calls?.length && calls.every((call) => call !== null) ? calls : null;
}

function calledBy(value: unknown): Called | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, ...rest } = { ...value, ...(value as { function?: object }).function } as Record<string, unknown>;
  if (typeof name !== 'string') return null;
  const given = rest['arguments'] ?? rest['parameters'] ?? {};
  return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) };
}

/** One JSON value, or objects with a line or a semicolon between. */
function parseValues(body: string): unknown[] | null {
  for (const text of [`[${body.trim()}]`, `[${body.trim().replace(/\}\s*[;\n]\s*\{/g, '},{')}]`]) {
    try {
      return JSON.parse(text) as unknown[];
    } catch {
      // the next way, if there is one
    }
  }
  return null;
}

function parsePairs(body: string, whole: RegExp, pairs: RegExp): Called[] | null {
  const [, name, inner] = whole.exec(body) ?? [];
  if (name === undefined || inner === undefined) return null;
  const given = [...inner.matchAll(pairs)].map(([, key = '', value = '']) => [key.trim(), valueOf(value)]);
  return [{ name: name.trim(), arguments: JSON.stringify(Object.fromEntries(given)) }];
}

/** Numbers, lists and the like are written as JSON, strings as they are. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function parseMistral(body: string): Called[] | null {
  return every(body.split('[TOOL_CALLS]'), (call) => called(ARGS_CALL.exec(call.trim())));
}

function parseNamed(body: string): Called[] | null {
  const end = body.indexOf('>');
  const [name, inner] = [body.slice(0, end), body.slice(end + 1)];
  if (end < 0) return null;
  return isJson(inner)
    ? [{ name, arguments: inner.trim() }]
    : parsePairs(`<function=${body}`, XML_FUNCTION, XML_PARAMETER);
}

function parseDeepSeek(body: string): Called[] | null {
  return every([...body.matchAll(DEEPSEEK_CALL)], ([, kind = '', rest = '']) =>
    kind.trim() === 'function' ? called(CODE_BLOCK.exec(rest.trim())) : called(['', kind.trim(), rest]),
  );
}

function parseHarmony(body: string): Called[] | null {
  const call = called(HARMONY_CALL.exec(body));
  return call && [call];
}

function called(match: readonly (string | undefined)[] | null): Called | null {
  const [, name, json = ''] = match ?? [];
  return name !== undefined && isJson(json) ? { name, arguments: json.trim() } : null;
}

function every<T>(items: readonly T[], parse: (item: T) => Called | null): Called[] | null {
  const calls = items.map(parse);
  return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
