/** Stores chunks in the Cache API, for browsers without a usable file system. */

import type { Blobs } from './blobs.js';

/** Never requested: the Cache API needs URLs as keys. */
const BASE = 'https://weft.invalid/';
const address = (hash: string) => BASE + hash;

export async function cacheBlobs(): Promise<Blobs> {
  const cache = await caches.open('weft');
  return {
    kind: 'cache',
    async get(hash) {
      const found = await cache.match(address(hash));
      return found && new Uint8Array(await found.arrayBuffer());
    },
    put: (hash, bytes) => cache.put(address(hash), new Response(bytes)),
    delete: async (hash) => void (await cache.delete(address(hash))),
    list: async () => (await cache.keys()).map(({ url }) => url.slice(BASE.length)),
  };
}
