// A file of 5 GB passes through the memory of the wasm module into the GPU's, in Chromium. The file
// is made while it is sent, and the GPU forgets it.

import { test } from 'node:test';
import { checkStreaming } from '../streaming.mjs';

test('chromium: weights of a file of 5 GB pass through', { timeout: 1_800_000 }, (t) => checkStreaming(t));
