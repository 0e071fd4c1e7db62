/**
 * Renders an answer while it grows. The parser keeps its tree from frame to frame and reads only
 * what is new. The elements of all nodes that did not change stay, so a frame costs the same
 * however long the answer is, or one list or table in it.
 *
 * A model's text is untrusted. It never becomes HTML: each node of the tree is made with
 * `createElement` from the short list of content.ts, its text is a text node, and no attribute but
 * the checked address of a link comes from the answer. HTML is shown as text, images become their
 * description.
 */

import { TreeFragment, type Tree } from '@lezer/common';
import { Autolink, parser as commonMark, Strikethrough, TaskList } from '@lezer/markdown';
import { Content } from './content.js';
import { normalizedLabel } from './links.js';
import { MathSyntax } from './math-syntax.js';
import { partsOf, type Answer, type Part } from './parts.js';
import { TableSyntax } from './table-syntax.js';

const parser = commonMark.configure([
  TableSyntax,
  TaskList,
  Strikethrough,
  Autolink,
  MathSyntax,
  { remove: ['IndentedCode'] },
]);

export class MarkdownView implements Answer {
  readonly #root: Content;
  #text = '';
  #tree: Tree | null = null;
  #fragments: readonly TreeFragment[] = [];
  #frame = 0;
  #firstHeading: number | undefined;
  /** Addresses of links that the answer defines by a label. */
  #references = new Map<string, string>();

  constructor(readonly element: HTMLElement) {
    element.replaceChildren();
    this.#root = new Content(this, element, 0);
  }

  get text(): string {
    return this.#text;
  }

  /** Shows the text with the next frame. It must start with the text that was shown before. */
  show(text: string): void {
    this.#text = text;
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  /** Shows the whole text now. */
  finish(text: string): void {
    this.#text = text;
    cancelAnimationFrame(this.#frame);
    this.#render();
    if (this.#tree && text.includes(']:')) this.#showReferences(this.#tree);
  }

  /** Shows links again whose address is defined by a label, which may come after them. */
  #showReferences(tree: Tree): void {
    const links: number[] = [];
    tree.iterate({
      enter: ({ name, from, node }) => {
        const url = node.getChild('URL');
        const label = node.getChild('LinkLabel');
        if (name === 'Link' && !url) links.push(from);
        if (name === 'LinkReference' && url && label)
          this.#references.set(normalizedLabel(this.slice(label)), this.slice(url));
      },
    });
    if (this.#references.size === 0) return;
    // The rest stays, since a formula that is made again is text for a frame.
    const hasLink = ({ from, to }: Part) => links.some((link) => link >= from && link < to);
    this.#root.makeAgain(partsOf(tree.topNode, false), hasLink);
  }

  slice({ from, to }: { from: number; to: number }): string {
    return this.#text.slice(from, to);
  }

  reference(label: string): string | undefined {
    return this.#references.get(normalizedLabel(label));
  }

  /**
   * The page's own headings are of the first two levels, and the first one of an answer follows
   * them.
   */
  headingName(level: number): string {
    this.#firstHeading ??= level;
    return `h${Math.min(Math.max(level - this.#firstHeading, 0) + 3, 6)}`;
  }

  #render(): void {
    this.#frame = 0;
    try {
      const before = this.#tree?.length ?? 0;
      const change = { fromA: before, toA: before, fromB: before, toB: this.#text.length };
      this.#fragments = TreeFragment.applyChanges(this.#fragments, [change]);
      this.#tree = parser.parse(this.#text, this.#fragments);
      this.#fragments = TreeFragment.addTree(this.#tree, this.#fragments);
      this.#root.update(partsOf(this.#tree.topNode, false));
    } catch {
      // Endless nesting overflows the stack of the parser.
      this.element.textContent = this.#text;
    }
  }
}
