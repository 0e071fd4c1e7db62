/**
 * Search by words: BM25, with the usual constants (Robertson and Zaragoza 2009, "The Probabilistic
 * Relevance Framework").
 */

const K1 = 1.2;
const B = 0.75;

const wordsOf = (text: string) => text.toLocaleLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** How well each text answers the question, by the words that they share. */
export function searchWords(question: string, texts: readonly string[]): number[] {
  const documents = texts.map(wordsOf);
  const mean = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const counts = documents.map((words) => {
    const count = new Map<string, number>();
    for (const word of words) count.set(word, (count.get(word) ?? 0) + 1);
    return count;
  });
  const asked = [...new Set(wordsOf(question))].map((word) => {
    const having = counts.filter((count) => count.has(word)).length;
    return { word, weight: Math.log(1 + (documents.length - having + 0.5) / (having + 0.5)) };
  });
  return counts.map((count, index) =>
    asked.reduce((sum, { word, weight }) => {
      const often = count.get(word) ?? 0;
      const length = documents[index]!.length / mean;
      return sum + (weight * often * (K1 + 1)) / (often + K1 * (1 - B + B * length));
    }, 0),
  );
}
