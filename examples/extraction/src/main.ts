import { load, type Llm } from 'weft-llm';
import { z } from 'zod';
import { find, onProgress, onSubmit, say } from './ui';

const Contact = z.object({
  name: z.string().max(60),
  company: z.string().max(60),
  email: z.email(),
  phone: z.string().regex(/^\+?[0-9 ]{5,20}$/),
});

// 398 MB. SmolLM2 (105 MB) gets names and numbers wrong.
const qwen = 'hf:bartowski/Qwen2.5-0.5B-Instruct-GGUF/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf';
const model = new URLSearchParams(location.search).get('model') ?? qwen;
let llm: Llm | undefined;

onSubmit(async (fields, signal) => {
  llm ??= await load({ model, signal, onProgress });
  say('Reading…');
  show(null);
  const messages = [
    { role: 'system', content: 'Give the name, company, email and phone of the person who wrote the letter, as JSON.' },
    { role: 'user', content: String(fields.get('letter')) },
  ];
  let json = '';
  // The schema says what may be written, so that every answer that ends by itself fits it.
  for await (const { text } of llm.chat(messages, { constraint: { jsonSchema: Contact }, temperature: 0, signal })) {
    json += text;
    find('#answer').textContent = json;
  }
  if (!signal.aborted) show(Contact.parse(JSON.parse(json)));
});

function show(contact: z.infer<typeof Contact> | null) {
  const entries = Object.entries(contact ?? {}).flatMap(([name, value]) => [element('dt', name), element('dd', value)]);
  find('#contact').replaceChildren(...entries);
}

function element(tag: string, text: string) {
  return Object.assign(document.createElement(tag), { textContent: text });
}
