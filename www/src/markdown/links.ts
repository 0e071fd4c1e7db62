/** Addresses, escapes and entities in Markdown. */

/** The address as a link may have it; undefined if it is not of the web or of mail. */
export function linkAddress(text: string): string | undefined {
  if (/^(?:https?|mailto):/i.test(text)) return text;
  if (/^www\./i.test(text)) return `https://${text}`;
  return /^[^\s@:/]+@[^\s@:/]+$/.test(text) ? `mailto:${text}` : undefined;
}

export const normalizedLabel = (label: string) => label.slice(1, -1).trim().replace(/\s+/g, ' ').toLowerCase();

/** Backslash escapes and entities become what they stand for. */
export function unescapeText(text: string): string {
  return text.replace(/\\([!-/:-@[-`{-~])|&#?\w+;/g, (entity, escaped?: string) => escaped ?? decodeEntity(entity));
}

const entities = new Map<string, string>();

/**
 * `entity`: `&` with a name or number and `;`, and nothing else, so that parsing it makes only
 * text.
 */
export function decodeEntity(entity: string): string {
  if (!/^&#?\w+;$/.test(entity)) return entity;
  let text = entities.get(entity);
  if (text === undefined) {
    const template = document.createElement('template');
    template.innerHTML = entity;
    text = template.content.textContent ?? entity;
    entities.set(entity, text);
  }
  return text;
}
