// Documents of which a script writes a part.

/**
 * A document in which the part that a script writes is `content`. It stands between two comments,
 * of which the first names the script.
 */
export function section(document, text, script, content) {
  const [begin, end] = [`<!-- what follows is written by ${script} -->`, '<!-- until here -->'];
  const [before, rest] = text.split(begin);
  const after = rest?.slice(rest.indexOf(end));
  if (!after?.startsWith(end)) throw new Error(`${document} lacks "${begin}" or "${end}"`);
  return `${before}${begin}\n\n${content}\n\n${after}`;
}
