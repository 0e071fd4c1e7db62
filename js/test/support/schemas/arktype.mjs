// Schemas of ArkType: name → [schema, values that fit, values that do not].

import { type } from 'arktype';

const UUID = '123e4567-e89b-42d3-a456-426614174000';
export const arktype = {
  string: [type('string'), ['a'], [1]],
  'string of length': [type('1 <= string <= 3'), ['abc'], ['', 'abcd']],
  email: [type('string.email'), ['a.b@c.de'], ['a']],
  pattern: [type('/^[a-f]+$/'), ['abc'], ['x']],
  number: [type('number'), [1.5], ['1']],
  integer: [type('number.integer'), [3], [1.5]],
  range: [type('0 < number <= 10'), [5, 10], [0, 11]],
  divisor: [type('number % 5'), [10], [3]],
  boolean: [type('boolean'), [true, false], [0]],
  null: [type('null'), [null], [0]],
  literal: [type("'a'"), ['a'], ['b']],
  literals: [type("'a' | 'b' | 3"), ['a', 3], ['c']],
  union: [type('string | number'), ['a', 1], [null]],
  object: [type({ a: 'string', 'b?': 'number' }), [{ a: 'x' }, { a: 'x', b: 1 }], [{ b: 1 }]],
  'closed object': [type({ '+': 'reject', a: 'string' }), [{ a: 'x' }], [{ a: 'x', b: 1 }]],
  record: [type({ '[string]': 'number' }), [{}, { a: 1 }], [{ a: 'x' }]],
  array: [type('string[]'), [[], ['a']], [[1]]],
  'array of a size': [type('1 <= string[] <= 2'), [['a']], [[]]],
  tuple: [type(['string', 'number']), [['a', 1]], [['a']]],
  'tuple with rest': [type(['string', '...', 'number[]']), [['a', 1]], [['a', 'b']]],
  'union of objects': [type({ k: "'a'", x: 'number' }).or({ k: "'b'" }), [{ k: 'a', x: 1 }, { k: 'b' }], [{ k: 'a' }]],
  intersection: [type({ a: 'string' }).and({ b: 'number' }), [{ a: 'x', b: 1 }], [{ a: 'x' }]],
  default: [type({ a: 'number = 3' }), [{ a: 1 }, {}], [{ a: 'x' }]],
  uuid: [type('string.uuid'), [UUID], ['x']],
  unknown: [type('unknown'), [1, 'a'], []],
};
