// From the times of tokens to the figures of a session, and from sessions to medians.

/** Fewer tokens than this give no speed. */
const fewestTokens = 3;

/** Tokens a second after the first. `times` are milliseconds from the question to each token. */
function speed({ times }) {
  if (times.length < fewestTokens) return null;
  return ((times.length - 1) / (times.at(-1) - times[0])) * 1000;
}

/**
 * The figures of the answers. The first token of the long question comes out of its prefill, so it
 * counts as no step. `reading` is the bytes of memory that the same threads read in a second, if
 * that was measured: a token reads all bytes of the models' files, whose output is their embedding
 * table.
 */
export const figuresOf = ({ longPromptTokens, bytes }, { short, story, long }, reading) => ({
  ttft_ms: short.times[0],
  prefill_tok_s: (longPromptTokens / long.times[0]) * 1000,
  decode_tok_s: speed(story),
  decode_long_tok_s: speed(long),
  ...(reading && { read_gb_s: reading / 1e9, decode_part: (speed(story) * bytes) / reading }),
});

/**
 * Every figure in the order of the tables: its heading, and whether more is better, where runtimes
 * are compared.
 */
export const metrics = {
  ready_ms: { heading: 'ready ms', moreIsBetter: false },
  ttft_ms: { heading: 'first token ms', moreIsBetter: false },
  prefill_tok_s: { heading: 'prefill tok/s', moreIsBetter: true },
  decode_tok_s: { heading: 'decode tok/s', moreIsBetter: true },
  decode_long_tok_s: { heading: 'decode long tok/s', moreIsBetter: true },
  read_gb_s: { heading: 'memory GB/s' },
  decode_part: { heading: 'part of it', moreIsBetter: true },
  raw_bytes: { heading: 'runtime bytes', moreIsBetter: false },
  gzip_bytes: { heading: 'gzipped', moreIsBetter: false },
  peak_mib: { heading: 'peak MiB', moreIsBetter: false },
};

/** Median, least and most of the numbers among `values`; null where there is none. */
export function summary(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2,
    min: sorted[0],
    max: sorted.at(-1),
  };
}

/** One row a case. Each of `sessions` is the figures of a repetition, or `{ failure }`. */
export function rowOf({ runtime, engine, threads, host }, sessions) {
  const failure = sessions.find((session) => session.failure)?.failure;
  const good = sessions.filter((session) => !session.failure);
  const figures = Object.fromEntries(
    Object.keys(metrics).map((name) => [name, summary(good.map((session) => session[name]))]),
  );
  const { about } = good[0] ?? {};
  const disturbance = summary(good.map((session) => session.disturbance));
  return { runtime, engine, threads, host, ...figures, disturbance, sessions: good.length, failure, about };
}
