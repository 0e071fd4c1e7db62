// Tables for people, and what was measured on.

import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { inRoot, output } from '../../scripts/lib/run.mjs';
import { nameOf } from './cases.mjs';
import { metrics } from './figures.mjs';

/** The machine and the version of weft. */
export function machine() {
  const model = cpus()[0].model.trim();
  return {
    cpu: model,
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    weft: JSON.parse(readFileSync(inRoot('js/package.json'), 'utf8')).version,
    commit: output('git', ['describe', '--always', '--dirty']),
  };
}

/** Medians, each with its spread: half the distance from the least to the most, in percent. */
export function table(rows) {
  const heading = ['', ...Object.values(metrics).map(({ heading }) => heading)];
  const lines = rows.map((row) => [
    nameOf(row),
    ...(row.sessions ? Object.keys(metrics).map((name) => cell(row[name])) : [row.failure]),
  ]);
  return align([heading, ...lines]);
}

function cell(summary) {
  if (!summary) return '–';
  const { median, min, max } = summary;
  const spread = (max - min) / 2 / median;
  return readable(median) + (spread >= 0.005 ? ` ±${Math.round(spread * 100)}%` : '');
}

function readable(value) {
  if (value >= 1e5) return `${(value / 1e6).toFixed(2)}M`;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/**
 * How many times better weft is than each peer, with the same threads in the same browser: a column
 * for each metric.
 */
export function ratios(rows) {
  const compared = Object.entries(metrics).filter(([, { moreIsBetter }]) => moreIsBetter !== undefined);
  const heading = ['weft is better by', ...compared.map(([, { heading }]) => heading)];
  const lines = rows
    .filter(({ runtime, sessions }) => runtime !== 'weft' && sessions)
    .map((peer) => {
      const weft = rows.find((row) => row.runtime === 'weft' && row.sessions && isComparable(row, peer));
      const factor = ([name, { moreIsBetter }]) => {
        const [own, other] = [weft?.[name]?.median, peer[name]?.median];
        if (!own || !other) return '–';
        return `${(moreIsBetter ? own / other : other / own).toPrecision(3)}×`;
      };
      return [nameOf(peer), ...compared.map(factor)];
    });
  return align([heading, ...lines]);
}

/** A native peer is compared with weft in Chromium: the browser is the product. */
function isComparable(weft, peer) {
  const host = peer.host === 'native' ? 'chromium' : peer.host;
  const isGpu = (row) => row.engine.includes('gpu');
  return weft.host === host && weft.threads === peer.threads && isGpu(weft) === isGpu(peer);
}

/** Columns, the first to the left and the others to the right. */
function align(lines) {
  // a shorter line ends in a text of any length
  const full = lines.filter((line) => line.length === lines[0].length);
  const widths = lines[0].map((_, column) => Math.max(...(column ? full : lines).map((line) => line[column].length)));
  const pad = (text, column) => (column ? text.padStart(widths[column]) : text.padEnd(widths[column]));
  return lines
    .map((line) => (line.length === widths.length ? line.map(pad) : [pad(line[0], 0), line[1]]).join('  '))
    .join('\n');
}
