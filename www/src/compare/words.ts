/** The words in which two texts differ. */

/** Words with the space behind them. */
export interface Run {
  text: string;
  differs: boolean;
}

/** Beyond this many pairs of words, all between the common ends counts as different. */
const MOST_PAIRS = 4_000_000;

/** Both texts in runs; those that differ are not in a longest common subsequence of their words. */
export function differences(a: string, b: string): [Run[], Run[]] {
  const [left, right] = [wordsOf(a), wordsOf(b)];
  const same = (i: number, j: number) => left[i]!.trim() === right[j]!.trim();
  const shorter = Math.min(left.length, right.length);
  let start = 0;
  while (start < shorter && same(start, start)) start += 1;
  let end = 0;
  while (end < shorter - start && same(left.length - 1 - end, right.length - 1 - end)) end += 1;

  const keep = [new Set<number>(), new Set<number>()] as const;
  for (let i = 0; i < start; i++) keep.forEach((kept) => kept.add(i));
  for (let i = 1; i <= end; i++) {
    keep[0].add(left.length - i);
    keep[1].add(right.length - i);
  }
  const [rows, columns] = [left.length - start - end, right.length - start - end];
  if (rows * columns <= MOST_PAIRS) {
    // longest[i][j]: of the words from i and from j on.
    const longest = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
    for (let i = rows - 1; i >= 0; i--)
      for (let j = columns - 1; j >= 0; j--)
        longest[i]![j] = same(start + i, start + j)
          ? longest[i + 1]![j + 1]! + 1
          : Math.max(longest[i + 1]![j]!, longest[i]![j + 1]!);
    for (let i = 0, j = 0; i < rows && j < columns;) {
      if (same(start + i, start + j)) {
        keep[0].add(start + i++);
        keep[1].add(start + j++);
      } else if (longest[i + 1]![j]! >= longest[i]![j + 1]!) i += 1;
      else j += 1;
    }
  }
  return [runs(left, keep[0]), runs(right, keep[1])];
}

const wordsOf = (text: string) => text.match(/\S+\s*|\s+/g) ?? [];

function runs(words: readonly string[], kept: ReadonlySet<number>): Run[] {
  const found: Run[] = [];
  for (const [index, text] of words.entries()) {
    const differs = !kept.has(index);
    const last = found.at(-1);
    if (last?.differs === differs) last.text += text;
    else found.push({ text, differs });
  }
  return found;
}
