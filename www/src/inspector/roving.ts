/**
 * Arrow keys in a group of which one element is in the tab order. The elements have `data-index`,
 * in the order of the page.
 */

/** The index that a key leads to, or null. `columns`: elements in a row. */
function target(key: string, index: number, total: number, columns: number, rightToLeft: boolean): number | null {
  const column = index % columns;
  const moves: Readonly<Record<string, number>> = {
    [rightToLeft ? 'ArrowLeft' : 'ArrowRight']: column + 1 < columns ? index + 1 : index,
    [rightToLeft ? 'ArrowRight' : 'ArrowLeft']: column > 0 ? index - 1 : index,
    ArrowDown: index + columns,
    ArrowUp: index - columns,
    Home: index - column,
    End: index - column + columns - 1,
  };
  const found = moves[key];
  return found === undefined || found < 0 || found >= total || found === index ? null : found;
}

export const indexOf = (event: Event): number | null => {
  const item = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-index]') : null;
  return item ? Number(item.dataset['index']) : null;
};

/** For `keydown` of the group: moves the focus, which the group notices by `focusin`. */
export function rove(event: KeyboardEvent, columns?: number): void {
  const group = event.currentTarget as HTMLElement;
  const index = indexOf(event);
  if (index === null || event.altKey || event.ctrlKey || event.metaKey) return;
  const total = group.querySelectorAll('[data-index]').length;
  const rightToLeft = getComputedStyle(group).direction === 'rtl';
  const to = target(event.key, index, total, columns ?? total, rightToLeft);
  if (to === null) return;
  event.preventDefault();
  group.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus();
}
