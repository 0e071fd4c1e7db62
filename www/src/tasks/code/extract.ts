import type { ChatOptions, Generation, Llm } from 'weft-llm';
import type { Row } from '../example-rows.js';

export interface FormField {
  name: string;
  type: 'text' | 'number' | 'yes or no' | 'date' | 'choice' | 'list';
  /** Of a choice. */
  options: readonly string[];
  required: boolean;
}

interface Extraction {
  text: string;
  fields: readonly FormField[];
  /** The output of an example is JSON. */
  examples: readonly Row[];
}

/** The answer is JSON that fits the schema of the form: no other token can come. */
export function extract(llm: Llm, { text, fields, examples }: Extraction, options: ChatOptions): Generation {
  const ask = (text: string) => `Fill in ${fields.map(({ name }) => name).join(', ')} from this text.\n\n${text}`;
  return llm.chat([{ role: 'user', content: ask(text) }], {
    ...options,
    examples: examples.map(({ input, output }) => ({ user: ask(input), assistant: output })),
    constraint: { jsonSchema: schemaOf(fields) },
    repetitionPenalty: 1, // the answer repeats parts of the text
  });
}

export function schemaOf(fields: readonly FormField[]): object {
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.name, typeOf(field)])),
    required: fields.filter(({ required }) => required).map(({ name }) => name),
    additionalProperties: false,
  };
}

function typeOf({ type, options }: FormField): object {
  switch (type) {
    case 'text':
      return { type: 'string', maxLength: 200 };
    case 'number':
      return { type: 'number' };
    case 'yes or no':
      return { type: 'boolean' };
    case 'date':
      return { type: 'string', format: 'date' };
    case 'choice':
      return { enum: options };
    case 'list':
      return { type: 'array', items: { type: 'string', maxLength: 80 }, maxItems: 5 };
  }
}
