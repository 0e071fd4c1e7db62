// `npm run test:models`: compares with the vocabularies and the chat templates of real models, which it fetches first. `npm test`
// leaves these tests out, so that it needs one model only.

import { main, run, step } from './lib/run.mjs';
import { ensureRust } from './lib/rust.mjs';
import { ensureVocabularies } from './lib/vocabularies.mjs';

main(async () => {
  await ensureRust();
  await ensureVocabularies();
  await step('tests with real vocabularies', async () => {
    const only = ['--lib', '--test', 'tokenizer', 'published_', '--', '--include-ignored'];
    const text = await run('cargo', ['test', '--release', '--locked', ...only]);
    return `${[...text.matchAll(/(\d+) passed;/g)].reduce((sum, match) => sum + Number(match[1]), 0)} tests`;
  });
});
