// The weights of a large file pass through the memory of the wasm module into the GPU's, in
// Chromium. tests/web/models/streaming.test.mjs does the same with all layers.

import { test } from 'node:test';
import { checkStreaming } from './streaming.mjs';

test('chromium: weights of a large file pass through', { timeout: 300_000 }, (t) => checkStreaming(t, 1));
