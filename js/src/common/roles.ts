/** Roles of messages: the common ones, and those in the model's chat template. */

import { didYouMean, WeftError } from './errors.js';
import { nearest } from './spelling.js';

const COMMON = ['system', 'user', 'assistant', 'tool'];

/** Substitutes for roles that a template does not have. */
const ALIASES: Readonly<Record<string, string>> = { developer: 'system', function: 'tool', ipython: 'tool' };

/** Python literals: a string, and a list or tuple of strings. */
const STRING = `(?:'[^'\\n]*'|"[^"\\n]*")`;
const STRINGS = `[[(]\\s*${STRING}(?:\\s*,\\s*${STRING})*[^\\])]*[\\])]`;

/**
 * A name like `role` in any form of access: `message.role`, `message['role']`,
 * `message.get('role')`, `role_lower`.
 */
const ROLE = `role\\w*['"]?(?:\\s*,[^)]*)?\\)?\\]?`;

/** Where a template mentions a role: in comparisons, assignments, membership tests and filters. */
const MENTIONS = [
  `${ROLE}\\s*(?:==|!=|=|(?:not\\s+)?in)\\s*(${STRING}|${STRINGS})`,
  `(${STRING})\\s*(?:==|!=)\\s*[\\w.]*(?:\\[['"])?${ROLE}`,
  `['"](?:[\\w.]*\\.)?role['"]\\s*,\\s*['"](?:equalto|eq|==|ne|!=|in)['"]\\s*,\\s*(${STRING}|${STRINGS})`,
].map((pattern) => new RegExp(pattern, 'g'));

/**
 * A role that a template writes after the mark that starts a turn: `<|im_start|>user`,
 * `<start_of_turn>model`.
 */
const WRITTEN = /<\|?\w*(?:start|role|header|turn)\w*\|?>([a-z]\w+)/g;

/** The roles in a template, as far as its text shows. */
export function rolesOf(template: string): string[] {
  const texts = MENTIONS.flatMap((mention) => [...template.matchAll(mention)].map(([, text = '']) => text));
  const found = texts.flatMap((text) => [...text.matchAll(/['"]([\w-]+)['"]/g)].map(([, role = '']) => role));
  const written = [...template.matchAll(WRITTEN)].map(([, role = '']) => role);
  return [...new Set([...COMMON, ...found, ...written])];
}

/**
 * Returns the role that the template knows. `at`: name of the message in errors. Errors:
 * `INVALID_OPTION` for an unknown role.
 */
export function checkRole(role: string, roles: readonly string[], at: string): string {
  if (roles.includes(role)) return role;
  const alias = Object.hasOwn(ALIASES, role) ? ALIASES[role] : undefined;
  if (alias !== undefined) return alias;
  const hint = didYouMean(nearest(role, roles), "'");
  const expected = `expected a role that the model's chat template knows (${roles.join(', ')})`;
  throw new WeftError('INVALID_OPTION', `option \`${at}.role\`: ${expected}, got ${JSON.stringify(role)}.${hint}`);
}
