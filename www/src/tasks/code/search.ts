import type { Llm } from 'weft-llm';

/** Vectors of length 1 for many texts. `onDone` is told how many are done. */
export async function embedAll(
  encoder: Llm,
  texts: readonly string[],
  signal: AbortSignal,
  onDone: (count: number) => void,
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (let at = 0; at < texts.length; at += 8) {
    vectors.push(...(await encoder.embed(texts.slice(at, at + 8), { truncate: true, signal })));
    onDone(vectors.length);
  }
  return vectors;
}

/** How near each text is to the question, by the cosine of their vectors. */
export async function search(
  encoder: Llm,
  question: string,
  vectors: readonly Float32Array[],
  signal: AbortSignal,
): Promise<number[]> {
  const [asked] = await encoder.embed([question], { truncate: true, signal });
  return vectors.map((vector) => vector.reduce((sum, value, i) => sum + value * asked![i]!, 0));
}
