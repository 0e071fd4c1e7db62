// Tabs that share a fake model, whose steps are noted.

import { browserDownloads } from '../../dist/download/browser.js';
import { Connection } from '../../dist/page/connection.js';
import { createLlm } from '../../dist/page/llm.js';
import { Service } from '../../dist/worker/serve.js';
import { collect, FakeLlm, fakeRuntime, gate, loadCall, settle } from './fake.mjs';

const call = loadCall([new Blob(['x'])], { device: 'auto' });

/**
 * Notes every step as `name:begin`, `name:prompt`, `name:word` or `name:end`. `before` is that of
 * {@link FakeLlm}.
 */
export class Noted extends FakeLlm {
  steps = [];

  constructor(before = () => {}) {
    super((event, name) => {
      this.steps.push(`${name}:${event.type === 'token' ? event.text : event.type}`);
      return before(event, name);
    });
  }

  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    this.steps.push(`${this.name}:begin`);
  }

  /** Names of generations that hold memory now. */
  get alive() {
    const alive = [];
    for (const [what, name] of this.log) {
      if (what === 'start') alive.push(name);
      if (what === 'stop') alive.splice(alive.indexOf(name), 1);
    }
    return alive;
  }
}

/** As many tabs as are asked for, on one model. */
export async function tabs(t, fake, count, more = {}) {
  const runtime = Object.assign(fakeRuntime(fake), more);
  const service = new Service(
    async () => runtime,
    browserDownloads,
    () => {},
  );
  const opened = Array.from({ length: count }, async () => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    const connection = new Connection(port1, () => port1.close());
    const drop = service.connect(port2);
    return { drop, connection, llm: createLlm(connection, await connection.request(call)) };
  });
  return Promise.all(opened);
}

/** Calls that begin in the same step of the worker: a step is held until all of them are there. */
export async function together(fake, llm, begin) {
  const held = gate();
  const before = fake.before;
  fake.before = async (event, name) => {
    if (name === 'held') await held.opened;
    return before(event, name);
  };
  const first = collect(llm.generate('held'));
  await settle();
  const begun = begin();
  await settle();
  held.open();
  const answers = await Promise.all(begun);
  await first;
  return answers;
}
