/**
 * Tables of GFM, whose rows are blocks. The parser keeps blocks from frame to frame, but reads one
 * block from its start: in the table of `@lezer/markdown`, that is all rows.
 */

import type { BlockContext, Element, Line, MarkdownConfig } from '@lezer/markdown';

/** The line under the head. In a quote it has the marks of the quote. */
const DELIMITER = /^[>\s]*\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?\s*)?$/;

/** What ends a table without an empty line: quotes, lists, headings, fences, rules, HTML. */
const OTHER_BLOCK = /^(?:>|[-+*]\s|\d{1,9}[.)]\s|#{1,6}\s|```|~~~|\$\$|\\\[|<[a-z!/?]|(?:[-*_]\s*){3,}$)/i;

function parse(cx: BlockContext, line: Line): boolean {
  if (cx.parentType().name === 'Table') {
    cx.addElement(row(cx, line, 'TableRow'));
    cx.nextLine();
    return true;
  }
  if (!startsTable(cx, line)) return false;
  cx.startComposite('Table', line.pos);
  cx.addElement(row(cx, line, 'TableHeader'));
  cx.nextLine();
  cx.addElement(cx.elt('TableDelimiter', cx.lineStart + line.pos, cx.lineStart + line.text.length));
  cx.nextLine();
  return true;
}

function startsTable(cx: BlockContext, line: Line): boolean {
  if (!line.text.includes('|', line.pos)) return false;
  const next = cx.peekLine();
  return DELIMITER.test(next) && cellsOf(line.text.slice(line.pos)) === cellsOf(next.replace(/^[>\s]*/, ''));
}

function isRow(line: Line): boolean {
  const text = line.text.slice(line.pos);
  return text !== '' && (DELIMITER.test(text) || !OTHER_BLOCK.test(text));
}

/** How many cells a row has. */
const cellsOf = (text: string) => split(text).filter(({ isCell }) => isCell).length;

function row(cx: BlockContext, line: Line, name: string): Element {
  const start = cx.lineStart + line.pos;
  const text = line.text.slice(line.pos).trimEnd();
  const parts = split(text).map(({ from, to, isCell }) =>
    isCell && from < to
      ? [cx.elt('TableCell', start + from, start + to, cx.parser.parseInline(text.slice(from, to), start + from))]
      : isCell
        ? []
        : [cx.elt('TableDelimiter', start + from, start + to)],
  );
  return cx.elt(name, start, start + text.length, parts.flat());
}

/** The cells of a row, without the spaces around them, and the marks between them. */
function split(text: string): { from: number; to: number; isCell: boolean }[] {
  const parts: { from: number; to: number; isCell: boolean }[] = [];
  let from = 0;
  const cell = (to: number) => {
    const inner = text.slice(from, to);
    // Nothing before the first mark or behind the last one is no cell.
    if (inner.trim() === '' && (parts.length === 0 || to === text.length)) return;
    const begin = from + inner.length - inner.trimStart().length;
    parts.push({ from: begin, to: Math.max(begin, from + inner.trimEnd().length), isCell: true });
  };
  for (const { index, 0: mark } of text.matchAll(/\\.|\|/g)) {
    if (mark !== '|') continue;
    cell(index);
    parts.push({ from: index, to: index + 1, isCell: false });
    from = index + 1;
  }
  cell(text.length);
  return parts;
}

export const TableSyntax: MarkdownConfig = {
  defineNodes: [
    { name: 'Table', block: true, composite: (_, line) => isRow(line) },
    { name: 'TableHeader', block: true },
    { name: 'TableRow', block: true },
    { name: 'TableDelimiter', block: true },
    { name: 'TableCell' },
  ],
  parseBlock: [{ name: 'Table', parse, endLeaf: startsTable }],
};
