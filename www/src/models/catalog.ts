/**
 * Open models that weft runs. Sizes are those of the named files; names and licences are those that
 * their makers give them. A model is here if one of its files has at most a few gigabytes.
 */

import { t } from '../text/text.js';

/** What a model is made for. Every one that chats also continues text. */
export type Use = 'chat' | 'code' | 'reasoning' | 'tools' | 'search';

export interface CatalogModel {
  readonly name: string;
  readonly family: string;
  /** Number of weights, as its makers say it; `used`: those of a mixture that a token uses. */
  readonly parameters: string;
  readonly used?: string;
  /** Size of the file; of a folder: of its weights. */
  readonly bytes: number;
  /** Of the weights of a mixture of experts, the share that a token uses. */
  readonly active?: number;
  readonly license: string;
  readonly uses: readonly Use[];
  /** As `load` takes it. */
  readonly source: string;
}

const APACHE = 'Apache 2.0';
const LLAMA = 'Llama 3.2 Community License';
const GEMMA = 'Gemma Terms of Use';

/** By family, the smallest first. */
export const catalog: readonly CatalogModel[] = [
  {
    name: 'SmolLM2 135M Instruct',
    family: 'SmolLM',
    parameters: '135M',
    bytes: 105_454_144,
    license: APACHE,
    uses: ['chat'],
    source: 'hf:unsloth/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf',
  },
  {
    name: 'SmolLM2 360M Instruct',
    family: 'SmolLM',
    parameters: '360M',
    bytes: 270_590_880,
    license: APACHE,
    uses: ['chat'],
    source: 'hf:bartowski/SmolLM2-360M-Instruct-GGUF/SmolLM2-360M-Instruct-Q4_K_M.gguf',
  },
  {
    name: 'SmolLM2 1.7B Instruct',
    family: 'SmolLM',
    parameters: '1.7B',
    bytes: 1_055_609_824,
    license: APACHE,
    uses: ['chat'],
    source: 'hf:bartowski/SmolLM2-1.7B-Instruct-GGUF/SmolLM2-1.7B-Instruct-Q4_K_M.gguf',
  },
  {
    name: 'SmolLM3 3B',
    family: 'SmolLM',
    parameters: '3B',
    bytes: 1_915_305_312,
    license: APACHE,
    uses: ['chat', 'reasoning', 'tools'],
    source: 'hf:ggml-org/SmolLM3-3B-GGUF/SmolLM3-Q4_K_M.gguf',
  },
  {
    name: 'Qwen2.5 0.5B Instruct',
    family: 'Qwen',
    parameters: '0.5B',
    bytes: 491_400_032,
    license: APACHE,
    uses: ['chat', 'tools'],
    source: 'hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf',
  },
  {
    name: 'Qwen2.5 1.5B Instruct',
    family: 'Qwen',
    parameters: '1.5B',
    bytes: 1_117_320_736,
    license: APACHE,
    uses: ['chat', 'tools'],
    source: 'hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf',
  },
  {
    name: 'Qwen2.5 Coder 1.5B Instruct',
    family: 'Qwen',
    parameters: '1.5B',
    bytes: 1_117_320_768,
    license: APACHE,
    uses: ['chat', 'code'],
    source: 'hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf',
  },
  {
    name: 'Qwen3 0.6B',
    family: 'Qwen',
    parameters: '0.6B',
    bytes: 396_705_472,
    license: APACHE,
    uses: ['chat', 'reasoning', 'tools'],
    source: 'hf:unsloth/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q4_K_M.gguf',
  },
  {
    name: 'Qwen3 1.7B',
    family: 'Qwen',
    parameters: '1.7B',
    bytes: 1_107_409_472,
    license: APACHE,
    uses: ['chat', 'reasoning', 'tools'],
    source: 'hf:unsloth/Qwen3-1.7B-GGUF/Qwen3-1.7B-Q4_K_M.gguf',
  },
  {
    name: 'DeepSeek R1 Distill Qwen 1.5B',
    family: 'Qwen',
    parameters: '1.5B',
    bytes: 1_117_320_480,
    license: 'MIT',
    uses: ['chat', 'reasoning'],
    source: 'hf:QuantFactory/DeepSeek-R1-Distill-Qwen-1.5B-GGUF/DeepSeek-R1-Distill-Qwen-1.5B.Q4_K_M.gguf',
  },
  {
    name: 'Llama 3.2 1B Instruct',
    family: 'Llama',
    parameters: '1B',
    bytes: 807_694_464,
    license: LLAMA,
    uses: ['chat', 'tools'],
    source: 'hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf',
  },
  {
    name: 'Llama 3.2 3B Instruct',
    family: 'Llama',
    parameters: '3B',
    bytes: 2_019_377_696,
    license: LLAMA,
    uses: ['chat', 'tools'],
    source: 'hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf',
  },
  {
    name: 'TinyLlama 1.1B Chat',
    family: 'Llama',
    parameters: '1.1B',
    bytes: 668_788_096,
    license: APACHE,
    uses: ['chat'],
    source: 'hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf',
  },
  {
    name: 'Gemma 3 270M',
    family: 'Gemma',
    parameters: '270M',
    bytes: 291_545_600,
    license: GEMMA,
    uses: ['chat'],
    source: 'hf:ggml-org/gemma-3-270m-it-GGUF/gemma-3-270m-it-Q8_0.gguf',
  },
  {
    name: 'Gemma 3 1B',
    family: 'Gemma',
    parameters: '1B',
    bytes: 806_058_272,
    license: GEMMA,
    uses: ['chat'],
    source: 'hf:unsloth/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf',
  },
  {
    name: 'Gemma 2 2B',
    family: 'Gemma',
    parameters: '2B',
    bytes: 1_708_582_752,
    license: GEMMA,
    uses: ['chat'],
    source: 'hf:bartowski/gemma-2-2b-it-GGUF/gemma-2-2b-it-Q4_K_M.gguf',
  },
  {
    name: 'Phi-3.5 mini Instruct',
    family: 'Phi',
    parameters: '3.8B',
    bytes: 2_393_232_672,
    license: 'MIT',
    uses: ['chat'],
    source: 'hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q4_K_M.gguf',
  },
  {
    name: 'Granite 3.3 2B Instruct',
    family: 'Granite',
    parameters: '2B',
    bytes: 1_545_303_328,
    license: APACHE,
    uses: ['chat', 'tools'],
    source: 'hf:ibm-granite/granite-3.3-2b-instruct-GGUF/granite-3.3-2b-instruct-Q4_K_M.gguf',
  },
  {
    name: 'OLMoE 1B-7B Instruct',
    family: 'OLMoE',
    parameters: '7B',
    used: '1B',
    bytes: 4_213_512_672,
    active: 1 / 7,
    license: APACHE,
    uses: ['chat'],
    source: 'hf:allenai/OLMoE-1B-7B-0924-Instruct-GGUF/olmoe-1b-7b-0924-instruct-q4_k_m.gguf',
  },
  {
    name: 'all-MiniLM-L6-v2',
    family: 'MiniLM',
    parameters: '23M',
    bytes: 90_868_376,
    license: APACHE,
    uses: ['search'],
    source: 'hf:sentence-transformers/all-MiniLM-L6-v2',
  },
];

/** The entry that a stored file belongs to: of a folder, each of its files. */
export const entryOf = (source: string): CatalogModel | undefined =>
  catalog.find((model) => bare(source) === model.source || bare(source).startsWith(`${model.source}/`));

/** An address without the branch `main`, which an address without any means. */
const bare = (source: string) => source.replace(/@main(?=\/|$)/, '');

/** Words in any order, each in the name, family, size, licence or uses. */
export function matches(model: CatalogModel, words: string, use: Use | '', most: number): boolean {
  const uses = model.uses.flatMap((one) => [one, t(`use-${one}`)]);
  const text = [model.name, model.family, model.parameters, model.license, ...uses].join(' ').toLocaleLowerCase();
  const wanted = words.toLocaleLowerCase().split(/\s+/);
  return wanted.every((word) => text.includes(word)) && (use === '' || model.uses.includes(use)) && model.bytes <= most;
}
