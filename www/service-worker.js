// Serves the page without a network. vite.config.ts prepends `BUILD`: { version, page: [file],
// engines: { build: [file] }, late: folder }, relative to the worker; the files of `late` are kept
// when they are first used. Requests for anything else,
// models above all, are left alone. It never takes over a page from an older worker, because that
// page may still need files that only the old cache has.

const PREFIX = `weft-page ${self.registration.scope} `;
const CACHE = PREFIX + BUILD.version;

const address = (file) => new URL(file, self.registration.scope).href;
const INDEX = address('./');
const LATE = address(BUILD.late);
const files = new Set([...BUILD.page, ...Object.values(BUILD.engines).flat()].map(address));

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));

// The page tells which build of the engine this browser uses. The others would waste megabytes.
self.addEventListener('message', (event) => {
  const wanted = BUILD.engines[event.data?.keep];
  if (wanted) event.waitUntil(keep(wanted));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const { origin, pathname } = new URL(request.url);
  const url = origin + pathname;
  if (request.mode === 'navigate') {
    if (url === INDEX || url === address('index.html')) event.respondWith(newestPage(request));
  } else if (files.has(url)) {
    event.respondWith(stored(url, request));
  } else if (url.startsWith(LATE)) {
    event.respondWith(keptAtUse(url, request));
  }
});

async function install() {
  await keep(BUILD.page);
  const before = await Promise.all((await otherCaches()).map(async (name) => (await caches.open(name)).keys()));
  const had = before.flat().map(({ url }) => url);
  await keep(had.filter((url) => url.startsWith(LATE)));
  for (const [build, wanted] of Object.entries(BUILD.engines)) {
    if (had.some((url) => url.includes(`/${build}.wasm-`))) await keep(wanted);
  }
}

/** The previous worker has no pages left, so its files are no longer needed. */
async function activate() {
  await Promise.all((await otherCaches()).map((name) => caches.delete(name)));
  await self.clients.claim();
}

const otherCaches = async () => (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);

/**
 * Caches the missing files, all or none. Responses keep their headers for isolation and the content
 * security policy.
 */
async function keep(wanted) {
  const cache = await caches.open(CACHE);
  const have = new Set((await cache.keys()).map(({ url }) => url));
  const missing = wanted.map(address).filter((url) => !have.has(url));
  // Not every file has a hash in its name, so an old copy must not come from the browser's HTTP
  // cache.
  await cache.addAll(missing.map((url) => new Request(url, { cache: 'no-cache' })));
}

/**
 * Loads the page from the network first, so that a new build is used at once; its files come from
 * the network too.
 */
async function newestPage(request) {
  try {
    return await fetch(request);
  } catch {
    return stored(INDEX, request);
  }
}

async function stored(url, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(url, { ignoreVary: true })) ?? fetch(request);
}

async function keptAtUse(url, request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(url, { ignoreVary: true });
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) await cache.put(url, response.clone());
  return response;
}
