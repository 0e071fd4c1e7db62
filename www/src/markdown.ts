/**
 * Renders an answer while it grows. A top-level block of Markdown is final once another one
 * follows, so each frame parses and replaces only the last block: the cost of a frame does not grow
 * with the answer.
 *
 * A model's text is untrusted. HTML is shown as text, images become their description, and
 * DOMPurify keeps only a short list of elements and attributes, none of which can fetch or run
 * anything.
 */

import DOMPurify, { type Config } from 'dompurify';
import { Marked, type Token } from 'marked';

const ALLOWED: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: [
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'p', 'br', 'hr', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code'],
    ...['em', 'strong', 'del', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  ALLOWED_ATTR: ['href', 'title', 'align', 'start', 'class'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ['title', 'align', 'start', 'class'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character] ?? '');

const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ text }) => `<em>[image: ${escape(text)}]</em>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

export class MarkdownView {
  #element: HTMLElement;
  /** The Markdown after the final blocks. */
  #rest = '';
  /** The nodes of the last block, which the next frame replaces. */
  #last: Node[] = [];
  #frame = 0;

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  /** Adds text, shown with the next frame. */
  append(text: string): void {
    this.#rest += text;
    this.#frame ||= requestAnimationFrame(() => this.#render(false));
  }

  /** Shows everything now. No text may follow. */
  finish(): void {
    cancelAnimationFrame(this.#frame);
    this.#render(true);
  }

  #render(final: boolean): void {
    this.#frame = 0;
    for (const node of this.#last) node.parentNode?.removeChild(node);
    const tokens = parse(this.#rest);
    // Blank lines do not end a block: a list may continue after them.
    const end = final ? tokens.length : tokens.findLastIndex((token) => token.type !== 'space');
    const done = tokens.slice(0, Math.max(end, 0));
    if (done.length > 0) {
      const fragment = toFragment(done);
      fragment.querySelectorAll('pre').forEach(addCopyButton);
      this.#element.append(fragment);
      this.#rest = tokens
        .slice(done.length)
        .map((token) => token.raw)
        .join('');
    }
    const fragment = toFragment(tokens.slice(done.length));
    this.#last = [...fragment.childNodes];
    this.#element.append(fragment);
  }
}

// Endlessly nested quotes and lists overflow the stack of the parser or renderer; such a text is
// shown unchanged.

function parse(text: string): Token[] {
  try {
    return markdown.lexer(text);
  } catch {
    return [{ type: 'html', raw: text, text }];
  }
}

function toHtml(tokens: Token[]): string {
  try {
    return markdown.parser(tokens);
  } catch {
    return escape(tokens.map(({ raw }) => raw).join(''));
  }
}

function toFragment(tokens: Token[]): DocumentFragment {
  const fragment = DOMPurify.sanitize(toHtml(tokens), ALLOWED);
  for (const link of fragment.querySelectorAll<HTMLAnchorElement>('a[href]')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  // Wide elements scroll, by keyboard too.
  for (const wide of fragment.querySelectorAll<HTMLElement>('pre, table')) wide.tabIndex = 0;
  return fragment;
}

function addCopyButton(pre: HTMLPreElement): void {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', 'Copy the code');
  const language = document.createElement('span');
  language.textContent = pre.querySelector('code')?.className.replace('language-', '') ?? '';
  const head = document.createElement('div');
  head.className = 'code-head';
  head.append(language, button);
  const block = document.createElement('div');
  block.className = 'code';
  pre.replaceWith(block);
  block.append(head, pre);
}
