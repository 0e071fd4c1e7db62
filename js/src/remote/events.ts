/**
 * Parses server-sent events while they arrive, as the HTML standard does ("9.2.6 Interpreting an
 * event stream"), except that the end of the stream also ends an event. It is 40 lines here rather
 * than a dependency because the package is also imported without a bundler, where a bare module
 * name cannot be resolved.
 */

export interface ServerEvent {
  /** `message` if the server names none. */
  readonly type: string;
  readonly data: string;
}

export class EventParser {
  /** An incomplete line. */
  #line = '';
  /** Whether the last piece ended with CR, which a LF may complete. */
  #cr = false;
  #type = '';
  #data: string[] = [];

  /** `text` has no byte order mark: a `TextDecoder` removes it. */
  push(text: string): ServerEvent[] {
    if (text === '') return [];
    const lines = (this.#line + (this.#cr && text.startsWith('\n') ? text.slice(1) : text)).split(/\r\n|\n|\r/);
    this.#cr = text.endsWith('\r');
    this.#line = lines.pop() ?? '';
    return lines.flatMap((line) => this.#take(line));
  }

  /** Returns the event that the end of the stream completes. */
  end(): ServerEvent[] {
    return [...this.#take(this.#line), ...this.#take('')];
  }

  #take(line: string): ServerEvent[] {
    if (line === '') {
      const event = { type: this.#type || 'message', data: this.#data.join('\n') };
      const isEvent = this.#data.length > 0;
      this.#type = '';
      this.#data = [];
      return isEvent ? [event] : [];
    }
    // a line that starts with a colon is a comment: a field without a name
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#type = value;
    return [];
  }
}
