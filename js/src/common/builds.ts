/** The builds of the wasm module. */

/** Plain SIMD runs everywhere; relaxed SIMD and threads where the browser has them. */
export type Build = `weft${'' | '-relaxed'}${'' | '-threads'}`;

export const BUILDS: readonly Build[] = ['weft', 'weft-relaxed', 'weft-threads', 'weft-relaxed-threads'];

export type ThreadsBuild = Extract<Build, `${string}-threads`>;

/**
 * Where the wasm modules are: the builds that the app ships, `weft` at least, and the module that
 * constrains answers.
 */
export type ModuleAddresses = Readonly<Partial<Record<Build, string>> & Record<'weft' | 'weft-grammar', string>>;

export function isThreadsBuild(build: Build): build is ThreadsBuild {
  return build.endsWith('-threads');
}
