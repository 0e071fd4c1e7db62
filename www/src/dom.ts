/**
 * What little the page needs over the plain DOM. There is no framework: the markup stands in `index.html`, and the only
 * list that grows is the conversation, cloned from a template.
 */

/** The element with this id, which `index.html` promises to be of this type. */
export function byId<T extends Element>(id: string, type: new () => T): T {
  return checked(document.getElementById(id), type, `#${id}`);
}

/** The first element below `root` that matches. */
export function within<T extends Element>(root: ParentNode, selector: string, type: new () => T): T {
  return checked(root.querySelector(selector), type, selector);
}

/** A copy of the only element in a template. */
export function fromTemplate(id: string): HTMLElement {
  const copy = document.importNode(byId(id, HTMLTemplateElement).content, true);
  return checked(copy.firstElementChild, HTMLElement, `#${id} > *`);
}

function checked<T extends Element>(found: Element | null, type: new () => T, name: string): T {
  if (found instanceof type) return found;
  throw new Error(`index.html: expected ${name} to be a ${type.name}, got ${found?.tagName ?? 'nothing'}`);
}

/** Runs `draw` at most once a frame, however often it is asked for. */
export function oncePerFrame(draw: () => void): { request(): void; cancel(): void } {
  let frame = 0;
  return {
    request() {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    },
    cancel() {
      cancelAnimationFrame(frame);
      frame = 0;
    },
  };
}

/** Focuses a text box, except where that would pop up an on-screen keyboard unasked. */
export function focusText(element: HTMLElement): void {
  if (matchMedia('(pointer: fine)').matches) element.focus();
}
