/** Models that the server of this page has. */

export interface ServedModel {
  readonly name: string;
  readonly source: string;
  readonly bytes: number;
}

/** Relative addresses, so that the page works in any folder. */
const absolute = (address: string) => new URL(address, document.baseURI).href;

/** What `npm start` fetches and Vite's preview serves. */
const USUAL: ServedModel = {
  name: 'SmolLM2-135M',
  source: absolute('models/SmolLM2-135M-Instruct.Q4_1.gguf'),
  bytes: 98_362_432,
};

/** Those that `npx weft-llm` was given: it names them in the page. */
export const given: readonly ServedModel[] = [
  ...document.querySelectorAll<HTMLMetaElement>('meta[name="weft-model"]'),
].map(({ content, dataset }) => ({
  name: decodeURIComponent(content.split('/').findLast((part) => part !== '') ?? content),
  source: absolute(content),
  bytes: Number(dataset['bytes']),
}));

export const served: readonly ServedModel[] = given.length > 0 ? given : [USUAL];

/** What the large button loads. */
export const DEFAULT_MODEL: string = (given[0] ?? USUAL).source;

/** A copy in the browser would take the same disk a second time. */
export const isGiven = (source: unknown): boolean => given.some((model) => model.source === source);
