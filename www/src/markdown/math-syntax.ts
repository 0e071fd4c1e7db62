/** Mathematics in Markdown: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` on their own. */

import type { BlockContext, InlineContext, Line, MarkdownConfig } from '@lezer/markdown';

const DOLLAR = 36;
const BACKSLASH = 92;

/** The closing mark of the formula that opens at the start of `text`, or undefined. */
function closing(text: string): string | undefined {
  if (text.startsWith('$$')) return '$$';
  if (text.startsWith('\\[')) return '\\]';
  if (text.startsWith('\\(')) return '\\)';
  return text.startsWith('$') ? '$' : undefined;
}

/**
 * A formula in a line. Like Pandoc, takes a dollar for an opening mark only before a character that
 * is no space, and for a closing one only after such a character and not before a digit: “from $5
 * to $6” has no formula.
 */
function inline(cx: InlineContext, next: number, pos: number): number {
  if (next !== DOLLAR && next !== BACKSLASH) return -1;
  const rest = cx.slice(pos, cx.end);
  const close = closing(rest);
  if (!close) return -1;
  for (let at = close.length; ; at++) {
    at = rest.indexOf(close, at);
    if (at < 0) return -1;
    if (rest[at - 1] === '\\' && close.startsWith('$')) continue;
    if (close === '$' && (/^\$\s/.test(rest) || /\s/.test(rest[at - 1] ?? '') || /\d/.test(rest[at + 1] ?? '')))
      return -1;
    if (rest.slice(close.length, at).trim() === '') return -1;
    const end = pos + at + close.length;
    return cx.addElement(cx.elt(close === '$' || close === '\\)' ? 'InlineMath' : 'BlockMath', pos, end));
  }
}

/**
 * A formula that starts a line may span lines of any kind, up to its closing mark or an empty line.
 */
function block(cx: BlockContext, line: Line): boolean {
  const text = line.text.slice(line.pos);
  if (!/^(?:\$\$|\\\[)/.test(text)) return false;
  const close = closing(text) ?? '';
  const from = cx.lineStart + line.pos;
  const found = text.indexOf(close, 2);
  // What follows the closing mark makes it a formula in a paragraph.
  if (found >= 0 && text.slice(found + 2).trim() !== '') return false;
  let to = from + text.trimEnd().length;
  let closed = found >= 0;
  while (cx.nextLine() && !closed && line.text.trim() !== '' && isInside(cx, line)) {
    closed = line.text.trimEnd().endsWith(close);
    to = cx.lineStart + line.text.trimEnd().length;
  }
  cx.addElement(cx.elt('BlockMath', from, to));
  return true;
}

/** Whether a line still belongs to the list item or quote that the block stands in. */
const isInside = (cx: BlockContext, line: Line) => (line as Line & { depth: number }).depth >= cx.depth;

export const MathSyntax: MarkdownConfig = {
  defineNodes: [{ name: 'InlineMath' }, { name: 'BlockMath', block: true }],
  parseInline: [{ name: 'InlineMath', parse: inline, before: 'Escape' }],
  parseBlock: [
    {
      name: 'BlockMath',
      parse: block,
      before: 'FencedCode',
      endLeaf: (_, line) => /^(?:\$\$|\\\[)/.test(line.text.slice(line.pos)),
    },
  ],
};

/** The TeX of a formula, without its marks; `closed` tells whether the closing mark has come. */
export function formula(source: string): { tex: string; closed: boolean } {
  const close = closing(source) ?? '';
  const closed = source.length >= 2 * close.length && source.endsWith(close);
  return { tex: source.slice(close.length, closed ? -close.length : undefined).trim(), closed };
}
