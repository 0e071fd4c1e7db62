/** A strength from 0 to 1, as `--weight` of an element. */

import { noChange } from 'lit';
import { Directive, directive, type ElementPart } from 'lit/directive.js';

/** Lit's `styleMap` writes a `style` attribute, which the content security policy forbids. */
class Strength extends Directive {
  override render(_share: number): unknown {
    return noChange;
  }

  override update({ element }: ElementPart, [share]: [number]): unknown {
    (element as HTMLElement).style.setProperty('--weight', String(share));
    return noChange;
  }
}

export const strength = directive(Strength);
