/** The head of the page: its name, and a button for each place to go. */

import { html, nothing, type TemplateResult } from 'lit';
import { logo } from './logo.js';
import type { View } from './views.js';
import { t } from './text/text.js';

/** What the buttons do. */
export interface HeaderActions {
  go(view: 'picker' | 'chat' | 'tasks' | 'inspector'): void;
  compare(): void;
  openChats(): void;
  newChat(): void;
  openSettings(): void;
}

interface Button {
  id: string;
  label: string;
  shown: boolean;
  press: () => void;
  testid?: string;
  disabled?: boolean;
  opensDialog?: boolean;
}

const MENU = 'header-menu';

/** Where a chat's buttons do not fit in one row, most of them are in a menu, see base.css. */
export function header(
  { view, hasModel, isEmpty }: { view: View; hasModel: boolean; isEmpty: boolean },
  actions: HeaderActions,
): TemplateResult {
  const { go, compare, openChats, newChat, openSettings } = actions;
  const [inChat, inTasks] = [view === 'chat', view === 'tasks'];
  const buttons: Button[] = [
    { id: 'open-chats', label: t('nav-chats'), shown: true, press: openChats, testid: 'chats', opensDialog: true },
    { id: 'new-chat', label: t('nav-new-chat'), shown: inChat, press: newChat, testid: 'new-chat', disabled: isEmpty },
  ];
  const others: Button[] = [
    { id: 'change-model', label: t('nav-model'), shown: inChat || inTasks, press: () => go('picker') },
    { id: 'open-chat', label: t('nav-chat'), shown: inTasks, press: () => go('chat') },
    { id: 'open-tasks', label: t('nav-tasks'), shown: !inTasks, press: () => go('tasks'), testid: 'tasks' },
    { id: 'open-compare', label: t('nav-compare'), shown: inChat && hasModel, press: compare },
    {
      id: 'open-inspector',
      label: t('nav-inspector'),
      shown: inChat,
      press: () => go('inspector'),
      testid: 'inspector',
    },
    {
      id: 'open-settings',
      label: t('nav-settings'),
      shown: true,
      press: openSettings,
      testid: 'settings',
      opensDialog: true,
    },
  ];
  return html`<header>
    <p class="wordmark">${logo}<span>weft</span></p>
    <nav aria-label=${t('nav')} ?hidden=${view === 'loading'}>
      ${buttons.map(button)}
      <button type="button" id="open-menu" popovertarget=${MENU} ?hidden=${!inChat}>${t('nav-menu')}</button>
      <div id=${MENU} popover @click=${{ handleEvent: closeMenu, capture: true }}>${others.map(button)}</div>
    </nav>
  </header>`;
}

/** Before the button acts, so that the focus is back at the menu's own button by then. */
function closeMenu({ currentTarget }: Event): void {
  const menu = currentTarget as HTMLElement;
  if (menu.matches(':popover-open')) menu.hidePopover();
}

const button = ({ id, label, shown, press, testid = id, disabled = false, opensDialog = false }: Button) =>
  html`<button
    type="button"
    id=${id}
    data-testid=${testid}
    aria-haspopup=${opensDialog ? 'dialog' : nothing}
    ?hidden=${!shown}
    ?disabled=${disabled}
    @click=${press}
  >
    ${label}
  </button>`;
