// The branches of a conversation, and how conversations are saved, read and exported.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './source.mjs';

const { add, before, EMPTY, path, putBack, remove, show, START, versions } = await source('conversations/tree');
const { applied, contains, emptyConversation, readConversation, shownTurns, titleOf } =
  await source('conversations/record');
const { fileNameOf, fromJson, toJson, toMarkdown } = await source('conversations/files');

/** Adds turns that are written as `a`, or as `b<a` behind `a`. */
const tree = (...turns) =>
  turns.reduce((tree, turn) => {
    const [id, parent = START] = turn.split('<');
    return add(tree, id, parent);
  }, EMPTY);

/** a, then b or c; d behind b, e behind c. */
const FORKED = tree('a', 'b<a', 'd<b', 'c<a', 'e<c');

test('turns that follow each other are a path', () => {
  assert.deepEqual(path(EMPTY), []);
  assert.deepEqual(path(tree('a', 'b<a', 'c<b')), ['a', 'b', 'c']);
  assert.deepEqual(before(tree('a', 'b<a', 'c<b'), 'c'), ['a', 'b']);
  assert.deepEqual(before(tree('a'), 'a'), []);
});

test('another version is shown, and the earlier one keeps what followed it', () => {
  assert.deepEqual(path(FORKED), ['a', 'c', 'e']);
  assert.deepEqual(versions(FORKED, 'c'), ['b', 'c']);
  assert.deepEqual(versions(FORKED, 'a'), ['a']);
  const back = show(FORKED, 'b');
  assert.deepEqual(path(back), ['a', 'b', 'd']);
  assert.deepEqual(path(FORKED), ['a', 'c', 'e'], 'a tree is never changed');
  assert.deepEqual(path(show(back, 'c')), ['a', 'c', 'e']);
});

test('a first question has versions too', () => {
  const two = tree('a', 'b<a', 'c');
  assert.deepEqual(path(two), ['c']);
  assert.deepEqual(versions(two, 'a'), ['a', 'c']);
  assert.deepEqual(path(show(two, 'a')), ['a', 'b']);
});

test('each fork remembers which of its turns was shown', () => {
  const deep = show(add(FORKED, 'f', 'b'), 'd');
  assert.deepEqual(path(show(show(deep, 'c'), 'b')), ['a', 'b', 'd']);
});

test('a removed turn leaves those behind it, in the branch that was shown', () => {
  assert.deepEqual(path(remove(tree('a', 'b<a', 'c<b'), 'b')), ['a', 'c']);
  assert.deepEqual(path(remove(tree('a', 'b<a', 'c<b'), 'a')), ['b', 'c']);
  assert.deepEqual(path(remove(tree('a', 'b<a', 'c<b'), 'c')), ['a', 'b']);
  assert.deepEqual(path(remove(FORKED, 'a')), ['c', 'e']);
  assert.deepEqual(versions(remove(FORKED, 'a'), 'c'), ['b', 'c']);
  const other = show(FORKED, 'b');
  assert.deepEqual(path(remove(other, 'a')), ['b', 'd']);
  assert.deepEqual(path(remove(other, 'c')), ['a', 'b', 'd']);
});

test('a removed version without an answer behind it shows another one', () => {
  assert.deepEqual(path(remove(tree('a', 'b<a', 'c<a'), 'c')), ['a', 'b']);
  assert.deepEqual(path(remove(tree('a'), 'a')), []);
  assert.equal(remove(FORKED, 'unknown'), FORKED);
});

test('what is removed behind a hidden branch does not change what is shown', () => {
  const hidden = remove(remove(FORKED, 'd'), 'b');
  assert.deepEqual(path(hidden), ['a', 'c', 'e']);
  assert.deepEqual([...hidden.parents.keys()], ['a', 'c', 'e']);
  // In the branch of b, d was shown, so f behind it is what is seen there afterwards.
  const deep = add(show(tree('a', 'b<a', 'd<b', 'f<d', 'c<b'), 'd'), 'e', 'a');
  assert.deepEqual(path(show(remove(deep, 'd'), 'b')), ['a', 'b', 'f']);
});

test('a removed turn comes back where it was, among what was asked since', () => {
  const without = remove(show(FORKED, 'b'), 'b');
  assert.deepEqual(path(without), ['a', 'd']);
  const back = putBack(add(without, 'f', 'd'), 'b', FORKED);
  assert.deepEqual(path(back), ['a', 'b', 'd', 'f']);
  assert.deepEqual(versions(back, 'b'), ['b', 'c']);
  assert.deepEqual(path(putBack(remove(tree('a'), 'a'), 'a', tree('a'))), ['a']);
});

test('any sequence of changes leaves one path, of turns that are there', () => {
  let random = 7;
  const below = (count) => (random = (random * 48271) % 2147483647) % count;
  for (let round = 0; round < 200; round++) {
    let at = EMPTY;
    for (let step = 0; step < 40; step++) {
      const ids = [...at.parents.keys()];
      const one = ids[below(ids.length || 1)];
      const kind = below(4);
      if (!one || kind < 2) at = add(at, `${round}.${step}`, one && below(5) ? one : START);
      else if (kind === 2) at = show(at, one);
      else at = remove(at, one);
      const shown = path(at);
      assert.equal(shown.length > 0, at.parents.size > 0);
      shown.forEach((id, index) => assert.equal(at.parents.get(id), shown[index - 1] ?? START));
      for (const [, parent] of at.parents) assert.ok(parent === START || at.parents.has(parent));
      if (one && at.parents.has(one)) assert.ok(versions(at, one).includes(one));
    }
  }
});

const turn = (id, parent, rest = {}) => ({
  id,
  parent,
  question: `Question ${id}`,
  answer: `Answer ${id}`,
  state: 'answered',
  stats: '',
  ...rest,
});
const saved = (turns, rest = {}) => ({ ...emptyConversation('one'), turns, ...rest });

test('a conversation that was saved as a flat list still opens', () => {
  const flat = (question) => ({ question, answer: 'Yes.', state: 'answered', stats: '9 tokens/s' });
  const old = { id: 'x', title: null, changed: 5, turns: [flat('One?'), flat('Two?')], model: 'https://example.org/m' };
  const read = readConversation(old);
  assert.deepEqual(
    shownTurns(read).map(({ question, answer, stats }) => [question, answer, stats]),
    [
      ['One?', 'Yes.', '9 tokens/s'],
      ['Two?', 'Yes.', '9 tokens/s'],
    ],
  );
  assert.equal(read.model, 'https://example.org/m');
  assert.deepEqual([read.file, read.settings, read.changed, titleOf(read)], [null, null, 5, 'One?']);
  assert.deepEqual(readConversation(read), read);
});

test('what is no conversation is refused, and circles and unknown turns before a turn are mended', () => {
  for (const [value, message] of [
    [null, /a chat was expected/],
    [{ turns: [] }, /no id/],
    [{ id: 'x' }, /no turns/],
    [{ id: 'x', turns: [{ answer: 'Yes.' }] }, /no question/],
    [{ id: 'x', turns: ['Yes.'] }, /a turn was expected/],
  ]) {
    assert.throws(() => readConversation(value), message);
  }
  const circle = readConversation({ id: 'x', turns: [turn('a', 'b'), turn('b', 'a'), turn('a', 'b')] });
  assert.equal(shownTurns(circle).length, 3);
  const foreign = readConversation({ id: 'x', turns: [turn('a', 'nobody', { state: 'odd', stats: 3 })] });
  assert.deepEqual(
    [foreign.turns[0].parent, foreign.turns[0].state, foreign.turns[0].stats],
    [START, 'unanswered', ''],
  );
});

test('the changes of two tabs are both kept', () => {
  const start = saved([turn('a', START)]);
  const first = applied(start, { turns: [turn('b', 'a')], removed: [], shown: { a: 'b' }, title: 'Named' });
  const both = applied(first, { turns: [turn('c', 'a')], removed: [], shown: { a: 'c' } });
  assert.deepEqual(
    shownTurns(both).map(({ id }) => id),
    ['a', 'c'],
  );
  assert.deepEqual(
    both.turns.map(({ id }) => id),
    ['a', 'b', 'c'],
  );
  assert.equal(both.title, 'Named');
});

test('a turn that one tab removed stays removed while another tab writes behind it', () => {
  const start = saved([turn('a', START), turn('b', 'a')]);
  const without = applied(start, { turns: [], removed: ['b'] });
  const grown = applied(without, { turns: [turn('c', 'b')], removed: [] });
  assert.deepEqual(
    grown.turns.map(({ id, parent }) => [id, parent]),
    [
      ['a', START],
      ['c', START],
    ],
  );
  const adopted = applied(saved([...start.turns, turn('c', 'b')]), { turns: [], removed: ['b'] });
  const streamed = applied(adopted, { turns: [turn('c', 'b', { answer: 'More' })], removed: [] });
  assert.deepEqual(
    streamed.turns.map(({ id, parent, answer }) => [id, parent, answer]),
    [
      ['a', START, 'Answer a'],
      ['c', 'a', 'More'],
    ],
  );
});

test('a removed turn can be put back where it was', () => {
  const start = saved([turn('a', START), turn('b', 'a'), turn('c', 'b')]);
  const without = applied(start, { turns: [], removed: ['b'] });
  const back = applied(without, { turns: [turn('b', 'a'), turn('c', 'b')], removed: [], shown: { a: 'b', b: 'c' } });
  assert.deepEqual(
    shownTurns(back).map(({ id }) => id),
    ['a', 'b', 'c'],
  );
});

test('the search finds words in every branch', () => {
  const both = saved([turn('a', START, { answer: 'A loom' }), turn('b', START)]);
  assert.ok(contains(both, 'LOOM answer'));
  assert.ok(!contains(both, 'loom shuttle'));
});

test('a chat becomes Markdown to read: its shown branch', () => {
  const both = saved([turn('a', START), turn('b', 'a', { answer: '' }), turn('c', 'a')], { shown: { a: 'b' } });
  const text = '# Question a\n\n## Question\n\nQuestion a\n\n## Answer\n\nAnswer a\n\n## Question\n\nQuestion b';
  assert.equal(toMarkdown(both), `${text}\n\n## Answer\n\n*No answer.*\n`);
});

test('a chat that was exported as JSON comes back with all branches', () => {
  const chats = [saved([turn('a', START), turn('b', START)], { shown: { '': 'a' }, settings: { temperature: '1' } })];
  assert.deepEqual(fromJson(toJson(chats)), chats);
  for (const text of ['', '{', 'null', '[]', '{"format":"weft-chats"}', '{"chats":[]}'])
    assert.throws(() => fromJson(text), /no chats of weft/);
  assert.throws(() => fromJson('{"format":"weft-chats","chats":[{"id":"x"}]}'), /damaged: the chat x has no turns/);
});

test('the name of an exported file is one that every system takes', () => {
  assert.equal(fileNameOf(saved([], { title: '../a\\b: "c"?\u0000\u202e' }), 'md'), 'a b c.md');
  assert.equal(fileNameOf(saved([], { title: '…' }), 'json'), '….json');
  assert.equal(fileNameOf(saved([], { title: '..' }), 'json'), 'Chat.json');
});
