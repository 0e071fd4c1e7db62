/** Parts of an answer: nodes of its syntax tree, and the text between them. */

import type { SyntaxNode } from '@lezer/common';

/** What a part is shown with. */
export interface Answer {
  slice(range: { from: number; to: number }): string;
  /** The address that the answer gives for a label. */
  reference(label: string): string | undefined;
  /** The element for a heading of a level in the answer. */
  headingName(level: number): string;
}

/** A node of the tree; a run of text between nodes has none. */
export interface Part {
  type: string;
  from: number;
  to: number;
  syntax: SyntaxNode | null;
}

const TEXT = 'Text';
/** Marks that are not shown. */
const MARKS = /Mark$|^(?:TableDelimiter|TaskMarker|LinkTitle|LinkLabel|CodeInfo)$/;

/** Where the text of a link or the description of an image stands. */
export function labelOf(syntax: SyntaxNode): { from: number; to: number } {
  const [open, close] = syntax.getChildren('LinkMark');
  return { from: open?.to ?? syntax.from, to: close?.from ?? syntax.to };
}

/** The children of a node within `range`. `inline`: with the text between them. */
export function partsOf(
  syntax: SyntaxNode,
  inline: boolean,
  answer?: Answer,
  range?: { from: number; to: number },
): Part[] {
  const parts: Part[] = [];
  let { from, to } = range ?? syntax;
  const text = (end: number) => {
    if (!inline || end <= from) return;
    // The space after a mark is part of the mark, as is the one before the end.
    const atStart = parts.length === 0 && answer ? /^\s*/.exec(answer.slice({ from, to: end }))![0].length : 0;
    if (from + atStart < end) parts.push({ type: TEXT, from: from + atStart, to: end, syntax: null });
  };
  for (let child = syntax.firstChild; child; child = child.nextSibling) {
    if (child.from < from || child.to > to) continue;
    text(child.from);
    from = child.to;
    if (!MARKS.test(child.name)) parts.push({ type: child.name, from: child.from, to: child.to, syntax: child });
  }
  text(to);
  return parts;
}

/** How the columns of a table are aligned, by the line under its head. */
export function alignmentsOf(delimiter: string): string[] {
  const marks = delimiter
    .trim()
    .replace(/^\||\|$/g, '')
    .split('|');
  return marks.map((mark) => (/:\s*$/.test(mark) ? (/^\s*:/.test(mark) ? 'center' : 'end') : ''));
}

/** The cells of a row; an empty cell is null. */
export function cellsOf(row: SyntaxNode, columns: number): (SyntaxNode | null)[] {
  const cells: (SyntaxNode | null)[] = [];
  let cell: SyntaxNode | null = null;
  for (let child = row.firstChild; child; child = child.nextSibling) {
    if (child.name === 'TableCell') cell = child;
    else if (child.from > row.from) {
      cells.push(cell);
      cell = null;
    }
  }
  if (cell) cells.push(cell);
  while (cells.length < columns) cells.push(null);
  return cells.slice(0, columns);
}
