/**
 * Server-sent events: text as it comes → the data of each event. As the HTML standard reads them
 * ("9.2.6 Interpreting an event stream"), but that an event which ends with the stream instead of
 * an empty line counts too. It is 40 lines here rather than a dependency, because the package is
 * also imported without a bundler, where a bare name leads nowhere.
 */

export interface ServerEvent {
  /** `message` where the server names none. */
  readonly type: string;
  readonly data: string;
}

export class EventParser {
  /** A line of which the end has not come. */
  #line = '';
  /** Whether the last piece ended with CR, of which a LF may be the second half. */
  #cr = false;
  #type = '';
  #data: string[] = [];

  /** `text` begins without a byte order mark, which a `TextDecoder` removes. */
  push(text: string): ServerEvent[] {
    if (text === '') return [];
    const lines = (this.#line + (this.#cr && text.startsWith('\n') ? text.slice(1) : text)).split(/\r\n|\n|\r/);
    this.#cr = text.endsWith('\r');
    this.#line = lines.pop() ?? '';
    return lines.flatMap((line) => this.#take(line));
  }

  /** The event that the end of the stream ends. */
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
    // what begins with a colon is a comment: a field without a name
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#type = value;
    return [];
  }
}
