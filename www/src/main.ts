/** The page: chooses the visible part, loads models, and connects the parts. */

import { load, WeftError, type EngineInfo, type Llm, type ModelSource } from 'weft-llm';
import { Chat } from './chat.js';
import { focusPrompt, promptIsEmpty, setBusy, setPrompt, startComposer } from './composer.js';
import { byId, formatBytes } from './dom.js';
import { showError, type Remedy } from './errors.js';
import { LoadingView } from './loading.js';
import { DEFAULT_MODEL, startPicker } from './model-picker.js';
import { keepEngine, startOffline } from './offline.js';
import { followEnd, startScroll } from './scroll.js';
import { loadSettings, noteLoaded, openSettings, setDevice, startSettings } from './settings.js';
import { showStored } from './stored-models.js';

const changeModel = byId('change-model', HTMLButtonElement);
const clearButton = byId('clear', HTMLButtonElement);
const back = byId('back', HTMLButtonElement);
const chatError = byId('chat-error', HTMLElement);
const pickerError = byId('picker-error', HTMLElement);
const notice = byId('notice', HTMLElement);

type View = 'picker' | 'loading' | 'chat';
let model: Llm | null = null;
let source: ModelSource = DEFAULT_MODEL;
let loading: AbortController | null = null;

const chat = new Chat({ onError: onChatError, onChange: update });

function show(view: View): void {
  document.body.dataset['view'] = view;
  update();
  if (view === 'chat') {
    followEnd();
    focusPrompt();
    return;
  }
  if (view === 'picker') void showStored(loadStored);
  byId('main', HTMLElement).scrollTop = 0;
  byId(view === 'loading' ? 'cancel-load' : 'load-default', HTMLElement).focus();
}

function update(): void {
  const view = document.body.dataset['view'];
  setBusy(chat.busy);
  clearButton.hidden = view !== 'chat' || chat.empty;
  changeModel.hidden = view !== 'chat';
  back.hidden = model === null && chat.empty;
  byId('open-settings', HTMLElement).hidden = view === 'loading';
}

async function loadModel(wanted: ModelSource): Promise<void> {
  loading?.abort();
  const current = new AbortController();
  loading = current;
  chat.stop();
  pickerError.replaceChildren();
  chatError.replaceChildren();
  const settings = loadSettings();
  const view = new LoadingView();
  show('loading');
  try {
    const options = { model: wanted, ...settings, signal: current.signal };
    const loaded = await load({ ...options, onProgress: (progress) => current === loading && view.update(progress) });
    if (current !== loading) return loaded.dispose();
    // The previous model is freed only now, so that a broken file does not cost the working one.
    model?.dispose();
    model = chat.model = loaded;
    source = wanted;
    noteLoaded(settings);
    void keepEngine(loaded.info.engine.build);
    byId('engine', HTMLElement).textContent = describeEngine(loaded);
    show('chat');
  } catch (error) {
    if (current !== loading) return;
    if (model && error instanceof WeftError && error.code === 'OUT_OF_MEMORY') {
      // Except if there is no memory for both.
      unload();
      return loadModel(wanted);
    }
    show(model ? 'chat' : 'picker');
    if (!current.signal.aborted) {
      const place = model ? chatError : pickerError;
      showError(place, error, { fromHere: wanted === DEFAULT_MODEL, onRemedy: (remedy) => mend(remedy, wanted) });
    }
  }
}

const loadStored = (stored: string) => void loadModel(stored);

function unload(): void {
  model?.dispose();
  model = chat.model = null;
}

function onChatError(error: unknown): void {
  const fatal = ['DEVICE_LOST', 'CRASHED', 'DISPOSED', 'INTERNAL', 'OUT_OF_MEMORY', 'INVALID_LOGITS'];
  if (!(error instanceof WeftError) || fatal.includes(error.code)) unload();
  showError(chatError, error, {
    onRemedy: (remedy) => (remedy === 'retry' && model ? void chat.regenerate() : mend(remedy, source)),
  });
}

/** `wanted`: the model that failed to load. */
function mend(remedy: Remedy, wanted: ModelSource): void {
  switch (remedy) {
    case 'retry':
    case 'reload-model':
      return void loadModel(wanted);
    case 'use-cpu':
      setDevice('cpu');
      return void loadModel(wanted);
    case 'choose-model':
      return show('picker');
    case 'clear':
      return clear();
    case 'settings':
      return openSettings();
  }
}

function clear(): void {
  const { restore, unanswered } = chat.clear();
  chatError.replaceChildren();
  if (promptIsEmpty()) setPrompt(unanswered);
  const undo = document.createElement('button');
  undo.type = 'button';
  undo.textContent = 'Undo';
  const text = document.createElement('p');
  text.textContent = 'The conversation is cleared.';
  undo.addEventListener('click', () => {
    notice.replaceChildren();
    restore();
    followEnd();
    focusPrompt();
  });
  notice.replaceChildren(text, undo);
  focusPrompt();
}

function ask(question: string): boolean {
  notice.replaceChildren();
  chatError.replaceChildren();
  followEnd();
  return chat.send(question);
}

function describeEngine({ info }: Llm): string {
  const { kind, description, reason } = info.engine;
  const engine = `${kind === 'gpu' ? 'GPU' : 'CPU'} (${description})`;
  return `${info.name} ${info.quantization} on the ${engine} · ${memory(info.engine)} · ${reason}`;
}

/** The CPU engine's memory is inside the module's; a GPU's comes on top. */
function memory({ kind, memoryBytes, wasmMemoryBytes }: EngineInfo): string {
  return formatBytes(kind === 'gpu' ? memoryBytes + wasmMemoryBytes : Math.max(memoryBytes, wasmMemoryBytes));
}

startOffline();
startSettings(() => void loadModel(source));
startPicker((wanted) => void loadModel(wanted));
startComposer({ onSend: ask, onStop: () => chat.stop() });
startScroll();
void showStored(loadStored);
clearButton.addEventListener('click', clear);
changeModel.addEventListener('click', () => show('picker'));
back.addEventListener('click', () => show('chat'));
byId('cancel-load', HTMLElement).addEventListener('click', () => loading?.abort());
for (const example of document.querySelectorAll('.example')) {
  example.addEventListener('click', () => {
    ask(example.textContent ?? '');
    focusPrompt();
  });
}
update();
