// `npm run reference`: writes docs/api from the comments of the package's sources.

import { writeReference } from './lib/reference.mjs';
import { main, step } from './lib/run.mjs';

main(() => step('write docs/api', () => writeReference()));
