// Documents with a generated part.

/**
 * The document with `content` as its generated part, which stands between two comments; the first
 * names the script.
 */
export function section(document, text, script, content) {
  const [begin, end] = [`<!-- what follows is written by ${script} -->`, '<!-- until here -->'];
  const [before, rest] = text.split(begin);
  const after = rest?.slice(rest.indexOf(end));
  if (!after?.startsWith(end)) throw new Error(`${document} lacks "${begin}" or "${end}"`);
  return `${before}${begin}\n\n${content}\n\n${after}`;
}
