/** Explains every failure in plain words, with remedies. */

import { WeftError, type ErrorCode } from 'weft-llm';

/** The action of a button under an error; page.ts implements it. */
export type Remedy = 'retry' | 'use-cpu' | 'reload-model' | 'choose-model' | 'choose-file' | 'new-chat' | 'settings';

export const labels: Record<Remedy, string> = {
  retry: 'Try again',
  'use-cpu': 'Load it on the CPU',
  'reload-model': 'Reload the model',
  'choose-model': 'Choose another model',
  'choose-file': 'Choose the file',
  'new-chat': 'Begin a new chat',
  settings: 'Open the settings',
};

export interface Explanation {
  title: string;
  text: string;
  remedies: Remedy[];
}

const anotherFile =
  'weft reads GGUF files and folders of Hugging Face transformers: Llama, Qwen, Gemma, Phi, Mixtral and others. Choose another file, or load SmolLM2-135M.';

const explanations: Record<ErrorCode, Explanation> = {
  INVALID_FILE: { title: 'This file is not a model', text: anotherFile, remedies: ['choose-model'] },
  TRUNCATED_FILE: {
    title: 'The file ends too early',
    text: 'Its download was probably interrupted. Download the file again; for a split model, choose all parts together.',
    remedies: ['retry', 'choose-model'],
  },
  UNSUPPORTED_TENSOR_TYPE: {
    title: 'weft cannot read these weights',
    text: 'The same model in another quantisation, such as Q4_K_M or Q8_0, may work.',
    remedies: ['choose-model'],
  },
  UNSUPPORTED_MODEL: {
    title: 'weft cannot run this kind of model',
    text: anotherFile,
    remedies: ['choose-model'],
  },
  UNSUPPORTED_TOKENIZER: {
    title: 'weft cannot read this model’s text encoding',
    text: anotherFile,
    remedies: ['choose-model'],
  },
  INVALID_MODEL: {
    title: 'The model’s file is damaged',
    text: 'Its parts do not fit together. Download the file again, or choose another.',
    remedies: ['retry', 'choose-model'],
  },
  NETWORK: {
    title: 'The model could not be downloaded',
    text: 'Its server did not answer. Check the address. The server must also allow other sites to read the file (CORS); if it does not, download the file and choose it here.',
    remedies: ['retry', 'choose-model'],
  },
  FILE_CHANGED: {
    title: 'The model changed during the download',
    text: 'The file on the server was just replaced. Try again in a moment.',
    remedies: ['retry'],
  },
  INTEGRITY: {
    title: 'This is not the expected file',
    text: 'Its SHA-256 is wrong. It was not stored.',
    remedies: ['retry', 'choose-model'],
  },
  SERVER: {
    title: 'The server refused',
    text: 'The page does not ask servers for answers, so this is a bug in the page. Please report it.',
    remedies: [],
  },
  QUOTA_EXCEEDED: {
    title: 'The browser has no room for the model',
    text: 'Free some space in the browser’s storage, or choose a smaller model.',
    remedies: ['retry', 'choose-model'],
  },
  NOT_STORED: {
    title: 'The model is not stored completely',
    text: 'Load it to download the rest.',
    remedies: ['retry'],
  },
  GPU_UNAVAILABLE: {
    title: 'This browser offers no GPU to the page',
    text: 'A current Chrome, Edge, Firefox or Safari with WebGPU turned on may offer one. The CPU works everywhere, but is slower.',
    remedies: ['use-cpu'],
  },
  DEVICE_LOST: {
    title: 'The GPU went away',
    text: 'The system took it back, after sleep or a driver update for instance. The conversation is still here.',
    remedies: ['reload-model', 'use-cpu'],
  },
  OUT_OF_MEMORY: {
    title: 'There is not enough memory for this model',
    text: 'Close other tabs, choose a shorter context length in the settings, or take a smaller model.',
    remedies: ['retry', 'settings'],
  },
  INVALID_LOGITS: {
    title: 'The model computed nonsense',
    text: 'The file may be damaged, or the GPU’s driver faulty. Try the CPU to find out which.',
    remedies: ['use-cpu', 'choose-model'],
  },
  NOT_SUPPORTED: {
    title: 'This browser cannot run weft',
    text: 'It needs WebAssembly with SIMD and web workers, which every current browser has.',
    remedies: [],
  },
  WORKER_FAILED: {
    title: 'weft could not start',
    text: 'Part of the page did not arrive. Try again, or reload the page.',
    remedies: ['retry'],
  },
  CRASHED: {
    title: 'The engine crashed',
    text: 'Memory may have run out. The conversation is still here; load the model again to go on.',
    remedies: ['reload-model', 'settings'],
  },
  INVALID_OPTION: {
    title: 'A setting has an invalid value',
    text: 'The details name it. You can reset the settings.',
    remedies: ['settings'],
  },
  CONTEXT_OVERFLOW: {
    title: 'This is too long for the context',
    text: 'The model cannot read so much at once. Shorten the question, which is in the field again, or load the model with a longer context length.',
    remedies: ['settings'],
  },
  UNSUPPORTED_TASK: {
    title: 'This model cannot do that',
    text: 'Some models write text, others give vectors or labels. The details say what this one does.',
    remedies: ['choose-model'],
  },
  TOKENIZE: { title: 'The text could not be read', text: 'Change the text and send it again.', remedies: ['retry'] },
  CHAT_TEMPLATE: {
    title: 'The model’s chat format refused the conversation',
    text: 'Some models do not allow a system prompt: clear it in the settings, and try again.',
    remedies: ['settings', 'retry'],
  },
  INVALID_CONSTRAINT: {
    title: 'No answer can fit this form',
    text: 'The details name the field. Change it and try again.',
    remedies: [],
  },
  INVALID_SESSION: {
    title: 'The saved conversation cannot be read',
    text: 'The page does not save conversations like this, so this is a bug in the page. Please report it.',
    remedies: [],
  },
  DISPOSED: {
    title: 'The model is no longer loaded',
    text: 'Load it again to go on. The conversation is still here.',
    remedies: ['reload-model', 'choose-model'],
  },
  INTERNAL: {
    title: 'Something in weft failed',
    text: 'This is a bug; a report with the details helps to fix it. Loading the model again may help.',
    remedies: ['reload-model'],
  },
};

/** Failures of the network that are told apart by what weft says of them. */
const networkFailures: readonly (readonly [RegExp, Explanation])[] = [
  [
    /browser is offline/,
    {
      title: 'This device is offline',
      text: 'Connect it and try again. A model that is stored on this device loads without a network.',
      remedies: ['retry', 'choose-model'],
    },
  ],
  [
    /answered 404/,
    {
      title: 'There is no file at this address',
      text: 'The server answers, but has no such file (404). Check the address for a typing error.',
      remedies: ['choose-model', 'retry'],
    },
  ],
  [
    /answered 40[13]/,
    {
      title: 'The server does not give out this file',
      text: 'It asks for a permission that the page does not have. Download the file yourself and choose it here.',
      remedies: ['choose-model', 'retry'],
    },
  ],
  [
    /answered \d{3}/,
    {
      title: 'The server failed',
      text: 'The address may be right; the server is not well. Try again later.',
      remedies: ['retry', 'choose-model'],
    },
  ],
];

const missingDefault: Explanation = {
  title: 'SmolLM2-135M is not on this server yet',
  text: 'Run npm start in weft’s folder: it downloads the model (98 MB) and then serves this page. Or choose a GGUF file here.',
  remedies: ['retry'],
};

/** The model of a saved chat was a file, which a page may not open by itself. */
export function missingFile(name: string | null): Explanation {
  return {
    title: name ? `The model was your file ${name}` : 'The model was a file of yours',
    text: 'The page cannot open it by itself after a reload. Choose it again to go on, or take another model.',
    remedies: ['choose-file', 'choose-model'],
  };
}

/** `fromHere`: the model was requested from this page's server. */
export function explain(error: unknown, fromHere = false): Explanation {
  const code = error instanceof WeftError ? error.code : 'INTERNAL';
  if (code !== 'NETWORK') return explanations[code];
  const message = messageOf(error);
  if (fromHere && /\b404\b/.test(message)) return missingDefault;
  return networkFailures.find(([said]) => said.test(message))?.[1] ?? explanations.NETWORK;
}

/** What weft says, for those who want to know. */
export const details = (error: unknown) =>
  error instanceof WeftError ? `${error.code}: ${error.message}` : messageOf(error);

/** Whether the model can be used no longer. */
export function isFatal(error: unknown): boolean {
  const fatal = ['DEVICE_LOST', 'CRASHED', 'DISPOSED', 'INTERNAL', 'OUT_OF_MEMORY', 'INVALID_LOGITS'];
  return !(error instanceof WeftError) || fatal.includes(error.code);
}

/** A note of weft in words that need no knowledge of browsers. */
export function plainNote(note: string): string {
  return /is not stored|store cannot be used/.test(note)
    ? 'There is no room on this device to keep the model. It works, and the next visit downloads it again.'
    : note;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
