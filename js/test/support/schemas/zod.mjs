// Schemas of zod: name → [schema, values that fit, values that do not]. Checks that zod does not
// express in JSON Schema (refinements, the host of a URL) are left out.

import * as z from 'zod';

const UUID = '123e4567-e89b-42d3-a456-426614174000';
const tree = z.object({
  name: z.string(),
  get children() {
    return z.array(tree);
  },
});
const list = z.object({
  value: z.number(),
  get next() {
    return list.nullable();
  },
});
const shape = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
  z.object({ kind: z.literal('square'), side: z.number().positive() }),
]);

export const zod = {
  string: [z.string(), ['', 'a "b"\n\\ é 😀'], [1, null]],
  'string of length': [z.string().min(2).max(4), ['ab', 'abcd'], ['a', 'abcde']],
  'string of exact length': [z.string().length(3), ['abc'], ['ab']],
  'not empty': [z.string().nonempty(), ['a'], ['']],
  email: [z.email(), ['a.b@c.de'], ['a..b@c.de', '.a@b.cd', 'a', 'a@b']],
  'email as HTML has it': [z.email({ pattern: z.regexes.html5Email }), ['a.b@c.de'], ['a b@c.de']],
  'email, RFC 5322': [z.email({ pattern: z.regexes.rfc5322Email }), ['a.b@c.de'], ['a b@c.de']],
  'email, Unicode': [z.email({ pattern: z.regexes.unicodeEmail }), ['a.b@c.de'], ['a b@c.de', 'a']],
  url: [z.url(), ['https://a.b/c?d=e#f', 'http://localhost:80'], ['a', 'http://', 'http://a b']],
  uuid: [z.uuid(), [UUID], ['123', UUID.slice(1)]],
  uuidv4: [z.uuidv4(), [UUID], [UUID.replace('-4', '-1')]],
  uuidv7: [z.uuidv7(), ['018f4e6a-7c00-7000-8000-000000000000'], [UUID]],
  guid: [z.guid(), [UUID], ['a']],
  nanoid: [z.nanoid(), ['V1StGXR8_Z5jdHi6B-myT'], ['short']],
  cuid: [z.cuid(), ['cjld2cjxh0000qzrmn831i7rn'], ['x']],
  cuid2: [z.cuid2(), ['tz4a98xxat96iws9zmbrgj3a'], ['A']],
  ulid: [z.ulid(), ['01ARZ3NDEKTSV4RRFFQ69G5FAV'], ['01ARZ']],
  xid: [z.xid(), ['9m4e2mr0ui3e8a215n4g'], ['9m']],
  ksuid: [z.ksuid(), ['0ujtsYcgvSTl8PAuAdqWYSMnLOv'], ['0u']],
  ipv4: [z.ipv4(), ['1.2.3.4'], ['1.2.3', '256.1.1.1']],
  ipv6: [z.ipv6(), ['::1', 'fe80::1', '1:2:3:4:5:6:7:8'], ['1::2::3', 'x']],
  cidrv4: [z.cidrv4(), ['10.0.0.0/8'], ['10.0.0.0', '10.0.0.0/33']],
  cidrv6: [z.cidrv6(), ['fe80::/10'], ['fe80::', 'fe80::/129']],
  mac: [z.mac(), ['00:1A:2b:3c:4d:5e'.toUpperCase()], ['00:1A']],
  base64: [z.base64(), ['', 'YQ==', 'YWJj'], ['YQ', '!']],
  base64url: [z.base64url(), ['YQ', 'YWJj-_'], ['+']],
  e164: [z.e164(), ['+41441234567'], ['041', '+0123']],
  hostname: [z.hostname(), ['a-b.example'], ['-a', 'a..b']],
  hex: [z.hex(), ['', 'deadBEEF'], ['xyz']],
  sha256: [z.hash('sha256'), ['a'.repeat(64)], ['a'.repeat(63)]],
  'sha1 as base64': [z.hash('sha1', { enc: 'base64' }), ['2jmj7l5rSw0yVb/vlWAYkK/YBwk='], ['x']],
  emoji: [z.emoji(), ['😀', '👍🎉'], ['a']],
  datetime: [
    z.iso.datetime(),
    ['2024-02-29T03:04:05Z', '2024-02-29T03:04:05.123Z'],
    ['2023-02-29T03:04:05Z', '2024-01-01'],
  ],
  'local datetime': [z.iso.datetime({ local: true }), ['2024-01-02T03:04:05'], ['2024-01-02']],
  'datetime with offset': [z.iso.datetime({ offset: true }), ['2024-01-02T03:04:05+02:00'], ['2024-01-02T03:04:05']],
  'datetime of milliseconds': [
    z.iso.datetime({ precision: 3 }),
    ['2024-01-02T03:04:05.678Z'],
    ['2024-01-02T03:04:05Z'],
  ],
  'datetime of minutes': [z.iso.datetime({ precision: -1 }), ['2024-01-02T03:04Z'], ['2024-01-02T03:04:05Z']],
  date: [z.iso.date(), ['2024-02-29'], ['2023-02-29', '2024-13-01', '1-1-1']],
  time: [z.iso.time(), ['03:04', '03:04:05', '03:04:05.678'], ['3:4', '25:00']],
  'time of seconds': [z.iso.time({ precision: 0 }), ['03:04:05'], ['03:04']],
  duration: [z.iso.duration(), ['P1Y2M3DT4H5M6S', 'PT1S', 'P3W'], ['P', '1D', 'PT']],
  'starts with': [z.string().startsWith('a.b/'), ['a.b/', 'a.b/c'], ['axb/', 'x']],
  'ends with': [z.string().endsWith('!'), ['hi!'], ['!hi']],
  includes: [z.string().includes('(x)'), ['a(x)b'], ['x']],
  'starts, includes, ends': [
    z.string().startsWith('a').includes('b').endsWith('c').max(9),
    ['abc', 'a b c'],
    ['ac', 'bc'],
  ],
  lowercase: [z.string().lowercase(), ['abc é'], ['aBc']],
  uppercase: [z.string().uppercase(), ['ABC'], ['aBC']],
  pattern: [z.string().regex(/^[a-z]\w*-\d{2,3}$/), ['a_1-22'], ['1-22', 'a-2222']],
  'pattern somewhere': [z.string().regex(/\bcat\b/), ['a cat.'], ['concat']],
  'password with look-ahead': [
    z.string().regex(/^(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}$/),
    ['abcDEF12'],
    ['abcdefgh', 'aB1'],
  ],
  'look-behind': [z.string().regex(/(?<=\$)\d+$/), ['$12'], ['12']],
  'two patterns': [z.string().regex(/^a/).regex(/z$/), ['az', 'a-z'], ['a', 'z']],
  'Unicode properties': [z.string().regex(/^\p{Lu}\p{Ll}+$/u), ['Éa'], ['éa']],
  'trimmed, lower case': [z.string().trim().toLowerCase().min(1), ['abc'], ['']],
  'template literal': [z.templateLiteral(['v', z.int().min(0), '.', z.enum(['x', 'y'])]), ['v12.x'], ['v.x', 'v1.z']],
  number: [z.number(), [0, -1.5, 12345, 1e-7], ['1', null]],
  int: [z.int(), [0, -3, 9007199254740991], [1.5]],
  int32: [z.int32(), [-2147483648, 2147483647], [2147483648]],
  uint32: [z.uint32(), [0, 4294967295], [-1, 4294967296]],
  float32: [z.float32(), [0, 1.5], ['a']],
  float64: [z.float64(), [0, -1.5], ['a']],
  'number from to': [z.number().min(-1.5).max(10), [-1.5, 0, 9.99, 10], [-1.6, 10.01]],
  'number between': [z.number().gt(0).lt(1), [0.5, 0.001], [0, 1, -0.5]],
  positive: [z.number().positive(), [0.1, 3], [0, -1]],
  negative: [z.number().negative(), [-0.1], [0, 1]],
  nonnegative: [z.number().nonnegative(), [0, 1.5], [-1]],
  'integer from to': [z.number().int().min(-10).max(120), [-10, 0, 120], [-11, 121, 1.5]],
  'multiple of a cent': [z.number().multipleOf(0.01).min(0).max(1000), [0, 1.25, 99.9], [-1, 1.255]],
  'multiple of five': [z.number().multipleOf(5), [0, 15, -20], [3]],
  'multiple of seven': [z.int().multipleOf(7).min(0).max(100), [0, 14, 98], [15, 105]],
  coerced: [z.coerce.number(), [1.5], []],
  boolean: [z.boolean(), [true, false], ['true']],
  null: [z.null(), [null], [0]],
  any: [z.any(), [1, 'a', [null], { a: { b: [true] } }], []],
  unknown: [z.unknown(), [1, 'a', []], []],
  json: [z.json(), [1, 'a', [null, { a: [true] }], { b: {} }], []],
  'literal text': [z.literal('a/b "c"'), ['a/b "c"'], ['a']],
  'literal number': [z.literal(3), [3], [4, '3']],
  literals: [z.literal(['a', 1, null, true]), ['a', 1, null, true], ['b', 2, false]],
  enum: [z.enum(['red', 'green', 'gr']), ['red', 'gr'], ['blue', 'g']],
  'enum of an object': [z.enum({ A: 'a', B: 'b' }), ['a'], ['A']],
  'native enum of numbers': [z.enum({ Up: 1, Down: 2 }), [1, 2], [3]],
  optional: [z.object({ a: z.string().optional(), b: z.number() }), [{ b: 1 }, { a: 'x', b: 1 }], [{ a: 'x' }]],
  nullable: [z.string().nullable(), ['a', null], [1]],
  nullish: [z.object({ a: z.string().nullish() }), [{}, { a: null }, { a: 'b' }], [{ a: 1 }]],
  default: [z.object({ a: z.number().default(3) }), [{ a: 1 }, {}], [{ a: 'x' }]],
  prefault: [z.object({ a: z.string().prefault('x') }), [{ a: 'b' }], [{ a: 1 }]],
  catch: [z.object({ a: z.number().catch(1) }), [{ a: 2 }], []],
  readonly: [z.object({ a: z.string() }).readonly(), [{ a: 'b' }], [{}]],
  branded: [z.string().min(1).brand('id'), ['a'], ['']],
  described: [
    z
      .string()
      .describe('a name')
      .meta({ title: 'Name', examples: ['x'], deprecated: true }),
    ['a'],
    [1],
  ],
  object: [
    z.object({ a: z.string(), b: z.int(), c: z.boolean() }),
    [{ a: 'x', b: 1, c: true }],
    [{ a: 'x' }, {}, { a: 1, b: 1, c: true }],
  ],
  'object of objects': [
    z.object({ a: z.object({ b: z.object({ c: z.null() }) }) }),
    [{ a: { b: { c: null } } }],
    [{ a: { b: {} } }],
  ],
  'empty object': [z.object({}), [{}], [1]],
  'strict object': [z.strictObject({ a: z.string() }), [{ a: 'b' }], [{ a: 'b', c: 1 }]],
  'loose object': [z.looseObject({ a: z.string() }), [{ a: 'b' }, { a: 'b', c: [1] }], [{ c: 1 }]],
  catchall: [z.object({ a: z.string() }).catchall(z.number()), [{ a: 'b' }, { a: 'b', c: 1 }], [{ a: 'b', c: 'd' }]],
  partial: [z.object({ a: z.string(), b: z.number() }).partial(), [{}, { a: 'x' }, { b: 1 }], [{ a: 1 }]],
  required: [z.object({ a: z.string().optional() }).required(), [{ a: 'x' }], [{}]],
  extended: [z.object({ a: z.string() }).extend({ b: z.number() }), [{ a: 'x', b: 1 }], [{ a: 'x' }]],
  picked: [z.object({ a: z.string(), b: z.number() }).pick({ a: true }), [{ a: 'x' }], [{ b: 1 }]],
  'names to be escaped': [
    z.object({ 'a "b"\\\n': z.int(), 'é😀': z.int(), '': z.int() }),
    [{ 'a "b"\\\n': 1, 'é😀': 2, '': 3 }],
    [{}],
  ],
  record: [z.record(z.string(), z.number()), [{}, { a: 1, b: 2 }], [{ a: 'x' }]],
  'record of a pattern': [z.record(z.string().regex(/^x-[a-z]+$/), z.number()), [{ 'x-a': 1 }, {}], [{ a: 1 }]],
  'record of long names': [z.record(z.string().min(3), z.boolean()), [{ abc: true }], [{ ab: true }]],
  'record of an enum': [z.record(z.enum(['a', 'b']), z.number()), [{ a: 1, b: 2 }], [{ a: 1 }, { a: 1, b: 2, c: 3 }]],
  'record of literals': [z.record(z.literal(['a', 'b']), z.number()), [{ a: 1, b: 2 }], [{ b: 2 }]],
  'partial record': [z.partialRecord(z.enum(['a', 'b']), z.number()), [{}, { b: 2 }, { a: 1, b: 2 }], [{ c: 3 }]],
  'record of dates': [z.record(z.iso.date(), z.int()), [{ '2024-01-02': 1 }], [{ x: 1 }]],
  'record of records': [z.record(z.string(), z.record(z.string(), z.array(z.int()))), [{ a: { b: [1] } }], [{ a: [] }]],
  array: [z.array(z.string()), [[], ['a', 'b']], [[1]]],
  'array of a size': [z.array(z.int()).min(1).max(3), [[1], [1, 2, 3]], [[], [1, 2, 3, 4]]],
  'array of exact size': [z.array(z.boolean()).length(2), [[true, false]], [[true]]],
  nonempty: [z.array(z.string()).nonempty(), [['a']], [[]]],
  'array of arrays': [z.array(z.array(z.number()).length(2)), [[[1, 2]], []], [[[1]]]],
  tuple: [z.tuple([z.string(), z.number()]), [['a', 1]], [['a'], ['a', 1, 2], [1, 'a']]],
  'tuple with rest': [z.tuple([z.string()], z.number()), [['a'], ['a', 1, 2]], [[], ['a', 'b']]],
  'tuple with an optional end': [z.tuple([z.string(), z.number().optional()]), [['a', 1]], [['a', 'b'], []]],
  'empty tuple': [z.tuple([]), [[]], [[1]]],
  union: [z.union([z.string(), z.number(), z.null()]), ['a', 1, null], [true]],
  'union of objects': [
    z.union([z.object({ a: z.string() }), z.object({ b: z.number() })]),
    [{ a: 'x' }, { b: 1 }],
    [{ a: 1 }, {}],
  ],
  'union of literals': [z.union([z.literal('a'), z.literal(1), z.boolean()]), ['a', 1, false], ['b', 2]],
  'discriminated union': [
    shape,
    [
      { kind: 'circle', radius: 1 },
      { kind: 'square', side: 2 },
    ],
    [{ kind: 'circle', side: 2 }, { kind: 'x' }],
  ],
  'discriminated union of several': [
    z.discriminatedUnion('k', [z.object({ k: z.enum(['a', 'b']) }), z.object({ k: z.literal(1), n: z.null() })]),
    [{ k: 'b' }, { k: 1, n: null }],
    [{ k: 'c' }],
  ],
  'nested discriminated union': [
    z.discriminatedUnion('t', [z.object({ t: z.literal('s'), s: shape }), z.object({ t: z.literal('n') })]),
    [{ t: 's', s: { kind: 'square', side: 1 } }, { t: 'n' }],
    [{ t: 's' }],
  ],
  'exclusive union': [
    z.xor([z.object({ a: z.string() }), z.object({ b: z.string() })]),
    [{ a: 'x' }, { b: 'x' }],
    [{}],
  ],
  intersection: [
    z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })),
    [{ a: 'x', b: 1 }],
    [{ a: 'x' }, { b: 1 }],
  ],
  'intersection of three': [
    z
      .object({ a: z.string() })
      .and(z.object({ b: z.number() }))
      .and(z.object({ c: z.null() })),
    [{ a: 'x', b: 1, c: null }],
    [{ a: 'x', b: 1 }],
  ],
  'intersection with a union': [
    z.object({ id: z.int() }).and(z.union([z.object({ a: z.string() }), z.object({ b: z.string() })])),
    [
      { id: 1, a: 'x' },
      { id: 1, b: 'x' },
    ],
    [{ id: 1 }],
  ],
  'intersection with a record': [
    z.object({ a: z.string() }).and(z.record(z.string(), z.string())),
    [{ a: 'x' }],
    [{ a: 1 }],
  ],
  recursive: [
    tree,
    [
      { name: 'a', children: [] },
      { name: 'a', children: [{ name: 'b', children: [] }] },
    ],
    [{ name: 'a' }],
  ],
  'recursive list': [list, [{ value: 1, next: { value: 2, next: null } }], [{ value: 1 }]],
  lazy: [z.lazy(() => z.array(z.string())), [['a']], [[1]]],
  'the same schema twice': [z.object({ a: shape, b: shape.optional() }), [{ a: { kind: 'square', side: 1 } }], [{}]],
  'schema with an id': [
    z.object({ a: z.string().meta({ id: 'Name~1/x' }), b: z.string().meta({ id: 'x' }) }),
    [{ a: 'x', b: 'y' }],
    [{ a: 1 }],
  ],
  codec: [
    z.codec(z.iso.date(), z.date(), {
      decode: (text) => new Date(text),
      encode: (date) => date.toISOString().slice(0, 10),
    }),
    ['2024-01-02'],
    ['x'],
  ],
  preprocess: [z.preprocess((value) => value, z.string()), ['a'], []],
  transform: [
    z
      .string()
      .min(2)
      .transform((text) => text.length),
    ['ab'],
    ['a'],
  ],
  'a whole order': [
    z.object({
      id: z.uuidv4(),
      customer: z.object({ name: z.string().min(1), email: z.email(), phone: z.e164().optional() }),
      items: z
        .array(
          z.object({
            sku: z.string().regex(/^[A-Z]{3}-\d{4}$/),
            count: z.int().positive().max(99),
            price: z.number().nonnegative().multipleOf(0.01),
          }),
        )
        .min(1),
      placed: z.iso.datetime(),
      status: z.enum(['open', 'paid', 'sent']),
      tags: z.record(z.string(), z.string()).default({}),
    }),
    [
      {
        id: UUID,
        customer: { name: 'A', email: 'a@b.cd' },
        items: [{ sku: 'ABC-1234', count: 2, price: 9.99 }],
        placed: '2024-01-02T03:04:05Z',
        status: 'paid',
        tags: {},
      },
    ],
    [{ id: UUID }],
  ],
};
