/** The tasks with their ready examples. */

import { html, type TemplateResult } from 'lit';
import type { Llm } from 'weft-llm';
import './compare-card.js';
import './documents-card.js';
import './extract-card.js';
import type { TaskInfo } from './card.js';
import { chat } from './code/chat.js';
import chatSource from './code/chat.ts?raw';
import { classify } from './code/classify.js';
import classifySource from './code/classify.ts?raw';
import compareSource from './code/compare.ts?raw';
import { entailment } from './code/entailment.js';
import entailmentSource from './code/entailment.ts?raw';
import extractSource from './code/extract.ts?raw';
import askSource from './code/ask-documents.ts?raw';
import { fillGap } from './code/fill-gap.js';
import fillGapSource from './code/fill-gap.ts?raw';
import { maths } from './code/maths.js';
import mathsSource from './code/maths.ts?raw';
import { rewrite } from './code/rewrite.js';
import rewriteSource from './code/rewrite.ts?raw';
import searchSource from './code/search.ts?raw';
import { sentiment } from './code/sentiment.js';
import sentimentSource from './code/sentiment.ts?raw';
import { summarise } from './code/summarise.js';
import summariseSource from './code/summarise.ts?raw';
import { translate } from './code/translate.js';
import translateSource from './code/translate.ts?raw';
import { writeCode } from './code/write-code.js';
import writeCodeSource from './code/write-code.ts?raw';
import { labelsTask, type LabelsTask } from './labels-card.js';
import { textTask, type TextTask } from './text-card.js';
import { languageName, t } from '../text/text.js';

/** As they are named to the model, with their codes. */
const LANGUAGES: Readonly<Record<string, string>> = {
  Arabic: 'ar',
  Chinese: 'zh',
  Dutch: 'nl',
  English: 'en',
  French: 'fr',
  German: 'de',
  Hindi: 'hi',
  Italian: 'it',
  Japanese: 'ja',
  Korean: 'ko',
  Polish: 'pl',
  Portuguese: 'pt',
  Russian: 'ru',
  Spanish: 'es',
  Swedish: 'sv',
  Turkish: 'tr',
  Ukrainian: 'uk',
  Vietnamese: 'vi',
};

const ofLanguages = { options: Object.keys(LANGUAGES), says: (name: string) => languageName(LANGUAGES[name]!) };

/** Options that the model is told in English, with their messages. */
const told = (names: Readonly<Record<string, string>>) => ({
  options: Object.keys(names),
  says: (option: string) => t(names[option]!),
});

const ARTICLE =
  'In 1804 Joseph Marie Jacquard showed a loom in Lyon that read its pattern from punched cards. Each card stood for one row of the cloth, and each hole for a hook that lifted a warp thread. Weavers could now change a pattern by changing the cards, and a boy no longer had to sit above the loom and pull cords. Silk became cheaper, and some weavers, afraid for their work, burned the new looms. Charles Babbage later took the punched card for his Analytical Engine.';

const texts: readonly TextTask[] = [
  textTask({
    id: 'chat',
    need: 'chat',
    source: chatSource,
    fields: [
      {
        name: 'role',

        kind: 'line',
        value: 'You are a patient teacher. You answer in two sentences.',
        optional: true,
      },
      { name: 'question', kind: 'text', value: 'Why does the moon have phases?' },
    ],
    run: chat,
  }),
  textTask({
    id: 'summarise',
    need: 'chat',
    source: summariseSource,
    fields: [
      { name: 'text', kind: 'text', value: ARTICLE },
      {
        name: 'length',

        kind: 'choice',
        value: 'one sentence',
        ...told({
          'one sentence': 'length-sentence',
          'three sentences': 'length-sentences',
          'a paragraph': 'length-paragraph',
          'five bullet points': 'length-points',
        }),
      },
    ],
    run: summarise,
  }),
  textTask({
    id: 'translate',
    need: 'chat',
    source: translateSource,
    fields: [
      { name: 'text', kind: 'text', value: 'Where is the nearest railway station?' },
      { name: 'from', kind: 'choice', value: 'English', ...ofLanguages },
      { name: 'to', kind: 'choice', value: 'French', ...ofLanguages },
    ],
    samples: [{ input: 'Good morning, how are you?', output: 'Bonjour, comment allez-vous ?' }],
    run: translate,
  }),
  textTask({
    id: 'rewrite',
    need: 'chat',
    source: rewriteSource,
    fields: [
      {
        name: 'text',

        kind: 'text',
        value: 'I need the report today. You are late again and everybody is waiting for you.',
      },
      {
        name: 'tone',

        kind: 'choice',
        value: 'polite and formal',
        ...told({
          'polite and formal': 'tone-formal',
          friendly: 'tone-friendly',
          'short and plain': 'tone-plain',
          enthusiastic: 'tone-enthusiastic',
          'easy to read for a child': 'tone-child',
        }),
      },
    ],
    samples: [
      { input: 'Send me the file.', output: 'Could you please send me the file?' },
      { input: 'That is wrong.', output: 'I believe there may be a mistake here.' },
    ],
    run: rewrite,
  }),
  textTask({
    id: 'code',
    need: 'chat',
    source: writeCodeSource,
    fields: [
      {
        name: 'what',

        kind: 'text',
        value: 'A function that tells whether a word is a palindrome.',
      },
      {
        name: 'language',

        kind: 'choice',
        value: 'Python',
        options: ['C', 'C++', 'C#', 'Go', 'HTML', 'Java', 'JavaScript', 'Python', 'Rust', 'SQL', 'TypeScript'],
      },
    ],
    run: writeCode,
  }),
  textTask({
    id: 'fill',
    need: 'infill',
    source: fillGapSource,
    fields: [
      {
        name: 'before',

        kind: 'text',
        value: 'def is_palindrome(word):\n    """Whether the word reads the same backwards."""\n    ',
        code: true,
      },
      {
        name: 'after',

        kind: 'text',
        value: '\n\nassert is_palindrome("level")\nassert not is_palindrome("lever")\n',
        code: true,
      },
    ],
    run: fillGap,
    markdown: (answer, { before, after }, whole) =>
      `\`\`\`python\n${before}${answer}${whole ? `${after}\n\`\`\`` : ''}`,
  }),
  textTask({
    id: 'maths',
    need: 'chat',
    source: mathsSource,
    fields: [
      {
        name: 'problem',

        kind: 'text',
        value: 'A train leaves at 9:40 and needs 2 hours and 35 minutes. When does it arrive?',
      },
    ],
    run: maths,
  }),
];

const labels: readonly LabelsTask[] = [
  labelsTask({
    id: 'classify',
    need: 'own-labels',
    source: classifySource,
    fields: [
      {
        name: 'text',

        kind: 'text',
        value: 'The parcel came with a broken corner and half of it was missing.',
      },
      {
        name: 'labels',

        kind: 'line',
        value: 'delivery, price, quality, praise',
      },
    ],
    labels: 'labels',
    samples: [
      { input: 'It cost twice as much as last year.', output: 'price' },
      { input: 'Best shop in town!', output: 'praise' },
    ],
    run: (llm, values, signal) => classify(llm, values, { signal }),
  }),
  labelsTask({
    id: 'sentiment',
    need: 'labels',
    source: sentimentSource,
    fields: [
      {
        name: 'text',

        kind: 'text',
        value: 'The film was far too long, but I would watch the ending again.',
      },
    ],
    run: (llm, { text }, signal) => sentiment(llm, text, signal),
  }),
  labelsTask({
    id: 'entailment',
    need: 'labels',
    source: entailmentSource,
    fields: [
      { name: 'premise', kind: 'text', value: 'Two children play football in the snow.' },
      { name: 'hypothesis', kind: 'text', value: 'Somebody is outdoors.' },
    ],
    run: (llm, { premise, hypothesis }, signal) => entailment(llm, premise, hypothesis, signal),
  }),
];

const extraction: TaskInfo = {
  id: 'extract',
  need: 'chat',
  source: extractSource,
};

const asking: TaskInfo = {
  id: 'documents',
  need: 'chat',
  source: `${searchSource}\n${askSource}`,
};

const searching: TaskInfo = {
  id: 'search',
  need: 'embed',
  source: searchSource,
};

const comparing: TaskInfo = {
  id: 'compare',
  need: 'embed',
  source: compareSource,
};

export const groups: readonly { name: string; tasks: readonly TaskInfo[] }[] = [
  { name: 'write', tasks: texts },
  { name: 'read', tasks: [extraction, ...labels] },
  { name: 'find', tasks: [asking, searching, comparing] },
];

export const taskOf = (id: string) => groups.flatMap(({ tasks }) => tasks).find((task) => task.id === id);

/** The element of a task. */
export function card(task: TaskInfo, model: Llm | null): TemplateResult {
  switch (task) {
    case extraction:
      return html`<extract-card .task=${task} .model=${model}></extract-card>`;
    case asking:
      return html`<ask-card .task=${task} .model=${model}></ask-card>`;
    case searching:
      return html`<search-card .task=${task} .model=${model}></search-card>`;
    case comparing:
      return html`<compare-card .task=${task} .model=${model}></compare-card>`;
    default:
      return texts.includes(task as TextTask)
        ? html`<text-card .task=${task} .model=${model}></text-card>`
        : html`<labels-card .task=${task} .model=${model}></labels-card>`;
  }
}
