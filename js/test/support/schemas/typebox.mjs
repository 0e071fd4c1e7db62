// Schemas of TypeBox: name → [schema, values that fit, values that do not].

import { Type } from '@sinclair/typebox';

const T = Type;
const node = T.Recursive((This) => T.Object({ id: T.Integer(), nodes: T.Array(This) }), { $id: 'Node' });

export const typebox = {
  String: [T.String(), ['a'], [1]],
  'String of length': [T.String({ minLength: 1, maxLength: 3 }), ['abc'], ['', 'abcd']],
  'String with pattern': [T.String({ pattern: '^[a-z]+$' }), ['abc'], ['A']],
  Number: [T.Number(), [1.5], ['1']],
  'Number of a range': [T.Number({ exclusiveMinimum: 0, maximum: 10 }), [0.5, 10], [0, 11]],
  Integer: [T.Integer({ minimum: -5, maximum: 5 }), [-5, 0, 5], [6, 1.5]],
  'Integer of a multiple': [T.Integer({ multipleOf: 25 }), [0, 75], [30]],
  'Integer of an odd multiple': [T.Integer({ multipleOf: 3, minimum: 0 }), [0, 9, 12], [10]],
  Boolean: [T.Boolean(), [true], [1]],
  Null: [T.Null(), [null], [0]],
  Any: [T.Any(), [1, [2]], []],
  Unknown: [T.Unknown(), ['a'], []],
  Literal: [T.Literal('x'), ['x'], ['y']],
  'Literal number': [T.Literal(42), [42], [43]],
  'Literal boolean': [T.Literal(true), [true], [false]],
  Enum: [T.Enum({ A: 'a', B: 'b' }), ['a', 'b'], ['c']],
  TemplateLiteral: [T.TemplateLiteral('on${A|B}'.replace('A', 'Click').replace('B', 'Key')), ['onClick'], ['on']],
  Object: [T.Object({ a: T.String(), b: T.Optional(T.Number()) }), [{ a: 'x' }, { a: 'x', b: 1 }], [{ b: 1 }]],
  'closed Object': [T.Object({ a: T.String() }, { additionalProperties: false }), [{ a: 'x' }], [{ a: 'x', b: 1 }]],
  'open Object': [
    T.Object({ a: T.String() }, { additionalProperties: T.Number() }),
    [{ a: 'x', b: 1 }],
    [{ a: 'x', b: 'y' }],
  ],
  'Object of few': [
    T.Object(
      { a: T.Optional(T.String()), b: T.Optional(T.String()), c: T.Optional(T.String()) },
      { minProperties: 1, maxProperties: 2, additionalProperties: false },
    ),
    [{ a: 'x' }, { a: 'x', c: 'y' }, { b: 'z' }],
    [{}, { a: 'x', b: 'y', c: 'z' }],
  ],
  Partial: [T.Partial(T.Object({ a: T.String(), b: T.Number() })), [{}, { b: 1 }], [{ a: 1 }]],
  Pick: [T.Pick(T.Object({ a: T.String(), b: T.Number() }), ['b']), [{ b: 1 }], [{ a: 'x' }]],
  Array: [T.Array(T.Integer(), { minItems: 1, maxItems: 3 }), [[1], [1, 2, 3]], [[], [1.5]]],
  'Array of distinct': [
    T.Array(T.Union([T.Literal('a'), T.Literal('b'), T.Literal('c')]), { uniqueItems: true, minItems: 1 }),
    [['a'], ['a', 'c']],
    [[], ['a', 'a'], ['d']],
  ],
  'Array that contains': [T.Array(T.Number(), { contains: T.Literal(1) }), [[1], [1, 2]], [[], [2]]],
  'Array that contains several': [
    T.Array(T.Integer(), { contains: T.Integer({ minimum: 10 }), minContains: 2, maxContains: 3 }),
    [[10, 11, 1]],
    [[10], [1, 2]],
  ],
  Tuple: [T.Tuple([T.String(), T.Number()]), [['a', 1]], [['a'], ['a', 1, 2]]],
  'empty Tuple': [T.Tuple([]), [[]], [[1]]],
  Record: [T.Record(T.String(), T.Number()), [{}, { a: 1 }], [{ a: 'x' }]],
  'Record of a pattern': [
    T.Record(T.String({ pattern: '^x-' }), T.Number(), { additionalProperties: false }),
    [{ 'x-a': 1 }],
    [{ a: 1 }],
  ],
  'Record of literals': [T.Record(T.Union([T.Literal('a'), T.Literal('b')]), T.Number()), [{ a: 1, b: 2 }], [{ a: 1 }]],
  'Record of integers': [
    T.Record(T.Integer(), T.String(), { additionalProperties: false }),
    [{ 12: 'a' }],
    [{ x: 'a' }],
  ],
  Union: [T.Union([T.String(), T.Integer()]), ['a', 1], [1.5]],
  Intersect: [
    T.Intersect([T.Object({ a: T.String() }), T.Object({ b: T.Number() })]),
    [{ a: 'x', b: 1 }],
    [{ a: 'x' }],
  ],
  'closed Intersect': [
    T.Intersect([T.Object({ a: T.String() }), T.Object({ b: T.Number() })], { unevaluatedProperties: false }),
    [{ a: 'x', b: 1 }],
    [{ a: 'x', b: 1, c: 2 }],
  ],
  Composite: [T.Composite([T.Object({ a: T.String() }), T.Object({ b: T.Number() })]), [{ a: 'x', b: 1 }], [{ b: 1 }]],
  Not: [T.Not(T.String()), [1, null, [], {}], ['a']],
  'Not within an Intersect': [
    T.Intersect([T.String(), T.Not(T.Literal('admin'))]),
    ['user', 'administrator'],
    ['admin', 1],
  ],
  'Not of numbers': [
    T.Intersect([T.Integer({ minimum: 0, maximum: 9 }), T.Not(T.Integer({ minimum: 3, maximum: 5 }))]),
    [0, 2, 6, 9],
    [3, 4, 5, 10],
  ],
  Recursive: [node, [{ id: 1, nodes: [{ id: 2, nodes: [] }] }], [{ id: 1 }]],
  Index: [T.Index(T.Object({ a: T.String() }), ['a']), ['x'], [1]],
  KeyOf: [T.KeyOf(T.Object({ a: T.String(), b: T.String() })), ['a', 'b'], ['c']],
  Capitalize: [T.Capitalize(T.Literal('hello')), ['Hello'], ['hello']],
  Extends: [T.Extends(T.String(), T.Unknown(), T.Literal(1), T.Literal(2)), [1], [2]],
  Exclude: [T.Exclude(T.Union([T.Literal('a'), T.Literal('b')]), T.Literal('a')), ['b'], ['a']],
  Unsafe: [T.Unsafe({ type: 'string', format: 'no-such-format', 'x-more': 1 }), ['a'], []],
};
