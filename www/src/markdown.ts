/**
 * Markdown that grows: an answer is parsed anew for every frame, which costs well under a millisecond, but only the blocks
 * whose source changed, usually the last one, are sanitised and drawn again.
 *
 * A model's text is not trusted. HTML in it is shown as text, images become links, and what the parser produces passes a
 * sanitiser that knows a short list of elements. So no answer can run anything, style anything or make the page fetch
 * anything before somebody clicks.
 */
import DOMPurify from 'dompurify';
import { Marked, type Token } from 'marked';

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text, block }) => (block === true ? `<p>${escape(text)}</p>` : escape(text)),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

const allowed = {
  ALLOWED_TAGS:
    'a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre strong table tbody td th thead tr ul'.split(' '),
  ALLOWED_ATTR: ['align', 'class', 'href', 'start', 'title'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
} as const;

interface Block {
  readonly source: string;
  readonly nodes: readonly ChildNode[];
}

/** The Markdown of one answer, drawn into `root`. */
export class MarkdownView {
  readonly #root: HTMLElement;
  #blocks: Block[] = [];

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Shows this text instead of the one before. */
  show(text: string): void {
    const tokens = marked.lexer(text).filter(({ type }) => type !== 'space' && type !== 'def');
    const same = this.#blocks.findIndex((block, index) => block.source !== tokens[index]?.raw);
    const kept = same === -1 ? this.#blocks.length : same;
    for (const block of this.#blocks.splice(kept)) for (const node of block.nodes) node.remove();
    for (const token of tokens.slice(kept)) {
      const fragment = draw(token);
      this.#blocks.push({ source: token.raw, nodes: [...fragment.childNodes] });
      this.#root.append(fragment);
    }
  }
}

function draw(token: Token): DocumentFragment {
  const fragment = DOMPurify.sanitize(marked.parser([token]), { ...allowed, ...mutable });
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const table of fragment.querySelectorAll('table')) {
    const scroller = scrollable('Table');
    table.replaceWith(scroller);
    scroller.append(table);
  }
  for (const pre of fragment.querySelectorAll('pre')) {
    const language = /language-(\S+)/.exec(pre.firstElementChild?.className ?? '')?.[1] ?? 'text';
    const box = document.createElement('div');
    box.className = 'code';
    const copy = document.createElement('button');
    copy.type = 'button';
    copy.className = 'copy-code';
    copy.textContent = 'Copy';
    copy.setAttribute('aria-label', 'Copy this code');
    const scroller = scrollable(`Code: ${language}`);
    pre.replaceWith(box);
    scroller.append(pre);
    box.append(Object.assign(document.createElement('span'), { textContent: language }), copy, scroller);
  }
  return fragment;
}

/** A box that scrolls sideways, which the keyboard must be able to reach. */
function scrollable(label: string): HTMLElement {
  const box = document.createElement('div');
  box.className = 'scrollable';
  box.tabIndex = 0;
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', label);
  return box;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
