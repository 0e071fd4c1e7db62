// Runs the sessions of all cases in turns, so that what slows the machine slows all cases alike.

import { step } from '../../scripts/lib/run.mjs';
import { installPacked } from '../../tests/web/packed.mjs';
import { browserSession, serveBench } from './browser.mjs';
import { nameOf } from './cases.mjs';
import { rowOf } from './figures.mjs';
import { nativeSession } from './native.mjs';

/**
 * If others use more of the machine than this, the session is repeated once, and the less disturbed
 * run counts.
 */
const mostDisturbance = 0.05;
const mostTries = 2;

/** @returns {Promise<object[]>} one row a case, see `rowOf` */
export async function measure(model, cases, repetitions) {
  const sessions = new Map(cases.map((each) => [each, []]));
  const packed = await installPacked();
  const server = await serveBench(packed.folder);
  try {
    for (let repetition = 1; repetition <= repetitions; repetition += 1) {
      for (const [each, done] of sessions) {
        // A case with a wrong answer, or none, is not timed again.
        if (done.some((session) => session.failure)) continue;
        done.push(await calmSession(server, model, each, `${repetition}/${repetitions} ${nameOf(each)}`));
      }
    }
  } finally {
    await server.close();
    await packed.remove();
  }
  return [...sessions].map(([each, done]) => rowOf(each, done));
}

async function calmSession(server, model, each, title) {
  let calmest;
  try {
    for (let tries = 0; tries < mostTries && !(calmest?.disturbance <= mostDisturbance); tries += 1) {
      await step(title, async () => {
        const session = await (each.host === 'native'
          ? nativeSession(model, each)
          : browserSession(server, model, each));
        if (!(session.disturbance >= calmest?.disturbance)) calmest = session;
        return inWords(session);
      });
    }
    return calmest;
  } catch (error) {
    const failure = error.message.split('\n')[0];
    console.log(`  ${failure}`);
    return { failure };
  }
}

function inWords({ prefill_tok_s, decode_tok_s, disturbance }) {
  const others = `others took ${Math.round(disturbance * 100)} % of the machine`;
  return `prefill ${prefill_tok_s.toFixed(1)}, decode ${decode_tok_s?.toFixed(1)} tokens/s; ${others}`;
}
