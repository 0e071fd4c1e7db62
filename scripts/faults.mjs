// Writes the table of docs/RELIABILITY.md from the names of the tests.

import { readFileSync, writeFileSync } from 'node:fs';
import { document, withTable } from './lib/faults.mjs';

writeFileSync(document, withTable(readFileSync(document, 'utf8')));
