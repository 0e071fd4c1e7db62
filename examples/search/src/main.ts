import { load, type Llm } from 'weft-llm';
import { find, onProgress, onSubmit, progress, say } from './ui';

interface Passage {
  file: string;
  text: string;
  vector: Float32Array;
}

const miniLM = 'hf:sentence-transformers/all-MiniLM-L6-v2';
const model = new URLSearchParams(location.search).get('model') ?? miniLM;
let llm: Llm | undefined;
let passages: Passage[] | undefined;

find('#folder').addEventListener('change', () => (passages = undefined));

onSubmit(async (fields, signal) => {
  llm ??= await load({ model, signal, onProgress });
  passages ??= await index(fields.getAll('files') as File[], llm, signal);
  const [query] = await llm.embed([String(fields.get('query'))], { signal });
  const ranked = passages
    .map(({ file, text, vector }) => ({ file, text, score: cosine(query!, vector) }))
    .sort((a, b) => b.score - a.score);
  find('#results').replaceChildren(...ranked.slice(0, 5).map(item));
});

/** Every paragraph of the texts with its vector. */
async function index(files: File[], llm: Llm, signal: AbortSignal): Promise<Passage[]> {
  const texts = files.filter(({ name }) => /\.(txt|md)$/i.test(name));
  const paragraphs = await Promise.all(
    texts.map(async (file) =>
      (await file.text()).split(/\n\s*\n/).map((text) => ({ file: file.name, text: text.trim() })),
    ),
  );
  const all = paragraphs.flat().filter(({ text }) => text);
  if (!all.length) throw new Error('The folder has no .txt or .md file with text in it.');
  say('Reading…');
  const indexed: Passage[] = [];
  for (const { file, text } of all) {
    progress(indexed.length / all.length, `${indexed.length} of ${all.length} paragraphs`);
    const [vector] = await llm.embed([text], { truncate: true, signal });
    indexed.push({ file, text, vector: vector! });
  }
  return indexed;
}

/** The vectors have length 1, so that their product is the cosine of the angle between them. */
function cosine(a: Float32Array, b: Float32Array) {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function item({ file, text, score }: { file: string; text: string; score: number }) {
  const li = document.createElement('li');
  const cite = document.createElement('cite');
  cite.textContent = `${file}, ${Math.round(score * 100)} %`;
  li.append(cite, text);
  return li;
}
