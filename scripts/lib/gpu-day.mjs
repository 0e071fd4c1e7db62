// The folder that is taken to a machine with a GPU, and the tables of what comes back from it.

import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, output, Remedy, run, step, which } from './run.mjs';

/** Where the folder is made. */
export const FOLDER = 'target/gpu-day';

/** Largest size of the folder. */
export const MOST_BYTES = 60 << 20;

/** The script that runs there. */
export const SCRIPT = 'tools/gpu-day/run.sh';

/** Vulkan's loader. */
const LOADER = 'libvulkan.so.1';

/** What drivers for Vulkan need and a machine without a screen may lack. */
const LIBRARIES = [
  ...['libX11.so.6', 'libXext.so.6', 'libxcb.so.1', 'libXau.so.6', 'libXdmcp.so.6', 'libbsd.so.0', 'libmd.so.0'],
  ...['libGLX.so.0', 'libGLdispatch.so.0', 'libEGL.so.1'],
];

/** Path of a library on this machine; undefined if it is not here. */
function findLibrary(name) {
  const ldconfig = which('ldconfig', '/sbin/ldconfig', '/usr/sbin/ldconfig');
  const lines = (ldconfig && output(ldconfig, ['-p'])) ?? '';
  const found = lines.split('\n').filter((line) => line.trim().startsWith(`${name} `) && line.includes('x86-64'));
  return found[0]?.split(' => ')[1];
}

/** Makes the folder. */
export async function make(folder) {
  const loader = findLibrary(LOADER);
  if (!loader) throw new Remedy(`Missing: Vulkan's loader for Linux on x86-64. On Debian: apt install libvulkan1.`);
  if (!which('strip')) throw new Remedy('Missing: strip. On Debian: apt install binutils.');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'lib'), { recursive: true });
  await step('compile for release', async () => {
    const built = await artifacts(['build', '--bin', 'weft', '--example', 'gpu-day']);
    const tests = await artifacts(['test', '--no-run', '--test', 'all']);
    for (const [path, name] of [
      [built.get('weft'), 'weft'],
      [built.get('gpu-day'), 'gpu-day'],
      [tests.get('all'), 'tests'],
    ]) {
      await run('strip', ['-o', join(folder, name), path]);
    }
  });
  copyFileSync(loader, join(folder, 'lib', LOADER));
  for (const name of LIBRARIES) {
    const path = findLibrary(name);
    if (path) copyFileSync(path, join(folder, 'lib', name));
  }
  copyFileSync(inRoot(SCRIPT), join(folder, 'run.sh'));
  chmodSync(join(folder, 'run.sh'), 0o755);
  const bytes = sizeOf(folder);
  if (bytes > MOST_BYTES) throw new Error(`${folder} has ${mebibytes(bytes)}, at most ${mebibytes(MOST_BYTES)}`);
  console.log(`${folder}: ${mebibytes(bytes)} of ${mebibytes(MOST_BYTES)}`);
}

/** The programs that a command of cargo makes, by the names of their targets. */
async function artifacts([command, ...args]) {
  const text = await run('cargo', [command, '--release', '--locked', ...args, '--message-format=json']);
  const lines = text.split('\n').filter((line) => line.startsWith('{"reason":"compiler-artifact"'));
  const programs = lines.map((line) => JSON.parse(line)).filter(({ executable }) => executable);
  return new Map(programs.map(({ target, executable }) => [target.name, executable]));
}

const sizeOf = (path) =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .map((name) => sizeOf(join(path, name)))
        .reduce((sum, size) => sum + size, 0)
    : statSync(path).size;

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** The lines of a folder of results; those that were cut off are left out. */
export function readResults(folder) {
  const lines = readFileSync(join(folder, 'results.jsonl'), 'utf8').split('\n');
  return lines.flatMap((line) => {
    try {
      return line ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}

/** What `weft cost` counts for the model of a line of `weft bench`: a prompt and a position. */
export const weftCost = (weft) => (bench, prompt, position) => {
  if (!existsSync(weft)) return undefined;
  const layers = bench.layers ? ['--layers', bench.layers] : [];
  const sizes = ['--prompt', prompt, '--position', position];
  const text = output(weft, ['cost', '--synthetic', bench.synthetic, ...layers, ...sizes, '--json']);
  return text && JSON.parse(text);
};

/** Tables of the results. `cost`: see weftCost. `gpu`: the roofs' name, else the adapter's. */
export function report(results, { gpu, cost = () => undefined } = {}) {
  const of = (section) => results.filter((line) => line.section === section && line.what !== 'end');
  const device = of('device')[0];
  const bench = results.filter(({ section, what }) => section.startsWith('bench') && what !== 'end');
  return [
    `# ${device ? `${device.adapter}, ${device.driver} ${device.driverInfo}` : 'No device'}`,
    `Features: ${device?.features.join(', ') ?? 'unknown'}.`,
    ...part('Sections', ['', 'seconds', 'limit', 'ended', 'lines'], sections(results)),
    ...part('Latencies', ['', 'bytes', 'µs', 'least', 'most'], of('latencies').flatMap(latency)),
    ...part('Pipelines', ['shader', 'number', 'ms', 'most', 'all'], pipelines(of('latencies'))),
    ...part('Tuner', ['heat', 'rows', 'chosen', 'by the clock, µs', 'chosen / best'], tuner(of('tuner'))),
    ...part(
      'Kernels',
      ['model', 'operation', 'shape', 'rows', 'best', 'µs', 'GB/s', 'GFLOP/s', 'of the roof', 'others, µs'],
      races(of('kernels')).map(kernel),
    ),
    ...part('Wrong or failed', ['model', 'operation', 'shape', 'rows', 'candidate', ''], wrong(results)),
    ...part(
      'Speed',
      ['model', 'position', 'of', 'tokens/s', 'ms', 'ms at the roofs: memory / arithmetic / dispatches', 'part'],
      bench.flatMap((line) => speed(line, gpu ?? device?.adapter ?? '', cost)),
    ),
    ...part('Correctness', ['', 'tests'], correctness(of('correctness'))),
  ].join('\n\n');
}

function part(title, head, rows) {
  if (!rows.length) return [];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [`## ${title}`, [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')];
}

const digits = (number) =>
  typeof number === 'number'
    ? Number(number.toPrecision(3)).toLocaleString('en', { maximumSignificantDigits: 3 })
    : '–';

function sections(results) {
  return results
    .filter(({ what }) => what === 'end')
    .map(({ section, seconds, limit, status }) => {
      const lines = results.filter((line) => line.section === section).length - 1;
      const ended = { 0: 'well', 124: 'cut off', 137: 'cut off' }[status] ?? `with ${status}`;
      return [section, digits(seconds), limit, ended, lines];
    });
}

const latency = ({ what, bytes, us, leastUs, mostUs }) =>
  leastUs === undefined ? [] : [[what, bytes || '', ...[us, leastUs, mostUs].map(digits)]];

/** Pairs of a key and its lines. */
function groups(lines, key) {
  const found = new Map();
  for (const line of lines) found.set(key(line), [...(found.get(key(line)) ?? []), line]);
  return [...found];
}

function pipelines(lines) {
  const compiled = lines.filter(({ what, failed }) => what === 'pipeline' && !failed);
  return groups(compiled, ({ kind }) => kind.split(/[ :]/)[0]).map(([shader, all]) => {
    const times = all.map(({ ms, moduleMs }) => ms + moduleMs).sort((a, b) => a - b);
    const sum = times.reduce((total, time) => total + time, 0);
    return [shader, times.length, ...[times[times.length >> 1], times.at(-1), sum].map(digits)];
  });
}

/** The candidates of each race, the fastest first. */
function races(lines) {
  const timed = lines.filter(({ us }) => us !== undefined && us !== null);
  const key = ({ model, what, shape, rows }) => [model, what, shape, rows].join();
  return groups(timed, key).map(([, all]) => all.sort((a, b) => a.us - b.us));
}

const ranking = (all) => all.map(({ candidate, us }) => `${candidate} ${digits(us)}`).join('; ');

function kernel([best, ...others]) {
  const { model, what, shape, rows, candidate, us, gigabytesPerSecond, gigaflops, partOfRoof } = best;
  const figures = [us, gigabytesPerSecond, gigaflops, partOfRoof].map(digits);
  return [model, what, shape, rows, candidate, ...figures, ranking(others) || '–'];
}

function tuner(lines) {
  const choice = lines.findLast(({ what }) => what === 'tuner');
  const rows = races(lines).map((all) => {
    const [{ what, rows, us }] = all;
    const name = (what === 'matmul' && choice?.chosen.matmulRounded) || choice?.chosen[what];
    const chosen = all.find(({ candidate }) => candidate === name);
    return [what, rows, name ?? '–', ranking(all), digits(chosen && chosen.us / us)];
  });
  return choice ? [...rows, ['all', '', `in ${digits(choice.seconds)} s`, '', '']] : rows;
}

const wrong = (results) =>
  results
    .filter((line) => line.wrong !== undefined || line.failed !== undefined)
    .map(({ model, what, kind, shape = kind, rows, name, candidate = name, wrong, failed }) => {
      return [model, what, shape, rows, candidate, failed ?? `off by ${digits(wrong)}`];
    });

/** A row for a prompt and one for a token. */
function speed(line, gpu, cost) {
  const { synthetic, position, promptTokens, promptTokensPerSecond, genTokensPerSecond, genTokens } = line;
  const roofs = (counted) => Object.values(counted?.roofs.find(([name]) => gpu.includes(name))?.[1] ?? {});
  const behind = position + promptTokens;
  // of a prompt behind earlier positions: that of both together without that of the earlier ones
  const all = roofs(cost(line, behind, 0)?.prompt);
  const earlier = position ? roofs(cost(line, position, 0)?.prompt) : [];
  const prompt = all.map((seconds, i) => seconds - (earlier[i] ?? 0));
  const token = roofs(cost(line, 1, behind + (genTokens >> 1))?.decode);
  const row = (what, perSecond, count, seconds) => {
    const took = count / perSecond;
    const least = seconds.map((roof) => digits(1e3 * roof)).join(' / ') || '–';
    const share = seconds.length ? digits(Math.max(...seconds) / took) : '–';
    return [synthetic, position, what, digits(perSecond), digits(1e3 * took), least, share];
  };
  return [
    row(`a prompt of ${promptTokens}`, promptTokensPerSecond, promptTokens, prompt),
    row('a token', genTokensPerSecond, 1, token),
  ];
}

function correctness(lines) {
  const failed = lines.filter(({ result }) => result === 'FAILED').map(({ test }) => ['FAILED', test]);
  const passed = lines.filter(({ result }) => result === 'ok').length;
  return lines.length ? [['passed', passed], ...failed] : [];
}
