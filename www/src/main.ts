/** Wires the parts together: which view shows, which model is loaded, and what each remedy does. */
import { load, type Llm, type ModelInfo, type ModelSource } from 'weft-llm';
import { Chat } from './chat';
import { Composer } from './composer';
import { byId } from './dom';
import { ErrorCard, isAbort, type Remedy } from './errors';
import { LoadingView } from './loading';
import { defaultModel, setUpModelPicker } from './model-picker';
import { Notice } from './notice';
import { Settings } from './settings';
import { bytes, parameters } from './units';

type View = 'picker' | 'loading' | 'chat';

let llm: Llm | undefined;
let source: ModelSource = defaultModel;
let loading: AbortController | undefined;

const changeModel = byId('change-model', HTMLButtonElement);
const clear = byId('clear', HTMLButtonElement);
const back = byId('back', HTMLButtonElement);
const engine = byId('engine', HTMLElement);

const settings = new Settings(() => void loadModel(source));
const loadingView = new LoadingView(() => loading?.abort());
const notice = new Notice();
const errors = new ErrorCard(act);
const composer = new Composer({
  send(text) {
    errors.clear();
    void chat.ask(text);
  },
  stop: () => chat.stop(),
});
const chat = new Chat(settings, {
  busy(busy) {
    composer.setBusy(busy);
    clear.hidden = chat.isEmpty;
  },
  giveBack: (question) => composer.giveBack(question),
  failed: (error) => errors.show(error, byId('chat-error', HTMLElement)),
});

setUpModelPicker((model) => void loadModel(model));
changeModel.addEventListener('click', () => show('picker'));
back.addEventListener('click', () => show('chat'));
clear.addEventListener('click', clearChat);
for (const example of document.querySelectorAll('.example')) {
  example.addEventListener('click', () => {
    composer.giveBack(example.textContent);
    composer.submit();
  });
}
addEventListener('pagehide', (event) => {
  if (!event.persisted) llm?.dispose();
});
show('picker');

async function loadModel(model: ModelSource): Promise<void> {
  // The old model goes first: two rarely fit.
  loading?.abort();
  unload();
  errors.clear();
  source = model;
  const abort = new AbortController();
  loading = abort;
  loadingView.begin();
  show('loading');
  try {
    const loaded = await load({
      model,
      ...settings.loadOptions,
      signal: abort.signal,
      onProgress: (progress) => loadingView.update(progress),
    });
    // Another choice may have come just as this one arrived.
    if (loading !== abort) return loaded.dispose();
    llm = loaded;
    chat.useModel(llm);
    settings.markLoaded(true);
    engine.textContent = describe(llm.info);
    show('chat');
  } catch (error) {
    if (loading !== abort) return;
    show(chat.isEmpty ? 'picker' : 'chat');
    if (isAbort(error)) return;
    const place = byId(chat.isEmpty ? 'picker-error' : 'chat-error', HTMLElement);
    errors.show(error, place, { defaultModel: model === defaultModel });
  } finally {
    if (loading === abort) loading = undefined;
  }
}

function unload(): void {
  chat.useModel(undefined);
  llm?.dispose();
  llm = undefined;
  settings.markLoaded(false);
  engine.textContent = '';
}

function show(view: View): void {
  document.body.dataset['view'] = view;
  changeModel.hidden = view !== 'chat';
  clear.hidden = view !== 'chat' || chat.isEmpty;
  back.hidden = llm === undefined && chat.isEmpty;
  composer.setReady(view === 'chat' && llm !== undefined);
  // The control that had the focus is gone with its view: hand it to what comes next.
  if (view === 'chat') composer.focus();
  if (view === 'loading') byId('cancel-load', HTMLElement).focus();
  if (view === 'picker' && document.activeElement === document.body) byId('load-default', HTMLElement).focus();
}

function clearChat(): void {
  const undo = chat.clear();
  errors.clear();
  clear.hidden = true;
  notice.show('The chat was cleared.', 'Undo', () => {
    undo();
    clear.hidden = false;
  });
  composer.focus();
}

function act(remedy: Remedy): void {
  errors.clear();
  switch (remedy) {
    case 'retry':
      // Without a model it was loading that failed; else the question is back in its box.
      return llm ? composer.submit() : void loadModel(source);
    case 'load-again':
      return void loadModel(source);
    case 'use-cpu':
      settings.setDevice('cpu');
      return void loadModel(source);
    case 'new-chat':
      clearChat();
      return composer.submit();
    case 'settings':
      return settings.open();
    case 'pick':
      return show('picker');
  }
}

/** Which model runs where, and why there. */
function describe({ name, parameters: weights, quantization, engine }: ModelInfo): string {
  const memory = `${bytes(engine.memoryBytes)} ${engine.kind === 'gpu' ? 'GPU memory' : 'memory'}`;
  const model = `${name} (${parameters(weights)}, ${quantization})`;
  return `${model} on the ${engine.kind.toUpperCase()}: ${engine.description}. ${engine.reason} ${memory} + ${bytes(engine.wasmMemoryBytes)} WebAssembly.`;
}
