/** Why a file cannot be read, in the language that is shown. */

import type { Said } from '../text/text.js';

export class Unreadable extends Error {
  constructor(readonly says: Said) {
    super(says());
  }
}
