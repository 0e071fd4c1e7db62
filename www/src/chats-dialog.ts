/** The saved conversations: search, go on, rename, delete, and files of them. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { announce } from './announcer.js';
import { Component } from './component.js';
import type { Chats } from './conversations/chats.js';
import { contains, titleOf, type SavedConversation } from './conversations/record.js';
import { onNews } from './conversations/tabs.js';
import { deleteConversation, saveChanges, saveConversation, savedConversations } from './saved.js';

/** Sends `open` with the id of a conversation. */
export class ChatsDialog extends Component {
  static override properties: PropertyDeclarations = { chats: { attribute: false } };
  declare chats: Chats;
  #all: SavedConversation[] = [];
  #words = '';
  #renaming = '';
  #exporting = '';
  /** What became of an import. */
  #said = '';
  /** Deleted while the dialog is open, so that a deletion can be undone. */
  #deleted = new Set<string>();
  #stopListening = () => {};

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = onNews(() => this.#dialog.open && void this.#refresh());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stopListening();
  }

  async open(): Promise<void> {
    this.#words = this.#said = this.#exporting = '';
    await this.chats.save();
    await this.#refresh();
    this.find<HTMLInputElement>('input[type=search]').value = '';
    this.#dialog.showModal();
  }

  /** Those that were deleted here stay in their place, with their way back. */
  async #refresh(): Promise<void> {
    const gone = this.#all.filter(({ id }) => this.#deleted.has(id));
    const all = [...(await savedConversations()).filter(({ id }) => !this.#deleted.has(id)), ...gone];
    this.#all = all.sort((a, b) => b.changed - a.changed);
    this.requestUpdate();
    await this.updateComplete;
  }

  get #dialog(): HTMLDialogElement {
    return this.find<HTMLDialogElement>('dialog');
  }

  protected override render(): TemplateResult {
    const found = this.#all.filter((one) => contains(one, this.#words));
    return html`<dialog id="chats" aria-labelledby="chats-title" @click=${this.#onBackdrop} @close=${this.#onClose}>
      <div class="chats">
        <div class="title">
          <h2 id="chats-title">Chats</h2>
          <button type="button" class="primary" @click=${() => this.#dialog.close()}>Done</button>
        </div>
        <div class="field">
          <label for="chats-search">Search</label>
          <input id="chats-search" type="search" dir="auto" autocomplete="off" @input=${this.#onSearch} />
        </div>
        ${
          found.length === 0
            ? html`<p class="hint">
                ${this.#all.length === 0 ? 'There are no chats yet.' : 'No chat has these words.'}
              </p>`
            : html`<ul id="chats-list">
                ${repeat(
                  found,
                  ({ id }) => id,
                  (one) => this.#row(one),
                )}
              </ul>`
        }
        <p class="hint">Chats are kept in this browser, and nowhere else.</p>
        <div class="chats-files">
          <button type="button" ?disabled=${this.#all.length === 0} @click=${this.#exportAll}>Export all</button>
          <button type="button" @click=${() => this.find('#chats-import').click()}>Import…</button>
          <input id="chats-import" type="file" accept=".json,application/json" hidden @change=${this.#import} />
          <p class="hint" role="status">${this.#said}</p>
        </div>
      </div>
    </dialog>`;
  }

  #row(one: SavedConversation): TemplateResult {
    const title = titleOf(one);
    if (this.#deleted.has(one.id)) {
      return html`<li>
        <p><bdi>${title}</bdi> <span class="hint">is deleted.</span></p>
        <button type="button" aria-label="Undo: keep ${title}" @click=${() => this.#undo(one)}>Undo</button>
      </li>`;
    }
    if (this.#renaming === one.id) {
      return html`<li>
        <form @submit=${(event: Event) => this.#rename(event, one)}>
          <input aria-label="Name of the chat" dir="auto" maxlength="80" .value=${title} />
          <button type="submit">Save</button>
        </form>
      </li>`;
    }
    const when = new Date(one.changed).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    const isExported = this.#exporting === one.id;
    return html`<li>
      <button type="button" class="open" @click=${() => this.#choose(one.id)}>
        <bdi>${title}</bdi> <span class="hint">${when}</span>
      </button>
      <span class="row-actions">
        <button type="button" aria-label="Rename ${title}" @click=${() => this.#startRenaming(one.id)}>Rename</button>
        <button
          type="button"
          aria-label="Export ${title}"
          aria-expanded=${isExported}
          @click=${() => this.#toggleExport(one.id)}
        >
          Export
        </button>
        <button type="button" class="delete" aria-label="Delete ${title}" @click=${() => this.#delete(one)}>
          Delete
        </button>
      </span>
      ${
        isExported
          ? html`<div class="export" role="group" aria-label="Export ${title}">
              <button type="button" @click=${() => this.#export(one, 'md')}>As Markdown</button>
              <button type="button" @click=${() => this.#export(one, 'json')}>As JSON, with all versions</button>
            </div>`
          : nothing
      }
    </li>`;
  }

  #choose(id: string): void {
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent('open', { detail: id }));
  }

  #onSearch(event: Event): void {
    this.#words = (event.target as HTMLInputElement).value.trim();
    this.requestUpdate();
  }

  async #startRenaming(id: string): Promise<void> {
    this.#renaming = id;
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLInputElement>('#chats-list form input')?.select();
  }

  async #rename(event: Event, one: SavedConversation): Promise<void> {
    event.preventDefault();
    const title = (event.target as HTMLFormElement).querySelector('input')!.value.trim() || null;
    this.#renaming = '';
    one.title = title;
    await saveChanges(one.id, { title, turns: [], removed: [] }, false);
    this.chats.changed(one.id);
    await this.#show(`[aria-label="Rename ${CSS.escape(titleOf(one))}"]`);
  }

  async #delete(one: SavedConversation): Promise<void> {
    this.#deleted.add(one.id);
    await deleteConversation(one.id);
    this.chats.deleted(one.id);
    announce('The chat is deleted. Undo brings it back.');
    await this.#show(`[aria-label="Undo: keep ${CSS.escape(titleOf(one))}"]`);
  }

  async #undo(one: SavedConversation): Promise<void> {
    this.#deleted.delete(one.id);
    await saveConversation(one);
    await this.#show(`[aria-label="Delete ${CSS.escape(titleOf(one))}"]`);
  }

  // Files

  #toggleExport(id: string): void {
    this.#exporting = this.#exporting === id ? '' : id;
    this.requestUpdate();
  }

  async #export(one: SavedConversation, kind: 'md' | 'json'): Promise<void> {
    const { download, fileNameOf, toJson, toMarkdown } = await import('./conversations/files.js');
    download(fileNameOf(one, kind), kind === 'md' ? toMarkdown(one) : toJson([one]));
  }

  async #exportAll(): Promise<void> {
    const { download, toJson } = await import('./conversations/files.js');
    download('weft-chats.json', toJson(this.#all.filter(({ id }) => !this.#deleted.has(id))));
  }

  async #import(event: Event): Promise<void> {
    const input = event.target as HTMLInputElement;
    const [file] = input.files ?? [];
    if (!file) return;
    try {
      const { fromJson, newChats } = await import('./conversations/files.js');
      const read = fromJson(await file.text());
      const added = newChats(read, this.#all);
      for (const chat of added) await saveConversation(chat);
      const there = read.length - added.length;
      this.#said =
        `${added.length} ${added.length === 1 ? 'chat was' : 'chats were'} imported.` +
        (there > 0 ? ` ${there} ${there === 1 ? 'was' : 'were'} here already.` : '');
    } catch (error) {
      this.#said = error instanceof Error ? error.message : String(error);
    }
    input.value = ''; // choosing the same file again also counts as a change
    await this.#refresh();
  }

  /** Shows a change, and focuses what took the place of the pressed button. */
  async #show(selector: string): Promise<void> {
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLElement>(selector)?.focus();
  }

  #onBackdrop(event: MouseEvent): void {
    if (event.target === this.#dialog) this.#dialog.close();
  }

  #onClose(): void {
    this.#deleted.clear();
    this.#renaming = '';
  }
}

customElements.define('chats-dialog', ChatsDialog);
