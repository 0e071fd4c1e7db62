import { load, type Llm } from 'weft-llm';
import { find, onProgress, onSubmit, say } from './ui';

const zones: Record<string, string> = {
  Berlin: 'Europe/Berlin',
  Cairo: 'Africa/Cairo',
  Lima: 'America/Lima',
  Sydney: 'Australia/Sydney',
  Tokyo: 'Asia/Tokyo',
};

/** What the model may call: a description for the model, and a function of the page. */
const tools = [
  {
    type: 'function',
    function: {
      name: 'local_time',
      description: 'The time in a city now',
      parameters: {
        type: 'object',
        properties: { city: { enum: Object.keys(zones) } },
        required: ['city'],
        additionalProperties: false,
      },
    },
  },
];

function localTime({ city }: { city: string }) {
  const options = { timeZone: zones[city], timeStyle: 'short', dateStyle: 'full' } as const;
  return new Intl.DateTimeFormat('en-GB', options).format();
}

// 398 MB. SmolLM2 (105 MB) does not understand the result of a call.
const qwen = 'hf:bartowski/Qwen2.5-0.5B-Instruct-GGUF/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf';
const model = new URLSearchParams(location.search).get('model') ?? qwen;
let llm: Llm | undefined;

onSubmit(async (fields, signal) => {
  llm ??= await load({ model, signal, onProgress });
  say('Answering…');
  find('#steps').replaceChildren();
  find('#answer').textContent = '';
  const { completions } = llm.chat;
  const question = { role: 'user', content: String(fields.get('question')) } as const;

  // With `auto` the model may answer without a call, as small ones often do.
  const request = { messages: [question], tools, tool_choice: 'required', parallel_tool_calls: false, temperature: 0 };
  const { choices } = await completions.create(request, { signal });
  const asked = choices[0]!.message;
  const call = asked.tool_calls![0]!;
  step(`The model calls ${call.function.name}(${call.function.arguments})`);

  const content = localTime(JSON.parse(call.function.arguments));
  step(`The page answers “${content}”`);

  const result = { role: 'tool', tool_call_id: call.id, content } as const;
  const messages = [question, asked, result];
  const chunks = await completions.create(
    { messages, tools, tool_choice: 'none', stream: true, temperature: 0 },
    { signal },
  );
  for await (const { choices } of chunks) find('#answer').append(choices[0]?.delta.content ?? '');
});

function step(text: string) {
  find('#steps').append(Object.assign(document.createElement('li'), { textContent: text }));
}
