// The texts of the page: each language has every message, and no text stands in the code.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FluentParser, Visitor } from '@fluent/syntax';
import { parseSync } from 'vite';
import { source } from './source.mjs';

const root = fileURLToPath(new URL('../src/', import.meta.url));
const { languages } = await source('text/text');
const english = messagesOf('en');

/** The messages of a language: names with their parts as `name.part`, the pattern of each. */
function messagesOf(language) {
  const messages = new Map();
  for (const file of readdirSync(`${root}text/${language}`).sort()) {
    const { body } = new FluentParser().parse(readFileSync(`${root}text/${language}/${file}`, 'utf8'));
    for (const { type, id, value, attributes = [], content } of body) {
      assert.notEqual(type, 'Junk', `${language}/${file}: ${content}`);
      if (type !== 'Message') continue;
      const parts = [[id.name, value], ...attributes.map((one) => [`${id.name}.${one.id.name}`, one.value])];
      for (const [name, pattern] of parts.filter(([, pattern]) => pattern !== null)) {
        assert.ok(!messages.has(name), `${language}: ${name} is there twice`);
        messages.set(name, { file, pattern });
      }
    }
  }
  return messages;
}

/** Names of what a message is given, and the variants of its choices. */
function contentOf(pattern) {
  const variables = new Set();
  const choices = [];
  class Reader extends Visitor {
    visitVariableReference({ id }) {
      variables.add(id.name);
    }
    visitSelectExpression(expression) {
      choices.push(expression.variants.map(({ key }) => (key.type === 'Identifier' ? key.name : key.value)));
      this.genericVisit(expression);
    }
  }
  new Reader().visit(pattern);
  return { variables: [...variables].sort(), choices };
}

for (const { id } of languages) {
  test(`${id} has every message, with its figures and its plurals`, () => {
    const messages = messagesOf(id);
    assert.deepEqual([...messages.keys()].sort(), [...english.keys()].sort());
    const forms = new Intl.PluralRules(id).resolvedOptions().pluralCategories;
    for (const [name, { file, pattern }] of messages) {
      const { variables, choices } = contentOf(pattern);
      assert.equal(file, english.get(name).file, name);
      assert.deepEqual(variables, contentOf(english.get(name).pattern).variables, `${id}: ${name}`);
      for (const variants of choices.filter((keys) => keys.includes('one') || keys.includes('few')))
        assert.deepEqual(
          forms.filter((form) => !variants.includes(form)),
          [],
          `${id}: ${name} lacks forms`,
        );
    }
  });
}

// The code

const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.ts'));
const code = files.map((name) => ({ name, tree: parseSync(name, readFileSync(root + name, 'utf8')).program }));

/** Calls back with each node and those above it. */
function walk(node, visit, above = []) {
  if (Array.isArray(node)) return node.forEach((one) => walk(one, visit, above));
  if (typeof node?.type !== 'string') return;
  visit(node, above);
  for (const value of Object.values(node)) if (typeof value === 'object') walk(value, visit, [node, ...above]);
}

const textOf = ({ value }) => value.cooked ?? value.raw;
const asPattern = (quasis) =>
  new RegExp(`^${quasis.map((one) => textOf(one).replaceAll('.', '\\.')).join('[\\w-]+')}$`);

test('the code asks for messages that are there, with their figures, and for each of them', () => {
  const used = new Set();
  for (const { name, tree } of code.filter(({ name }) => !name.startsWith('text/'))) {
    walk(tree, (node, [parent]) => {
      if (node.type === 'Literal' && english.has(node.value)) used.add(node.value);
      if (node.type !== 'CallExpression' || !['t', 'rich', 'optional'].includes(node.callee.name)) return;
      const [message, values] = node.arguments;
      const where = `${name}: ${node.callee.name}(…) at ${node.start}`;
      if (message.type === 'TemplateLiteral') {
        const found = [...english.keys()].filter((one) => asPattern(message.quasis).test(one));
        assert.ok(found.length > 0, where);
        found.forEach((one) => used.add(one));
      }
      if (message.type !== 'Literal') return;
      assert.ok(english.has(message.value), `${where} wants ${message.value}`);
      assert.notEqual(parent.type, 'ExpressionStatement', where);
      if (values && (values.type !== 'ObjectExpression' || values.properties.some(({ key }) => !key))) return;
      const given = (values?.properties ?? []).map(({ key }) => key.name).sort();
      assert.deepEqual(given, contentOf(english.get(message.value).pattern).variables, `${where}: ${message.value}`);
    });
  }
  const inMessages = (name) =>
    [...english.values()].some(({ pattern }) => JSON.stringify(pattern).includes(`"${name}"`));
  const stale = [...english.keys()].filter((name) => !used.has(name) && !inMessages(name));
  assert.deepEqual(stale, [], 'nothing asks for these');
});

test('what is named by a table has its messages', async () => {
  const names = (file, pattern) =>
    [...readFileSync(root + file, 'utf8').matchAll(pattern)].flatMap(([, ...found]) => found.filter(Boolean));
  const { settings } = await source('settings');
  const { shortcuts } = await source('shortcuts');
  const tasks = names('tasks/list.ts', /\bid: '([\w-]+)'/g);
  const wanted = [
    ...settings.flatMap(({ name, options = [] }) => [
      `setting-${name}`,
      ...options.map((one) => `setting-${name}-${one}`),
    ]),
    ...shortcuts.map(({ name }) => `shortcut-${name}`),
    ...names('shortcuts-sheet.ts', /^ {2}\['.*', '(.*)'\]/gm).map((name) => `shortcut-${name}`),
    ...names('errors.ts', /^ {2}([A-Z_]+): \[/gm).flatMap((name) => [`error-${name}`, `error-${name}.title`]),
    ...names('errors.ts', /^ {2}\[\/.*\/, '(.*)', \[/gm).flatMap((name) => [`error-${name}`, `error-${name}.title`]),
    ...tasks.flatMap((id) => [`task-${id}`, `task-${id}.title`]),
    ...names('tasks/list.ts', /^ +(?:\{ )?name: '(\w+)'(?:, kind|,\n +kind)/gm).map((name) => `field-${name}`),
    ...names('tasks/needs.ts', /'([\w-]+)'(?=.*;$| \|)/gm)
      .filter((name) => english.has(`need-${name}`))
      .map((name) => `need-${name}`),
    ...names('tasks/list.ts', /name: '(\w+)', tasks/g).map((name) => `tasks-${name}`),
    ...names('inspector/calls.ts', /^export async function (\w+)/gm)
      .filter((call) => call !== 'tokens')
      .flatMap((call) => [`panel-${call}`, `panel-${call}.title`]),
  ];
  assert.ok(tasks.length > 10 && wanted.length > 150, `${wanted.length}`);
  assert.deepEqual(
    wanted.filter((name) => !english.has(name)),
    [],
  );
});

/** What a user reads or hears of an element. */
const SPOKEN =
  /(?:^|\s)(aria-label|aria-description|aria-roledescription|title|placeholder|alt|label)=("[^"]*"|[^\s>]*)/g;
/** Names, and what looks the same in each language. */
const NAMES = new Set(['weft', 'JSON', 'https://…/model.gguf', 'hf:owner/repository/model.gguf']);
/** What a model is asked, in the language that it knows best, and what only developers read. */
const EXAMPLES = new Set(['EXAMPLES', 'ARTICLE', 'TEXT', 'SAMPLES', 'samples', 'value', 'fields', 'input', 'output']);
const PROSE = /^[^.#]*\p{L}{2,} \p{L}+ \p{L}{2,}|^\p{Lu}\p{Ll}+(?:[ .…!?:]|$)/u;
/** Names of keys, of a kind of data, and of a type that the model is told. */
const WORDS = new Set(['Enter', 'Shift Enter', 'Escape', 'Esc', 'Files', 'yes or no']);

test('no text that the page shows stands in its code', () => {
  const found = [];
  for (const { name, tree } of code) {
    if (/^tasks\/code\/|^markdown\/highlight|^models\/catalog|^text\//.test(name)) continue;
    walk(tree, (node, above) => {
      if (node.type === 'TaggedTemplateExpression' && ['html', 'svg'].includes(node.tag.name)) {
        const markup = node.quasi.quasis.map(textOf).join('${}');
        for (const [, attribute, value] of markup.matchAll(SPOKEN))
          if (/\p{L}/u.test(value) && !NAMES.has(value.replaceAll('"', '')))
            found.push(`${name}: ${attribute}=${value}`);
        for (const text of markup.replace(/<!--.*?-->/gs, '').split(/<(?:[^>"]|"[^"]*")*>/))
          if (/\p{L}/u.test(text) && !NAMES.has(text.trim())) found.push(`${name}: ${text.trim()}`);
      }
      const text = node.type === 'Literal' ? node.value : node.type === 'TemplateElement' ? textOf(node) : null;
      if (typeof text !== 'string' || !PROSE.test(text) || WORDS.has(text)) return;
      if (name.startsWith('markdown/') && /^\w+$/.test(text)) return; // a kind of node
      const isMarkup =
        above.some(({ type, tag }) => type === 'TaggedTemplateExpression' && /^(html|svg)$/.test(tag.name)) &&
        node.type === 'TemplateElement' &&
        above[1]?.type === 'TaggedTemplateExpression';
      const isExample = above.some(({ key, id }) => EXAMPLES.has(key?.name) || EXAMPLES.has(id?.name));
      const isForDevelopers = above.some(
        ({ type, callee }) => type === 'NewExpression' && ['TypeError', 'WeftError', 'RegExp'].includes(callee.name),
      );
      if (!isMarkup && !isExample && !isForDevelopers) found.push(`${name}: ${text}`);
    });
  }
  assert.deepEqual(found, []);
});
