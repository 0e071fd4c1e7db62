// Writes the lists of what weft runs and reads into README.md and js/README.md.

import { writeFileSync } from 'node:fs';
import { inRoot } from './lib/run.mjs';
import { DOCUMENTS, withSupport } from './lib/support.mjs';

for (const document of DOCUMENTS) writeFileSync(inRoot(document), withSupport(document));
