import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readResults, report, SCRIPT } from './gpu-day.mjs';
import { inRoot, output } from './run.mjs';

const onLinux = { skip: process.platform === 'linux' ? false : 'the script is for Linux' };

/** Runs the script in a folder of programs that only pretend; gives its lines and its log. */
function day(programs, variables, ...args) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-gpu-day-'));
  try {
    mkdirSync(join(folder, 'lib'));
    copyFileSync(inRoot(SCRIPT), join(folder, 'run.sh'));
    for (const [name, script] of Object.entries(programs))
      writeFileSync(join(folder, name), `#!/bin/bash\n${script}\n`, { mode: 0o755 });
    const out = join(folder, 'out');
    const env = { ...process.env, ...variables };
    assert.notEqual(output(join(folder, 'run.sh'), ['--out', out, ...args], { env }), undefined);
    return { lines: readResults(out), log: readFileSync(join(out, 'log.txt'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const PROGRAMS = {
  'gpu-day': `case $1 in
    latencies) echo '{"what":"first"}'; echo -n '{"what":"cut'; exec sleep 30 ;;
    tuner) echo '{"what":"before"}'; echo 'a reason' >&2; exit 3 ;;
    *) echo "{\\"what\\":\\"$1\\",\\"drivers\\":\\"$VK_DRIVER_FILES\\"}"; echo 'no JSON' ;;
  esac`,
  weft: `echo "{\\"arguments\\":\\"$*\\"}"`,
  tests: `echo 'running 3 tests'; echo 'test a::b ... ok'; echo 'test a::c ... FAILED'; echo 'test a::d ... ignored, slow'`,
};

const lists = (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json'));

/** None of which hangs. */
const QUICK = { ...PROGRAMS, 'gpu-day': `echo "{\\"what\\":\\"$1\\"}"` };

test('a section that hangs is cut off, one that fails is named, and the rest runs', onLinux, () => {
  const { lines, log } = day(PROGRAMS, { GPU_DAY_LIMIT: '1' });
  const ends = lines.filter(({ what }) => what === 'end');
  assert.deepEqual(
    ends.map(({ section, status }) => [section, status]),
    [
      ['device', 0],
      ['latencies', 124],
      ['bench-8b', 0],
      ['tuner', 3],
      ['kernels', 0],
      ['bench-0.6b', 0],
      ['bench-3b', 0],
      ['correctness', 0],
    ],
  );
  // the machine's own drivers are used where the loader finds them
  const own = process.env.VK_DRIVER_FILES ?? '';
  if (own || lists('/usr/share/vulkan/icd.d') || lists('/etc/vulkan/icd.d')) assert.equal(lines[0].drivers, own);
  const of = (name) => lines.filter(({ section, what }) => section === name && what !== 'end');
  assert.deepEqual(of('latencies'), [{ section: 'latencies', what: 'first' }]);
  assert.deepEqual(of('tuner'), [{ section: 'tuner', what: 'before' }]);
  assert.match(of('bench-8b')[0].arguments, /bench --device gpu --synthetic llama-8b --type q4_k_m --position 0,4096,/);
  assert.deepEqual(
    of('correctness').map(({ test, result }) => [test, result]),
    [
      ['a::b', 'ok'],
      ['a::c', 'FAILED'],
      ['a::d', 'ignored'],
    ],
  );
  for (const said of ['a reason', 'no JSON', 'running 3 tests']) assert.ok(log.includes(said), said);
});

test('a small run is of sections that a software adapter can do, and sections can be chosen', onLinux, () => {
  const { lines } = day(QUICK, {}, '--small', 'kernels', 'bench-8b', 'bench-0.6b');
  assert.deepEqual(
    lines.filter(({ what }) => what === 'end').map(({ section }) => section),
    ['kernels', 'bench-0.6b'],
  );
  assert.match(lines.find(({ section }) => section === 'bench-0.6b').arguments, /qwen3-0.6b .* --layers 2 /);
});

test('the limits add up to less than ten minutes', onLinux, () => {
  for (const [args, count] of [
    [[], 8],
    [['--small'], 6],
  ]) {
    const limits = day(QUICK, {}, ...args).lines.flatMap(({ limit }) => limit ?? []);
    assert.equal(limits.length, count);
    const sum = limits.reduce((total, limit) => total + limit, 0);
    assert.ok(sum < 600, `${sum} s`);
  }
});

const KERNEL = { section: 'kernels', model: 'm', what: 'product', shape: 'Q4 1 × 2', rows: 1 };
const RESULTS = [
  { section: 'device', adapter: 'NVIDIA H200', driver: 'd', driverInfo: '1', features: ['SUBGROUP'] },
  { section: 'device', what: 'end', seconds: 1, limit: 20, status: 0 },
  { section: 'latencies', what: 'readback', bytes: 4, us: 30.04, leastUs: 20, mostUs: 90 },
  { section: 'latencies', what: 'pipeline', kind: 'linear Q4: plain', ms: 8, moduleMs: 2 },
  { section: 'latencies', what: 'pipeline', kind: 'linear Q8: plain', ms: 18, moduleMs: 2 },
  { section: 'latencies', what: 'pipeline', kind: 'linear Q8', name: 'tiled', failed: 'no f16' },
  { section: 'latencies', what: 'end', seconds: 60.5, limit: 60, status: 124 },
  { ...KERNEL, candidate: 'slow', us: 20, gigabytesPerSecond: 1, gigaflops: 2, partOfRoof: 0.25 },
  { ...KERNEL, candidate: 'quick', us: 10, gigabytesPerSecond: 2, gigaflops: 4, partOfRoof: 0.5 },
  { ...KERNEL, candidate: 'bad', wrong: 0.75 },
  { section: 'tuner', what: 'tuner', seconds: 2, chosen: { matvecWide: 'a', matmul: 'c', matmulRounded: 'd' } },
  { ...KERNEL, section: 'tuner', what: 'matvecWide', candidate: 'a', us: 3 },
  { ...KERNEL, section: 'tuner', what: 'matvecWide', candidate: 'b', us: 2 },
  {
    section: 'bench-8b',
    ...{ synthetic: 'llama-8b', position: 4096, promptTokens: 512, genTokens: 64 },
    ...{ promptTokensPerSecond: 5120, genTokensPerSecond: 100 },
  },
  { section: 'correctness', what: 'test', test: 'ops::a', result: 'ok' },
  { section: 'correctness', what: 'test', test: 'ops::b', result: 'FAILED' },
];

test('the report has what was measured beside the roofs', () => {
  const asked = [];
  const cost = (line, prompt, position) => {
    asked.push([prompt, position]);
    const roof = { memorySeconds: prompt / 1e5, arithmeticSeconds: 0.001, dispatchSeconds: 0.002 };
    const step = {
      roofs: [
        ['Apple M2', {}],
        ['NVIDIA H200', roof],
      ],
    };
    return { prompt: step, decode: step };
  };
  const text = report(RESULTS, { cost });
  assert.deepEqual(asked, [
    [4608, 0],
    [4096, 0],
    [1, 4640],
  ]);
  for (const row of [
    '# NVIDIA H200, d 1',
    '| latencies | 60.5 | 60 | cut off | 4 |',
    '|  | pipeline | linear Q8 |  | tiled | no f16 |',
    '| readback | 4 | 30 | 20 | 90 |',
    '| linear | 2 | 20 | 20 | 30 |',
    '| matvecWide | 1 | a | b 2; a 3 | 1.5 |',
    '| m | product | Q4 1 × 2 | 1 | quick | 10 | 2 | 4 | 0.5 | slow 20 |',
    '| m | product | Q4 1 × 2 | 1 | bad | off by 0.75 |',
    '| llama-8b | 4096 | a prompt of 512 | 5,120 | 100 | 5.12 / 0 / 0 | 0.0512 |',
    '| llama-8b | 4096 | a token | 100 | 10 | 0.01 / 1 / 2 | 0.2 |',
    '| passed | 1 |',
    '| FAILED | ops::b |',
  ])
    assert.ok(text.includes(row), `${row}\n\nin\n\n${text}`);
});

test('nothing of a section that did not run is in the report', () => {
  const text = report(RESULTS.slice(0, 2));
  assert.ok(text.includes('## Sections') && !text.includes('## Kernels') && !text.includes('## Speed'), text);
});
