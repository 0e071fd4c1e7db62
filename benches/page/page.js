// Loads the runtime that the address names, asks it the questions there, and leaves what came of it
// in `outcome`. `stage` and `tokens` say how far it came: a session may hang.
//
// A runtime is a module in runtimes/ with one function, `start({ engine, threads, file })`, that
// gives { about, chat(question, maxTokens, onToken), forget() }:
//   about    what it says of itself, for the results
//   chat     answers greedily, by the model's chat template; calls `onToken(text)` for each token,
//            and stops where that gives false
//   forget   leaves nothing of the last conversation behind that the next could reuse

const { runtime, engine, threads, file, questions } = JSON.parse(new URLSearchParams(location.search).get('session'));

/** Milliseconds from the question to each token, and the text. */
async function answer(llm, { question, maxTokens, maxSeconds }) {
  const times = [];
  let text = '';
  const start = performance.now();
  await llm.chat(question, maxTokens, (piece) => {
    times.push(performance.now() - start);
    text += piece;
    globalThis.tokens = times.length;
    return times.length < maxTokens && times.at(-1) - times[0] < maxSeconds * 1000;
  });
  return { times, text };
}

async function session() {
  globalThis.stage = 'loading';
  const { start } = await import(`./runtimes/${runtime}.js`);
  const llm = await start({ engine, threads, file });
  // the clock of a page starts with the navigation to it
  const ready_ms = performance.now();
  const answers = {};
  for (const [name, request] of Object.entries(questions)) {
    globalThis.stage = `answering the ${name} question`;
    answers[name] = await answer(llm, request);
    globalThis.stage = `forgetting the ${name} question`;
    await llm.forget();
  }
  const adapter = engine.includes('gpu') ? (await navigator.gpu?.requestAdapter())?.info : undefined;
  const { vendor, architecture, device, description } = adapter ?? {};
  return { ready_ms, answers, about: llm.about, adapter: [vendor, architecture, device, description].join(' ').trim() };
}

globalThis.outcome = undefined;
session().then(
  (outcome) => (globalThis.outcome = outcome),
  (error) => (globalThis.outcome = { error: String(error) }),
);
