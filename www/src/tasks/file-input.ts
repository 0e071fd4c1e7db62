/** Where files for questions come in: chosen, or dropped anywhere on the page. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { announce } from '../announcer.js';
import { Component } from '../component.js';
import { droppedFiles, Library } from './library.js';
import { t, type Said } from '../text/text.js';

/** Files of both cards that ask them. */
export const library = new Library();

/** Sends `change` when there are other passages. */
export class FileInput extends Component {
  static override properties: PropertyDeclarations = { busy: { type: Boolean } };
  /** Files that come while a task runs would change what it reads. */
  declare busy: boolean;
  #reading = new AbortController();
  #progress: Said | null = null;
  #over = false;

  protected override render(): TemplateResult {
    return html`<fieldset class="sources" data-testid="files" data-over=${this.#over ? '' : nothing}>
      <legend>${t('files')}</legend>
      <p class="hint">${t('files-hint')}</p>
      <div class="buttons">
        <label class="button" for="text-files">${t('files-choose')}</label>
        <input
          id="text-files"
          data-testid="text-files"
          class="sr-only"
          type="file"
          multiple
          ?disabled=${this.busy}
          @change=${this.#onFiles}
        />
        <label class="button" for="text-folder">${t('files-folder')}</label>
        <input
          id="text-folder"
          class="sr-only"
          type="file"
          webkitdirectory
          ?disabled=${this.busy}
          @change=${this.#onFiles}
        />
        ${
          library.read.length > 0
            ? html`<button type="button" ?disabled=${this.busy} @click=${this.#clear}>${t('files-clear')}</button>`
            : html`<button type="button" @click=${this.#example}>${t('files-example')}</button>`
        }
      </div>
      <p class="hint" role="status">${this.#progress?.()}</p>
      ${
        library.read.length > 0
          ? html`<ul class="read" data-testid="read">
              ${library.read.map(({ name, says }) => html`<li><bdi>${name}</bdi> <span class="hint">${says()}</span></li>`)}
            </ul>`
          : nothing
      }
    </fieldset>`;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#reading = new AbortController();
    for (const type of DRAGS) addEventListener(type, this.#onDrag, { capture: true });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const type of DRAGS) removeEventListener(type, this.#onDrag, { capture: true });
    this.#reading.abort();
  }

  /** Comes before the page's own listeners, which load a model. */
  readonly #onDrag = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files') || this.find('fieldset').offsetParent === null) return;
    const dropped = event.type === 'drop';
    const names = dropped ? [...event.dataTransfer.files].map(({ name }) => name) : [];
    this.#setOver(event.type === 'dragover');
    if (names.some((name) => /\.gguf$/i.test(name))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (dropped && !this.busy) void droppedFiles(event.dataTransfer).then((files) => this.#add(files));
  };

  #setOver(over: boolean): void {
    if (this.#over === over) return;
    this.#over = over;
    this.requestUpdate();
  }

  #onFiles(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = ''; // choosing the same file again also counts as a change
    void this.#add(files);
  }

  async #example(): Promise<void> {
    const { default: text } = await import('./example.txt?raw');
    await this.#add([new File([text], 'weaving.txt')]);
    this.querySelector<HTMLElement>('button')?.focus();
  }

  async #add(files: File[]): Promise<void> {
    const { signal } = this.#reading;
    try {
      await library.add(files, signal, (name) => this.#say(() => t('files-reading', { name })));
      announce(t('files-were-read', { count: library.passages.length }));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#say(null);
      this.dispatchEvent(new Event('change'));
    }
  }

  #say(text: Said | null): void {
    this.#progress = text;
    this.requestUpdate();
  }

  #clear(): void {
    library.clear();
    this.requestUpdate();
    this.dispatchEvent(new Event('change'));
    this.find('#text-files').focus();
  }
}

const DRAGS = ['dragover', 'dragleave', 'drop'] as const;

customElements.define('file-input', FileInput);
