/** Every failure as a sentence that says what happened, what to do, and the buttons that do it. */
import { WeftError } from 'weft-llm';
import { fromTemplate, within } from './dom';

const remedyLabels = {
  retry: 'Try again',
  'load-again': 'Load the model again',
  'use-cpu': 'Load it on the CPU',
  'new-chat': 'Start a new chat',
  settings: 'Open settings',
  pick: 'Choose another model',
} as const;

/** Something the page can do about an error. */
export type Remedy = keyof typeof remedyLabels;

interface Explanation {
  readonly title: string;
  readonly text: string;
  readonly remedies: readonly Remedy[];
}

const wrongFile = ['pick'] as const;

const explanations: Readonly<Record<string, Explanation>> = {
  INVALID_FILE: {
    title: 'This is not a model file that weft can read',
    text: 'weft reads GGUF files, which usually end in .gguf. Choose another file, or download this one again if it should be one.',
    remedies: wrongFile,
  },
  TRUNCATED_FILE: {
    title: 'The model file is incomplete',
    text: 'It ends before all weights came, so the download was probably cut off. Download it again.',
    remedies: ['retry', 'pick'],
  },
  UNSUPPORTED_TENSOR_TYPE: {
    title: 'This quantisation is not supported',
    text: 'The weights are stored in a format that weft does not read. Look for a Q4_0, Q4_1, Q8_0 or F16 file of the same model.',
    remedies: wrongFile,
  },
  UNSUPPORTED_MODEL: {
    title: 'This kind of model is not supported',
    text: 'The file is sound, but weft does not run its architecture. Choose a Llama-like model.',
    remedies: wrongFile,
  },
  INVALID_MODEL: {
    title: 'The model file contradicts itself',
    text: 'A part is missing or has the wrong shape. If the model came in several files, choose all of them together; else download it again.',
    remedies: wrongFile,
  },
  UNSUPPORTED_TOKENIZER: {
    title: 'The tokenizer of this model is not supported',
    text: 'The file is sound, but weft cannot split text the way this model wants it. Choose another model.',
    remedies: wrongFile,
  },
  TOKENIZE: {
    title: 'This text could not be read by the model',
    text: 'The tokenizer refused it. Change the text, which is back in the box below, and send it again.',
    remedies: [],
  },
  CHAT_TEMPLATE: {
    title: 'This model cannot take the conversation',
    text: 'Its chat template is missing or refused the messages. A model made for chat, often called “instruct”, has one; some refuse a system prompt.',
    remedies: ['settings', 'new-chat', 'pick'],
  },
  CONTEXT_OVERFLOW: {
    title: 'The conversation has become too long',
    text: 'A model sees a limited number of tokens at once, and this conversation does not fit any more. Start a new chat with this question, shorten it, or load the model with a longer context.',
    remedies: ['new-chat', 'settings'],
  },
  INVALID_OPTION: {
    title: 'A setting has a value that does not work',
    text: 'Open the settings and correct it, or reset them all.',
    remedies: ['settings', 'retry'],
  },
  GPU_UNAVAILABLE: {
    title: 'This browser offers no usable GPU',
    text: 'WebGPU is missing, switched off or blocked for this graphics card. The model also runs on the CPU, only slower; a current Chrome, Edge, Safari or Firefox has WebGPU.',
    remedies: ['use-cpu'],
  },
  DEVICE_LOST: {
    title: 'The connection to the GPU was lost',
    text: 'The driver was reset, or another program took its memory. The conversation is kept: load the model again and go on.',
    remedies: ['load-again', 'use-cpu'],
  },
  OUT_OF_MEMORY: {
    title: 'There is not enough memory for this model',
    text: 'Close other tabs, set a shorter context length, or take a smaller model or quantisation.',
    remedies: ['settings', 'use-cpu', 'pick'],
  },
  INVALID_LOGITS: {
    title: 'The model computed nonsense',
    text: 'The file is damaged or the graphics driver is faulty. The CPU tells which: if it works there, it was the driver.',
    remedies: ['use-cpu', 'pick'],
  },
  NETWORK: {
    title: 'The model could not be fetched',
    text: 'Check the address and the connection. A server elsewhere must allow this page to read the file (CORS).',
    remedies: ['retry', 'pick'],
  },
  WORKER_FAILED: {
    title: 'The engine did not start',
    text: 'Its worker or WebAssembly file could not be loaded. Reload the page; if it stays, an extension or a policy may block it.',
    remedies: ['load-again'],
  },
  CRASHED: {
    title: 'The engine crashed',
    text: 'That should not happen, and the conversation is kept. Load the model again and go on.',
    remedies: ['load-again', 'use-cpu'],
  },
  DISPOSED: {
    title: 'The model is no longer loaded',
    text: 'The conversation is kept. Load the model again and go on.',
    remedies: ['load-again', 'pick'],
  },
  NOT_SUPPORTED: {
    title: 'This browser lacks something that weft needs',
    text: 'Use a current Chrome, Edge, Safari or Firefox.',
    remedies: [],
  },
};

const unknown: Explanation = {
  title: 'Something went wrong in weft',
  text: 'That is a fault of the program and not yours. The conversation is kept; the details below help whoever looks into it.',
  remedies: ['load-again'],
};

/** The default model is a file of this very server, so its absence has a remedy of its own. */
const defaultModelMissing: Explanation = {
  title: 'The default model is not on this server yet',
  text: 'Run “npm start” in the project’s folder: it fetches the file into models/. Or choose a file or an address below.',
  remedies: ['retry'],
};

/** True where an error only says that the user cancelled. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || codeOf(error) === 'ABORTED');
}

function codeOf(error: unknown): string | undefined {
  return error instanceof WeftError ? error.code : undefined;
}

/** The one error that the page shows; a newer one replaces it. */
export class ErrorCard {
  readonly #act: (remedy: Remedy) => void;
  #element: HTMLElement | undefined;

  constructor(act: (remedy: Remedy) => void) {
    this.#act = act;
  }

  /** Shows an error inside `place`. `defaultModel`: it came from loading the default model. */
  show(error: unknown, place: HTMLElement, { defaultModel = false } = {}): void {
    this.clear();
    const code = codeOf(error);
    const { title, text, remedies } =
      defaultModel && code === 'NETWORK' ? defaultModelMissing : (explanations[code ?? ''] ?? unknown);
    const card = fromTemplate('error-template');
    card.dataset['code'] = code ?? 'UNKNOWN';
    within(card, 'h2', HTMLElement).textContent = title;
    within(card, 'p', HTMLElement).textContent = text;
    within(card, '.message', HTMLElement).textContent =
      `${code ?? 'UNKNOWN'}: ${error instanceof Error ? error.message : String(error)}`;
    within(card, '.remedies', HTMLElement).append(...remedies.map((remedy) => this.#button(remedy)));
    within(card, '.dismiss', HTMLElement).addEventListener('click', () => this.clear());
    place.append(card);
    this.#element = card;
  }

  clear(): void {
    this.#element?.remove();
    this.#element = undefined;
  }

  #button(remedy: Remedy): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = remedyLabels[remedy];
    button.addEventListener('click', () => this.#act(remedy));
    return button;
  }
}
