// The worker of a tab in tests/web/faults.test.mjs: reads models with the package's own modules, on
// all that the browser has. In the address of this file, `storage=cache`: the browser has no file
// system for pages; `storage=refused`: nor a cache; `storage=silent`: its database never opens;
// `quota`: bytes that it tells as its quota, unless that is 0.

import { Tab } from '/js/test/support/tab.mjs';
import { browserDownloads } from '/js/dist/download/browser.js';
import start, { Sha256 } from '/js/generated/weft.js';

const refuse = async () => {
  throw new DOMException('not in a private window', 'SecurityError');
};
const given = new URL(import.meta.url).searchParams;
const storage = given.get('storage');
const quota = Number(given.get('quota'));
if (storage === 'silent') IDBFactory.prototype.open = () => ({});
else if (storage !== 'opfs') StorageManager.prototype.getDirectory = refuse;
if (storage === 'refused') CacheStorage.prototype.open = refuse;
if (quota > 0) {
  const { estimate } = StorageManager.prototype;
  StorageManager.prototype.estimate = async function () {
    return { ...(await estimate.call(this)), quota };
  };
}

let module;
/** The SHA-256 of the wasm module. */
async function hasher() {
  await (module ??= start({ module_or_path: '/js/generated/weft_bg.wasm' }));
  return new Sha256();
}

const tab = new Tab(browserDownloads, hasher);

/** Continues when the test has seen the piece. */
let goOn;
const onPiece = (...piece) => {
  postMessage({ piece });
  return new Promise((resolve) => (goOn = resolve));
};

onmessage = async ({ data: { id, method, args, watched } }) => {
  if (method === 'goOn') return goOn();
  try {
    postMessage({ id, value: await tab[method](...args, ...(watched ? [onPiece] : [])) });
  } catch (error) {
    postMessage({ id, failure: String(error) });
  }
};
