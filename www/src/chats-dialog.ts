/** The saved conversations: search, go on, rename, delete, and files of them. */

import { html, nothing, type PropertyDeclarations, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { announce } from './announcer.js';
import { Component } from './component.js';
import type { Chats } from './conversations/chats.js';
import { forgetChats } from './models/remembered.js';
import { contains, titleOf, type SavedConversation } from './conversations/record.js';
import { onNews } from './conversations/tabs.js';
import { deleteConversation, saveChanges, saveConversation, savedConversations } from './saved.js';
import { rich, t, type Said } from './text/text.js';

/** Sends `open` with the id of a conversation. */
export class ChatsDialog extends Component {
  static override properties: PropertyDeclarations = { chats: { attribute: false } };
  declare chats: Chats;
  #all: SavedConversation[] = [];
  #words = '';
  #renaming = '';
  #exporting = '';
  /** What became of an import. */
  #said: Said | null = null;
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
    this.#words = this.#exporting = '';
    this.#said = null;
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
          <h2 id="chats-title">${t('nav-chats')}</h2>
          <button type="button" class="primary" @click=${() => this.#dialog.close()}>${t('done')}</button>
        </div>
        <div class="field">
          <label for="chats-search">${t('search')}</label>
          <input id="chats-search" type="search" dir="auto" autocomplete="off" @input=${this.#onSearch} />
        </div>
        ${
          found.length === 0
            ? html`<p class="hint">${this.#all.length === 0 ? t('chats-none') : t('chats-not-found')}</p>`
            : html`<ul id="chats-list">
                ${repeat(
                  found,
                  ({ id }) => id,
                  (one) => this.#row(one),
                )}
              </ul>`
        }
        <p class="hint">${t('chats-kept')}</p>
        <div class="chats-files">
          <button type="button" ?disabled=${this.#all.length === 0} @click=${this.#exportAll}>
            ${t('chats-export-all')}
          </button>
          <button type="button" @click=${() => this.find('#chats-import').click()}>${t('chats-import')}</button>
          <input id="chats-import" type="file" accept=".json,application/json" hidden @change=${this.#import} />
          <p class="hint" role="status">${this.#said?.()}</p>
        </div>
      </div>
    </dialog>`;
  }

  #row(one: SavedConversation): TemplateResult {
    const title = titleOf(one);
    if (this.#deleted.has(one.id)) {
      return html`<li>
        <p>${rich('chats-deleted', { title: html`<bdi>${title}</bdi>` })}</p>
        <button type="button" aria-label=${t('chats-undo', { title })} @click=${() => this.#undo(one)}>
          ${t('undo')}
        </button>
      </li>`;
    }
    if (this.#renaming === one.id) {
      return html`<li>
        <form @submit=${(event: Event) => this.#rename(event, one)}>
          <input aria-label=${t('chats-name')} dir="auto" maxlength="80" .value=${title} />
          <button type="submit">${t('save')}</button>
        </form>
      </li>`;
    }
    const when = t('chats-changed', { date: new Date(one.changed) });
    const isExported = this.#exporting === one.id;
    return html`<li>
      <button type="button" class="open" @click=${() => this.#choose(one.id)}>
        <bdi>${title}</bdi> <span class="hint">${when}</span>
      </button>
      <span class="row-actions">
        <button
          type="button"
          aria-label=${t('chats-rename.label', { title })}
          @click=${() => this.#startRenaming(one.id)}
        >
          ${t('chats-rename')}
        </button>
        <button
          type="button"
          aria-label=${t('chats-export.label', { title })}
          aria-expanded=${isExported}
          @click=${() => this.#toggleExport(one.id)}
        >
          ${t('chats-export')}
        </button>
        <button
          type="button"
          class="delete"
          aria-label=${t('delete-one', { name: title })}
          @click=${() => this.#delete(one)}
        >
          ${t('delete')}
        </button>
      </span>
      ${
        isExported
          ? html`<div class="export" role="group" aria-label=${t('chats-export.label', { title })}>
              <button type="button" @click=${() => this.#export(one, 'md')}>${t('chats-markdown')}</button>
              <button type="button" @click=${() => this.#export(one, 'json')}>${t('chats-json')}</button>
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
    await this.#show(labelled(t('chats-rename.label', { title: titleOf(one) })));
  }

  async #delete(one: SavedConversation): Promise<void> {
    this.#deleted.add(one.id);
    await deleteConversation(one.id);
    this.chats.deleted(one.id);
    void forgetChats();
    announce(t('chats-deleted-undo'));
    await this.#show(labelled(t('chats-undo', { title: titleOf(one) })));
  }

  async #undo(one: SavedConversation): Promise<void> {
    this.#deleted.delete(one.id);
    await saveConversation(one);
    await this.#show(labelled(t('delete-one', { name: titleOf(one) })));
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
      const imported = { count: added.length };
      this.#said = () =>
        there > 0
          ? `${t('chats-imported', imported)} ${t('chats-were-here', { count: there })}`
          : t('chats-imported', imported);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#said = () => message;
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

const labelled = (label: string) => `[aria-label="${CSS.escape(label)}"]`;

customElements.define('chats-dialog', ChatsDialog);
