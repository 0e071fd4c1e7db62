/**
 * Lets the page open without a network: registers the service worker and tells it which engine to
 * cache.
 */

/**
 * Undefined without a service worker: during development, and if the browser forbids it. The page
 * works without one.
 */
let registering: Promise<ServiceWorkerRegistration | undefined> | undefined;

export function startOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  registering = navigator.serviceWorker
    .register(new URL('service-worker.js', document.baseURI), { updateViaCache: 'none' })
    .catch(() => undefined);
}

/** `build`: the engine's build as in `EngineInfo`. */
export async function keepEngine(build: string): Promise<void> {
  const registration = await registering;
  // This page is the newest and belongs to the newest worker, even if an older one still controls
  // it.
  const worker = registration?.installing ?? registration?.waiting ?? registration?.active;
  worker?.postMessage({ keep: build });
}
