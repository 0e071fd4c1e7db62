/** Lets one loaded model draft for the answers of another: connects their workers. */

import { invalidOption } from '../common/errors.js';
import type { DraftPorts } from '../common/protocol.js';
import type { DraftModel } from '../types/index.js';
import type { Connection } from './connection.js';

/** The connections of the models of this page. */
const connections = new WeakMap<DraftModel, Connection>();

/** To be called for each loaded model. */
export function mayDraft(llm: DraftModel, connection: Connection): void {
  connections.set(llm, connection);
}

/**
 * The connection of a model that drafts for `llm`, and what a step of it takes, in steps of `llm`:
 * as many as its memory has bytes. Errors: `INVALID_OPTION` unless it can.
 */
export function drafterOf(llm: DraftModel, draft: DraftModel): { connection: Connection; cost: number } {
  const connection = connections.get(draft);
  if (!connection || draft === llm) {
    throw invalidOption(
      'speculate',
      'as `draft` another model, smaller than this one, which `load` gave on this page',
      draft === llm ? 'this one' : draft,
    );
  }
  const [own, other] = [llm.info, draft.info];
  if (own.vocabularyFingerprint !== other.vocabularyFingerprint) {
    const expected = `as \`draft\` a model with the vocabulary of \`${own.name}\`, such as a smaller one of its family`;
    throw invalidOption('speculate', expected, other.name);
  }
  return { connection, cost: other.engine.memoryBytes / own.engine.memoryBytes };
}

/** Begins the drafts for one answer; `end` must be called at its end. */
export function beginDrafts(drafter: Connection): { readonly ports: DraftPorts; end(): void } {
  const [asks, over] = [new MessageChannel(), new MessageChannel()];
  const lost = () => over.port1.postMessage(null);
  let end = () => {};
  try {
    const id = drafter.open({ type: 'draft', asks: asks.port2 }, { result: lost, error: lost });
    end = () => drafter.leave(id);
  } catch {
    // it was disposed of
    lost();
  }
  return {
    ports: { asks: asks.port1, over: over.port2 },
    end() {
      end();
      over.port1.close();
    },
  };
}
