/** Log-probabilities of all ids of a reference but the first. */
export function logprobs({ ids, logits }) {
  const of = (row, id) => row[id] - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return ids.slice(1).map((id, i) => of(logits[i], id));
}
