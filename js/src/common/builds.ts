/** The builds of the wasm module. */

/** Plain SIMD runs everywhere; relaxed SIMD and threads need support by the browser. */
export type Build = `weft${'' | '-relaxed'}${'' | '-threads'}`;

export const BUILDS: readonly Build[] = ['weft', 'weft-relaxed', 'weft-threads', 'weft-relaxed-threads'];

export type ThreadsBuild = Extract<Build, `${string}-threads`>;

/**
 * URLs of the wasm modules: the builds that the app ships (at least `weft`) and the module for
 * constraints.
 */
export type ModuleAddresses = Readonly<Partial<Record<Build, string>> & Record<'weft' | 'weft-grammar', string>>;

export function isThreadsBuild(build: Build): build is ThreadsBuild {
  return build.endsWith('-threads');
}
