import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withTimes } from './times.mjs';

const times = [
  { name: 'a', area: 'js', seconds: 0.4 },
  { name: 'b', area: 'rust', seconds: 12.6 },
];

test('the table of times stands between its marks, the slowest check first', () => {
  const text = 'before\n<!-- npm test -- --times writes this -->\nold\n<!-- until here -->\nafter\n';
  const once = withTimes(text, times, { cores: 2, total: 13.2 });
  assert.match(once, /^before\n<!--[^\n]+-->\n\n2 cores, two checks at a time, 13 s in all\./);
  assert.match(once, /---:\|\n\| b \| rust \| 13 \|\n\| a \| js \| < 1 \|\n\n<!-- until here -->\nafter\n$/);
  assert.equal(withTimes(once, times, { cores: 2, total: 13.2 }), once);
  assert.throws(() => withTimes('nothing', times, { cores: 2, total: 1 }), /has lost its line/);
});
