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

const LANGUAGES = [
  ...['Arabic', 'Chinese', 'Dutch', 'English', 'French', 'German', 'Hindi', 'Italian', 'Japanese', 'Korean'],
  ...['Polish', 'Portuguese', 'Russian', 'Spanish', 'Swedish', 'Turkish', 'Ukrainian', 'Vietnamese'],
];

const ARTICLE =
  'In 1804 Joseph Marie Jacquard showed a loom in Lyon that read its pattern from punched cards. Each card stood for one row of the cloth, and each hole for a hook that lifted a warp thread. Weavers could now change a pattern by changing the cards, and a boy no longer had to sit above the loom and pull cords. Silk became cheaper, and some weavers, afraid for their work, burned the new looms. Charles Babbage later took the punched card for his Analytical Engine.';

const texts: readonly TextTask[] = [
  textTask({
    id: 'chat',
    title: 'Chat',
    about: 'A question, and somebody who answers it.',
    need: 'chat',
    source: chatSource,
    fields: [
      {
        name: 'role',
        label: 'Who answers',
        kind: 'line',
        value: 'You are a patient teacher. You answer in two sentences.',
        hint: 'The system message. Empty: the model as it is.',
        optional: true,
      },
      { name: 'question', label: 'Question', kind: 'text', value: 'Why does the moon have phases?' },
    ],
    run: chat,
  }),
  textTask({
    id: 'summarise',
    title: 'Summarise',
    about: 'A long text in few sentences.',
    need: 'chat',
    source: summariseSource,
    fields: [
      { name: 'text', label: 'Text', kind: 'text', value: ARTICLE },
      {
        name: 'length',
        label: 'Length',
        kind: 'choice',
        value: 'one sentence',
        options: ['one sentence', 'three sentences', 'a paragraph', 'five bullet points'],
      },
    ],
    run: summarise,
  }),
  textTask({
    id: 'translate',
    title: 'Translate',
    about: 'A text from one language into another.',
    need: 'chat',
    source: translateSource,
    fields: [
      { name: 'text', label: 'Text', kind: 'text', value: 'Where is the nearest railway station?' },
      { name: 'from', label: 'From', kind: 'choice', value: 'English', options: LANGUAGES },
      { name: 'to', label: 'Into', kind: 'choice', value: 'French', options: LANGUAGES },
    ],
    samples: [{ input: 'Good morning, how are you?', output: 'Bonjour, comment allez-vous ?' }],
    run: translate,
  }),
  textTask({
    id: 'rewrite',
    title: 'Rewrite',
    about: 'The same message in another tone.',
    need: 'chat',
    source: rewriteSource,
    fields: [
      {
        name: 'text',
        label: 'Text',
        kind: 'text',
        value: 'I need the report today. You are late again and everybody is waiting for you.',
      },
      {
        name: 'tone',
        label: 'Tone',
        kind: 'choice',
        value: 'polite and formal',
        options: ['polite and formal', 'friendly', 'short and plain', 'enthusiastic', 'easy to read for a child'],
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
    title: 'Write code',
    about: 'Code from a description.',
    need: 'chat',
    source: writeCodeSource,
    fields: [
      {
        name: 'what',
        label: 'What it should do',
        kind: 'text',
        value: 'A function that tells whether a word is a palindrome.',
      },
      {
        name: 'language',
        label: 'Language',
        kind: 'choice',
        value: 'Python',
        options: ['C', 'C++', 'C#', 'Go', 'HTML', 'Java', 'JavaScript', 'Python', 'Rust', 'SQL', 'TypeScript'],
      },
    ],
    run: writeCode,
  }),
  textTask({
    id: 'fill',
    title: 'Fill a gap in code',
    about: 'What belongs between two pieces of code.',
    need: 'infill',
    source: fillGapSource,
    fields: [
      {
        name: 'before',
        label: 'Before the gap',
        kind: 'text',
        value: 'def is_palindrome(word):\n    """Whether the word reads the same backwards."""\n    ',
        code: true,
      },
      {
        name: 'after',
        label: 'Behind the gap',
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
    title: 'Solve step by step',
    about: 'A problem in words, with the way to its solution.',
    need: 'chat',
    source: mathsSource,
    fields: [
      {
        name: 'problem',
        label: 'Problem',
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
    title: 'Classify',
    about: 'Which of your labels fits a text.',
    need: 'own labels',
    source: classifySource,
    fields: [
      {
        name: 'text',
        label: 'Text',
        kind: 'text',
        value: 'The parcel came with a broken corner and half of it was missing.',
      },
      {
        name: 'labels',
        label: 'Labels',
        kind: 'line',
        value: 'delivery, price, quality, praise',
        hint: 'At least two, with commas between them.',
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
    title: 'Sentiment',
    about: 'Whether a text is positive or negative.',
    need: 'labels',
    source: sentimentSource,
    fields: [
      {
        name: 'text',
        label: 'Text',
        kind: 'text',
        value: 'The film was far too long, but I would watch the ending again.',
      },
    ],
    run: (llm, { text }, signal) => sentiment(llm, text, signal),
  }),
  labelsTask({
    id: 'entailment',
    title: 'Entailment',
    about: 'Whether one sentence follows from another, contradicts it, or neither.',
    need: 'labels',
    source: entailmentSource,
    fields: [
      { name: 'premise', label: 'Premise', kind: 'text', value: 'Two children play football in the snow.' },
      { name: 'hypothesis', label: 'Hypothesis', kind: 'text', value: 'Somebody is outdoors.' },
    ],
    run: (llm, { premise, hypothesis }, signal) => entailment(llm, premise, hypothesis, signal),
  }),
];

const extraction: TaskInfo = {
  id: 'extract',
  title: 'Fill in a form',
  about: 'Facts from a text, in the fields that you choose.',
  need: 'chat',
  source: extractSource,
};

const asking: TaskInfo = {
  id: 'documents',
  title: 'Ask your files',
  about: 'Questions about PDF files and texts, answered with citations.',
  need: 'chat',
  source: `${searchSource}\n${askSource}`,
};

const searching: TaskInfo = {
  id: 'search',
  title: 'Search by meaning',
  about: 'Passages of your files that mean what you look for, whatever their words.',
  need: 'embed',
  source: searchSource,
};

const comparing: TaskInfo = {
  id: 'compare',
  title: 'Compare texts',
  about: 'How similar two texts are in meaning.',
  need: 'embed',
  source: compareSource,
};

export const groups: readonly { title: string; tasks: readonly TaskInfo[] }[] = [
  { title: 'Write', tasks: texts },
  { title: 'Read and sort', tasks: [extraction, ...labels] },
  { title: 'Find', tasks: [asking, searching, comparing] },
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
