/**
 * Converts a regular expression of JavaScript to the syntax of Rust's `regex`, in which the module
 * for constraints matches whole answers.
 */

/** ASCII in JavaScript, all of Unicode in Rust. */
const CLASSES: Readonly<Record<string, string>> = { d: '0-9', w: '0-9A-Za-z_' };
/** Escapes that are unknown in Rust or mean something else. */
const CONTROLS: Readonly<Record<string, string>> = { '0': '\\x00', '<': '<', '>': '>', '/': '/' };
const QUANTIFIER = /^\{\d+(?:,\d*)?\}/;
/** The characters that a dot matches. */
const LINE = '[^\\n\\r\\x{2028}\\x{2029}]';

export function rustRegex({ source, flags }: RegExp): string {
  const inner = source.replace(/^\^/, '').replace(/(?<!\\)((?:\\\\)*)\$$/, '$1');
  const kept = ['i', 's'].filter((flag) => flags.includes(flag)).join('');
  return (kept ? `(?${kept})` : '') + translated(inner, flags.includes('s'));
}

function translated(source: string, dotAll: boolean): string {
  let inClass = false;
  let out = '';
  for (let at = 0; at < source.length;) {
    const rest = source.slice(at);
    const [char = ''] = rest;
    let [taken, given] = [char, char];
    if (char === '\\') [taken, given] = escape(rest, inClass);
    else if (inClass) {
      if (char === ']') inClass = false;
      else if ('[&~'.includes(char)) given = `\\${char}`;
    } else if (char === '[') {
      taken = /^\[\^?\]?/.exec(rest)?.[0] ?? char;
      if (taken === '[^]') given = '(?s:.)';
      else if (taken === '[]') given = '[^\\s\\S]';
      else [given, inClass] = [taken, true];
    } else if (char === '.' && !dotAll) given = LINE;
    else if (char === '{') {
      taken = QUANTIFIER.exec(rest)?.[0] ?? char;
      given = taken === char ? '\\{' : taken;
    } else if (char === '}' || char === ']') given = `\\${char}`;
    out += given;
    at += taken.length;
  }
  return out;
}

/** Converts the escape at the start of `text`. */
function escape(text: string, inClass: boolean): [taken: string, given: string] {
  const pair = /^\\u(d[89ab][\da-f]{2})\\u(d[c-f][\da-f]{2})/i.exec(text);
  if (pair) {
    const [high, low] = [pair[1], pair[2]].map((digits) => parseInt(digits ?? '', 16));
    const code = String.fromCharCode(high ?? 0, low ?? 0).codePointAt(0) ?? 0;
    return [pair[0], `\\x{${code.toString(16)}}`];
  }
  const longer = /^\\(?:c[A-Za-z]|u\{[^}]*\}|[pP]\{[^}]*\})/.exec(text)?.[0];
  if (longer?.startsWith('\\c')) return [longer, `\\x{${(longer.charCodeAt(2) % 32).toString(16)}}`];
  if (longer !== undefined) return [longer, longer];
  const taken = text.slice(0, 2);
  const name = taken.charAt(1);
  const characters = CLASSES[name.toLowerCase()];
  if (characters !== undefined) {
    const isOther = name !== name.toLowerCase();
    if (inClass) return [taken, isOther ? `[^${characters}]` : characters];
    return [taken, `[${isOther ? '^' : ''}${characters}]`];
  }
  if (inClass && name === 'b') return [taken, '\\x08'];
  return [taken, CONTROLS[name] ?? taken];
}
