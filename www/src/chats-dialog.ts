/** The saved conversations: search, go on, rename, delete. */

import { html, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { announce } from './announcer.js';
import { Component } from './component.js';
import {
  contains,
  deleteConversation,
  saveConversation,
  savedConversations,
  titleOf,
  type SavedConversation,
} from './saved.js';

/**
 * Sends `open` and `deleted` with the id of a conversation, and `renamed` with the conversation.
 */
export class ChatsDialog extends Component {
  #all: SavedConversation[] = [];
  #words = '';
  #renaming = '';
  /** Deleted while the dialog is open, so that a deletion can be undone. */
  #deleted = new Set<string>();

  async open(): Promise<void> {
    this.#words = '';
    this.#all = await savedConversations();
    this.requestUpdate();
    await this.updateComplete;
    this.find<HTMLInputElement>('input[type=search]').value = '';
    this.#dialog.showModal();
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
    return html`<li>
      <button type="button" class="open" @click=${() => this.#choose(one.id)}>
        <bdi>${title}</bdi> <span class="hint">${when}</span>
      </button>
      <button type="button" aria-label="Rename ${title}" @click=${() => this.#startRenaming(one.id)}>Rename</button>
      <button type="button" class="delete" aria-label="Delete ${title}" @click=${() => this.#delete(one)}>
        Delete
      </button>
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
    const title = (event.target as HTMLFormElement).querySelector('input')!.value.trim();
    this.#renaming = '';
    one.title = title === '' ? null : title;
    await saveConversation(one);
    this.dispatchEvent(new CustomEvent('renamed', { detail: one }));
    await this.#show(`[aria-label="Rename ${CSS.escape(titleOf(one))}"]`);
  }

  async #delete(one: SavedConversation): Promise<void> {
    this.#deleted.add(one.id);
    await deleteConversation(one.id);
    this.dispatchEvent(new CustomEvent('deleted', { detail: one.id }));
    announce('The chat is deleted. Undo brings it back.');
    await this.#show(`[aria-label="Undo: keep ${CSS.escape(titleOf(one))}"]`);
  }

  async #undo(one: SavedConversation): Promise<void> {
    this.#deleted.delete(one.id);
    await saveConversation(one);
    await this.#show(`[aria-label="Delete ${CSS.escape(titleOf(one))}"]`);
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
