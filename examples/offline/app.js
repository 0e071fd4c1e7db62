const smolLM = 'hf:bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf';
const model = new URLSearchParams(location.search).get('model') ?? smolLM;

const find = (selector) => document.querySelector(selector);
const [question, stop, status, loading, answer] = ['#question', '#stop', '#status', '#loading', '#answer'].map(find);
const ready = startServiceWorker();
let llm;

find('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!stop.hidden) return; // still at work
  const controller = new AbortController();
  const { signal } = controller;
  stop.onclick = () => controller.abort();
  stop.hidden = false;
  answer.textContent = '';
  answer.ariaBusy = 'true'; // a screen reader waits for the whole answer
  try {
    say('Loading the model…');
    llm ??= await loadModel(signal);
    say('Answering…');
    const messages = [{ role: 'user', content: question.value }];
    // A small model says fewer strange things at a low temperature.
    for await (const { text } of llm.chat(messages, { temperature: 0.2, signal })) answer.append(text);
    say(signal.aborted ? 'Stopped.' : 'Done.');
  } catch (error) {
    say(signal.aborted ? 'Stopped.' : error.message, !signal.aborted);
  }
  if (document.activeElement === stop) question.focus();
  stop.hidden = true;
  answer.ariaBusy = 'false';
});

async function loadModel(signal) {
  // weft is imported only now, so that the service worker sees each of its files and keeps it.
  await ready;
  const { load, models } = await import('weft-llm');
  const loaded = await load({ model, signal, onProgress });
  // Else the browser may drop the model when it runs out of room.
  await models.persist();
  return loaded;
}

/** Fulfilled when all that this page fetches goes through the service worker. */
async function startServiceWorker() {
  const { serviceWorker } = navigator;
  const controlled = new Promise((resolve) => serviceWorker.addEventListener('controllerchange', resolve));
  await serviceWorker.register('service-worker.js');
  if (!serviceWorker.controller) await controlled;
}

function say(words, isError = false) {
  loading.hidden = true;
  status.textContent = words;
  status.classList.toggle('error', isError);
}

function onProgress({ loaded, total }) {
  const megabytes = (bytes) => Math.round(bytes / 1e6);
  loading.hidden = false;
  find('#loaded').textContent = `${megabytes(loaded)} of ${total ? megabytes(total) : '?'} MB`;
  if (total) find('progress').value = loaded / total;
}
