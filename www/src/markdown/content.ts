/** Elements for the parts of an answer. */

import type { SyntaxNode } from '@lezer/common';
import { CodeView } from './code-view.js';
import { decodeEntity, linkAddress, unescapeText } from './links.js';
import { formula } from './math-syntax.js';
import { showFormula } from './math.js';
import { alignmentsOf, cellsOf, labelOf, partsOf, type Answer, type Part } from './parts.js';
import { onLanguage, t } from '../text/text.js';

/** Deeper nesting is shown as it was written. */
const MAX_DEPTH = 40;

/** A node of the page with the part of the text that it shows. */
interface Shown {
  type: string;
  from: number;
  to: number;
  node: ChildNode;
  /** Shows a later state of the same part; without it, the node is made again. */
  update?: (part: Part) => void;
}

const INLINE_ELEMENTS: Record<string, string> = { Emphasis: 'em', StrongEmphasis: 'strong', Strikethrough: 'del' };

/** The children of an element. */
export class Content {
  #shown: Shown[] = [];

  constructor(
    readonly answer: Answer,
    readonly element: HTMLElement,
    readonly depth: number,
  ) {}

  /** The text only grows: a part with the same type, start and end is the same. */
  update(parts: readonly Part[]): void {
    let index = 0;
    for (const part of parts) {
      const old = this.#shown[index];
      if (old?.type === part.type && old.from === part.from) {
        if (old.to === part.to) {
          index++;
          continue;
        }
        if (old.update) {
          old.update(part);
          old.to = part.to;
          index++;
          continue;
        }
      }
      this.#removeFrom(index);
      const made = this.#make(part);
      this.element.append(made.node);
      this.#shown.push({ type: part.type, from: part.from, to: part.to, ...made });
      index++;
    }
    this.#removeFrom(index);
  }

  /** Makes the nodes of some of the parts again; `parts` are those that are shown. */
  makeAgain(parts: readonly Part[], which: (part: Part) => boolean): void {
    for (const [index, part] of parts.entries()) {
      const shown = this.#shown[index];
      if (!shown || !which(part)) continue;
      const made = this.#make(part);
      shown.node.replaceWith(made.node);
      this.#shown[index] = { ...part, ...made };
    }
  }

  #removeFrom(index: number): void {
    for (const { node } of this.#shown.splice(index)) node.remove();
  }

  #make(part: Part): Pick<Shown, 'node' | 'update'> {
    const { answer, depth } = this;
    const { type, syntax } = part;
    if (!syntax) return this.#runOfText(part);
    if (depth > MAX_DEPTH) return { node: new Text(answer.slice(part)) };
    const inner = INLINE_ELEMENTS[type];
    if (inner) return this.#inline(inner, syntax);
    const heading = /^(?:ATX|Setext)Heading(\d)$/.exec(type)?.[1];
    if (heading) return this.#container(answer.headingName(Number(heading)), part, true);
    switch (type) {
      case 'Paragraph':
        return this.#container('p', part, true);
      case 'Task':
        return this.#task(part);
      case 'Blockquote':
        return this.#container('blockquote', part, false);
      case 'BulletList':
        return this.#list('ul', part);
      case 'OrderedList':
        return this.#list('ol', part);
      case 'ListItem':
        return this.#container('li', part, false);
      case 'HorizontalRule':
        return { node: make('hr') };
      case 'FencedCode':
        return this.#code(part);
      case 'Table':
        return this.#table(part);
      case 'InlineCode': {
        const marks = syntax.getChildren('CodeMark');
        const text = answer.slice({ from: marks[0]?.to ?? part.from, to: marks.at(-1)?.from ?? part.to });
        return { node: make('code', text.replaceAll('\n', ' ').replace(/^ (.*\S.*) $/, '$1')) };
      }
      case 'InlineMath':
      case 'BlockMath':
        return this.#math(part);
      case 'Link':
        return this.#link(part, syntax);
      case 'Image':
        return { node: image(answer.slice(labelOf(syntax))) };
      case 'Autolink':
      case 'URL': {
        const url = answer.slice(part).replace(/^<|>$/g, '');
        return this.#anchor(url, new Text(url));
      }
      case 'HardBreak':
        return { node: make('br') };
      case 'Escape':
        return { node: new Text(answer.slice(part).slice(1)) };
      case 'Entity':
        return { node: new Text(decodeEntity(answer.slice(part))) };
      case 'LinkReference':
        return { node: new Comment() };
      case 'HTMLBlock':
      case 'CommentBlock':
      case 'ProcessingInstructionBlock':
        return { node: this.#block('p', answer.slice(part)) };
      default:
        return { node: new Text(answer.slice(part)) };
    }
  }

  #runOfText(part: Part): Pick<Shown, 'node' | 'update'> {
    const { answer } = this;
    const lines = (text: string) => text.replace(/[ \t]*\n[ \t]*/g, '\n');
    const node = new Text(lines(answer.slice(part)));
    return { node, update: (later) => (node.data = lines(answer.slice(later))) };
  }

  /** A block takes the direction of its own text. What stands in another block goes with that. */
  #block(name: string, text?: string): HTMLElement {
    const element = make(name, text);
    if (this.depth === 0) element.dir = 'auto';
    return element;
  }

  /** An element whose content is updated in place. `inline`: it holds text. */
  #container(name: string, part: Part, inline: boolean): Pick<Shown, 'node' | 'update'> {
    const element = this.#block(name);
    const content = new Content(this.answer, element, this.depth + 1);
    const update = ({ syntax }: Part) => content.update(partsOf(syntax!, inline, this.answer));
    update(part);
    return { node: element, update };
  }

  #inline(name: string, syntax: SyntaxNode): Pick<Shown, 'node'> {
    const element = make(name);
    new Content(this.answer, element, this.depth + 1).update(partsOf(syntax, true, this.answer));
    return { node: element };
  }

  #list(name: 'ul' | 'ol', part: Part): Pick<Shown, 'node' | 'update'> {
    const { node, update } = this.#container(name, part, false);
    const element = node as HTMLElement;
    if (name === 'ol') {
      const mark = part.syntax?.getChild('ListItem')?.getChild('ListMark');
      const start = mark ? parseInt(this.answer.slice(mark), 10) : 1;
      if (start !== 1) (element as HTMLOListElement).start = start;
    }
    return { node, update: update! };
  }

  #task(part: Part): Pick<Shown, 'node' | 'update'> {
    const marker = part.syntax?.getChild('TaskMarker');
    const done = marker ? /x/i.test(this.answer.slice(marker)) : false;
    const element = this.#block('p');
    element.className = 'task';
    const box = make('span', done ? '☑ ' : '☐ ');
    const text = make('span');
    element.append(box, text);
    const content = new Content(this.answer, text, this.depth + 1);
    const update = ({ syntax }: Part) => content.update(partsOf(syntax!, true, this.answer));
    update(part);
    return { node: element, update };
  }

  #code(part: Part): Pick<Shown, 'node' | 'update'> {
    const code = new CodeView();
    const update = ({ syntax }: Part) => {
      const info = syntax!.getChild('CodeInfo');
      const pieces = syntax!.getChildren('CodeText').map((piece) => this.answer.slice(piece));
      code.language = info ? (this.answer.slice(info).split(/[\s{]/)[0] ?? '') : '';
      code.show(pieces.join(''), syntax!.getChildren('CodeMark').length > 1);
    };
    update(part);
    return { node: code.element, update };
  }

  #table(part: Part): Pick<Shown, 'node' | 'update'> {
    const wide = this.#block('div');
    wide.className = 'table';
    wide.tabIndex = 0; // scrolls by keyboard too
    let delimiter = '';
    let [head, body] = [(_: Part[]) => {}, (_: Part[]) => {}];
    const update = ({ syntax }: Part) => {
      const found = this.answer.slice(syntax!.getChild('TableDelimiter') ?? syntax!);
      if (found !== delimiter) {
        delimiter = found;
        const sections = [make('thead'), make('tbody')] as const;
        const table = make('table');
        table.append(...sections);
        wide.replaceChildren(table);
        head = this.#rows(sections[0], 'th', alignmentsOf(delimiter));
        body = this.#rows(sections[1], 'td', alignmentsOf(delimiter));
      }
      const rows = partsOf(syntax!, false);
      head(rows.filter(({ type }) => type === 'TableHeader'));
      body(rows.filter(({ type }) => type === 'TableRow'));
    };
    update(part);
    return { node: wide, update };
  }

  /** Rows do not change once another one follows; the last one is made again. */
  #rows(parent: HTMLElement, cell: 'th' | 'td', alignments: string[]): (parts: Part[]) => void {
    const shown: { to: number; node: HTMLElement }[] = [];
    return (parts) => {
      parts.forEach(({ to, syntax }, index) => {
        if (shown[index]?.to === to) return;
        const row = make('tr');
        for (const [column, part] of cellsOf(syntax!, alignments.length).entries()) {
          const element = make(cell);
          if (cell === 'th') (element as HTMLTableCellElement).scope = 'col';
          if (alignments[column]) element.className = `align-${alignments[column]}`;
          if (part) new Content(this.answer, element, this.depth + 1).update(partsOf(part, true, this.answer));
          row.append(element);
        }
        if (shown[index]) shown[index].node.replaceWith(row);
        else parent.append(row);
        shown[index] = { to, node: row };
      });
      for (const { node } of shown.splice(parts.length)) node.remove();
    };
  }

  #math(part: Part): Pick<Shown, 'node'> {
    const source = this.answer.slice(part);
    const { tex, closed } = formula(source);
    const display = part.type === 'BlockMath';
    const element = make(display && this.depth === 0 ? 'div' : 'span', source);
    element.className = display ? 'math display' : 'math';
    element.dir = 'ltr';
    if (display) element.tabIndex = 0;
    if (closed) showFormula(element, tex, display);
    return { node: element };
  }

  #link(part: Part, syntax: SyntaxNode): Pick<Shown, 'node'> {
    const { answer } = this;
    const url = syntax.getChild('URL');
    const label = labelOf(syntax);
    const named = syntax.getChild('LinkLabel');
    const address = url
      ? unescapeText(answer.slice(url).replace(/^<|>$/g, ''))
      : answer.reference(named && named.to - named.from > 2 ? answer.slice(named) : `[${answer.slice(label)}]`);
    if (address === undefined) return { node: new Text(answer.slice(part)) };
    const content = document.createElement('span');
    new Content(answer, content, this.depth + 1).update(partsOf(syntax, true, answer, label));
    return this.#anchor(address, ...content.childNodes);
  }

  /** A link, or the text alone if the address is none that an answer may link to. */
  #anchor(address: string, ...content: ChildNode[]): Pick<Shown, 'node'> {
    const href = linkAddress(address);
    const element = make(href ? 'a' : 'span');
    element.append(...content);
    if (href && element instanceof HTMLAnchorElement) {
      element.href = href;
      element.target = '_blank';
      element.rel = 'noopener noreferrer';
    }
    return { node: element };
  }
}

/** Of images. */
const descriptions = new WeakMap<Element, string>();

function image(description: string): HTMLElement {
  const element = make('em');
  element.className = 'image';
  descriptions.set(element, description);
  describe(element);
  return element;
}

/** These elements are no components: they are told of another language here. */
onLanguage(() => document.querySelectorAll('em.image').forEach(describe));

function describe(element: Element): void {
  element.textContent = t('answer-image', { description: descriptions.get(element) ?? '' });
}

function make(name: string, text?: string): HTMLElement {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  return element;
}
