// The lists in README.md and js/README.md of what weft runs and reads, from the tables in
// `src/model/architecture.rs` and `src/format/block.rs`.

import { readFileSync } from 'node:fs';
import { inRoot } from './run.mjs';
import { section } from './section.mjs';

const textOf = (path) => readFileSync(inRoot(path), 'utf8');

export const DOCUMENTS = ['README.md', 'js/README.md'];

/**
 * What people call the models of each architecture, by kind: few know GGUF's names. An architecture
 * may have models of two kinds.
 */
export const MODELS = {
  llama: { decoder: 'Llama 2 and 3, SmolLM2, TinyLlama, Mistral, Ministral', experts: 'Mixtral' },
  qwen2: { decoder: 'Qwen 2 and 2.5' },
  qwen3: { decoder: 'Qwen 3' },
  qwen35: { decoder: 'Qwen 3.5' },
  gemma: { decoder: 'Gemma 1' },
  gemma2: { decoder: 'Gemma 2' },
  gemma3: { decoder: 'Gemma 3' },
  gemma3n: { decoder: 'Gemma 3n' },
  gemma4: { decoder: 'Gemma 4', experts: 'Gemma 4 26B-A4B' },
  mistral3: { decoder: 'Ministral 3' },
  olmo2: { decoder: 'OLMo 2 and 3' },
  phi2: { decoder: 'Phi 2' },
  phi3: { decoder: 'Phi 3' },
  smollm3: { decoder: 'SmolLM3' },
  granite: { decoder: 'Granite' },
  granitemoe: { experts: 'Granite MoE' },
  granitehybrid: { decoder: 'Granite 4 H', experts: 'Granite 4 H' },
  mamba: { decoder: 'Mamba, FalconMamba' },
  mamba2: { decoder: 'Mamba-2' },
  minicpm: { decoder: 'MiniCPM' },
  minicpm3: { decoder: 'MiniCPM 3' },
  deepseek2: { experts: 'DeepSeek V2, V2-Lite, V3 and R1' },
  ernie4_5: { decoder: 'ERNIE 4.5' },
  'ernie4_5-moe': { experts: 'ERNIE 4.5 MoE' },
  internlm2: { decoder: 'InternLM 2' },
  arcee: { decoder: 'Arcee' },
  bitnet: { decoder: 'BitNet b1.58' },
  seed_oss: { decoder: 'Seed-OSS' },
  exaone4: { decoder: 'EXAONE 4' },
  glm4: { decoder: 'GLM-4' },
  smallthinker: { experts: 'SmallThinker' },
  lfm2: { decoder: 'LFM2' },
  lfm2moe: { experts: 'LFM2 MoE' },
  'hunyuan-dense': { decoder: 'Hunyuan' },
  stablelm: { decoder: 'StableLM' },
  starcoder2: { decoder: 'StarCoder 2' },
  gpt2: { decoder: 'GPT-2' },
  'openai-gpt': { decoder: 'GPT-1' },
  gptneox: { decoder: 'GPT-NeoX' },
  gptj: { decoder: 'GPT-J' },
  falcon: { decoder: 'Falcon' },
  mpt: { decoder: 'MPT' },
  bloom: { decoder: 'BLOOM' },
  qwen2moe: { experts: 'Qwen 2 MoE' },
  qwen3moe: { experts: 'Qwen 3 MoE' },
  qwen35moe: { experts: 'Qwen 3.5 MoE' },
  qwen3next: { experts: 'Qwen3-Next' },
  'gpt-oss': { experts: 'gpt-oss' },
  olmoe: { experts: 'OLMoE' },
  phimoe: { experts: 'Phi-3.5 MoE' },
  llama_moe: { experts: 'LLaMA-MoE' },
  grok: { experts: 'Grok-1' },
  bert: { encoder: 'BERT, DistilBERT, MiniLM, bge, e5, XLM-RoBERTa, bge-m3, multilingual e5' },
  'nomic-bert': { encoder: 'Nomic Embed 1' },
  'nomic-bert-moe': { encoder: 'Nomic Embed 2', experts: 'Nomic Embed 2' },
  'jina-bert-v2': { encoder: 'Jina Embeddings 2' },
  'modern-bert': { encoder: 'ModernBERT' },
  'gemma-embedding': { encoder: 'EmbeddingGemma' },
  t5encoder: { encoder: 'the encoders of T5, mT5 and umT5' },
};

/** The rows of the table of architectures: `{ name, experts, encoder }`. */
export function architectures(source = textOf('src/model/architecture.rs')) {
  const [, table] = /^const ARCHITECTURES: .*?\[\n(.*?)^\];/ms.exec(source);
  const rows = table.replaceAll(/^ *\/\/.*\n/gm, '').split(/^ {4}(?=\w)/m);
  return rows.filter(Boolean).map((row) => ({
    name: nameIn(row) ?? nameIn(definitionOf(row, source)),
    experts: /\bexperts: Some/.test(row),
    encoder: /\bencoder: true/.test(row) || /\.\.BERT\b|^BERT,/.test(row),
  }));
}

const nameIn = (row) => /name: "([\w-]+)"|gpt\("([\w-]+)"/.exec(row)?.slice(1).find(Boolean);

/** The constant that a row is, or that names it. */
function definitionOf(row, source) {
  const constant = /\.\.([A-Z_\d]+) |^([A-Z_\d]+),/.exec(row).slice(1).find(Boolean);
  return source.slice(source.indexOf(`const ${constant}: Architecture`));
}

/** ggml's names of the block types that weft reads. */
export function blockTypes(source = textOf('src/format/block.rs')) {
  const [, table] = /const GGML_TYPES: .*?\[(.*?)\];/s.exec(source);
  const names = [...table.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  return [...source.matchAll(/^ *Self::\w+ => \((\d+), \d+, /gm)].map(([, id]) => names[id]);
}

/** The list itself. */
export function support() {
  const known = new Set(architectures().map(({ name }) => name));
  const unknown = [...known].filter((name) => !MODELS[name]);
  if (unknown.length) throw new Error(`scripts/lib/support.mjs does not say which models are ${unknown}`);
  const all = Object.entries(MODELS).filter(([name]) => known.has(name));
  const of = (kind) =>
    all.flatMap(([name, models]) => (models[kind] ? together(`${models[kind]} (\`${name}\`)`) : [])).join(', ');
  return [
    `- **Decoders**: ${of('decoder')}.`,
    `- **Mixtures of experts**, of which only the chosen ones are computed: ${of('experts')}.`,
    `- **Encoders**: ${of('encoder')}.`,
    `- **Block types** of GGUF files: ${blockTypes().join(', ')}.`,
  ]
    .map(wrapped)
    .join('\n');
}

const NO_BREAK = '\u00a0';

/** A name stays on its line. */
const together = (text) => text.replaceAll(/(?<!,) /g, NO_BREAK);

/** An item of a list, broken at column 120. */
function wrapped(item) {
  const lines = [];
  for (const word of item.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= 120) lines[lines.length - 1] += ` ${word}`;
    else lines.push(last === undefined ? word : `  ${word}`);
  }
  return lines.join('\n').replaceAll(NO_BREAK, ' ');
}

/** The document with a current list. */
export const withSupport = (document, text = textOf(document)) =>
  section(document, text, 'scripts/support.mjs', support());
