/** Opening the page without a network: registers the service worker, and tells it which engine to keep. */

/** Undefined where there is none: while developing, and where the browser forbids it. The page works without. */
let registering: Promise<ServiceWorkerRegistration | undefined> | undefined;

export function startOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  registering = navigator.serviceWorker
    .register(new URL('service-worker.js', document.baseURI), { updateViaCache: 'none' })
    .catch(() => undefined);
}

/** `build`: of the engine, as `EngineInfo` names it. */
export async function keepEngine(build: string): Promise<void> {
  const registration = await registering;
  // This page is the newest, and so belongs to the newest worker, though an older one may still be in charge.
  const worker = registration?.installing ?? registration?.waiting ?? registration?.active;
  worker?.postMessage({ keep: build });
}
