// `npm run build`: the wasm and the TypeScript package, installing what is missing first.

import { buildWasm } from './lib/build.mjs'
import { ensurePackages, npm } from './lib/npm.mjs'
import { main, step } from './lib/run.mjs'
import { ensureRust } from './lib/rust.mjs'

main(async () => {
  await ensureRust()
  await ensurePackages()
  await buildWasm()
  await step('build the TypeScript package', async () => void (await npm('run', 'build', '-w', 'weft-llm')))
})
