/** The views of the page, and where the code of those is that are fetched at their first use. */

export type View = 'picker' | 'loading' | Home;

/** The views that use the model: a load that was asked for there leads back. */
export type Home = 'chat' | 'tasks' | 'compare' | 'inspector';

const LATE: Partial<Record<View, () => Promise<unknown>>> = {
  tasks: () => import('./tasks/view.js'),
  compare: () => import('./compare/compare-view.js'),
  inspector: () => import('./inspector/view.js'),
};

/** Fetches the code of a view, unless it is there. */
export async function fetchView(view: View): Promise<void> {
  await LATE[view]?.();
}
