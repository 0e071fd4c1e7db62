// What Linux tells of this process and its descendants, browsers included. Elsewhere all is NaN.

import { readFileSync, readdirSync } from 'node:fs';

const isLinux = process.platform === 'linux';

/** Milliseconds between two measurements of memory. */
const interval = 250;

/** A process may end while it is measured. */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The fields of a process from its third on. The second is a name in parentheses, which may contain
 * anything.
 */
function stat(id) {
  const text = read(`/proc/${id}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Ids of all processes that descend from this one. */
function descendants() {
  if (!isLinux) return [];
  const children = new Map();
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = stat(id)?.[1];
    if (parent) children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  const below = (id) => (children.get(id) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(String(process.pid));
}

/** MiB of the descendants; a page that several processes share counts in parts (PSS). */
export function heldMib() {
  if (!isLinux) return NaN;
  const pss = (id) => Number(read(`/proc/${id}/smaps_rollup`)?.match(/^Pss:\s+(\d+) kB$/m)?.[1] ?? 0);
  return descendants().reduce((sum, id) => sum + pss(id), 0) / 1024;
}

/**
 * Resident pages of the descendants; each counts the pages it shares. Unlike PSS, this makes the
 * kernel walk no pages.
 */
const residentPages = () =>
  descendants().reduce((sum, id) => sum + Number(read(`/proc/${id}/statm`)?.split(' ')[1] ?? 0), 0);

/**
 * Measures the memory until `stop()`, which returns the peak in MiB. Measures only while it grows,
 * since measuring slows down what is being measured.
 */
export function watchMemory() {
  let [peak, highest] = [heldMib(), residentPages()];
  const timer = setInterval(() => {
    const pages = residentPages();
    if (pages <= highest * 1.01) return;
    highest = pages;
    peak = Math.max(peak, heldMib());
  }, interval);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, heldMib());
    },
  };
}

/**
 * Ticks so far: of all processors, the busy ones among these, and those that this process and its
 * descendants used.
 */
function ticks() {
  if (!isLinux) return { all: NaN, busy: NaN, own: NaN };
  const sum = (numbers) => numbers.reduce((total, number) => total + Number(number), 0);
  // user nice system idle iowait irq softirq steal; what a hypervisor stole is busy elsewhere too
  const processors = read('/proc/stat').split('\n')[0].split(/ +/).slice(1, 9);
  // utime stime cutime cstime, the latter two of children that ended
  const own = [String(process.pid), ...descendants()].map((id) => sum(stat(id)?.slice(11, 15) ?? []));
  return { all: sum(processors), busy: sum(processors) - sum(processors.slice(3, 5)), own: sum(own) };
}

/**
 * Watches what else the machine does. The function that it returns gives the share of all
 * processors, 0 to 1, that others took.
 */
export function watchOthers() {
  const before = ticks();
  return () => {
    const after = ticks();
    const grown = (key) => after[key] - before[key];
    return Math.max(0, grown('busy') - grown('own')) / grown('all');
  };
}
