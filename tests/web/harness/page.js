// Asks a module worker what it has, as weft's own worker will find it.
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
worker.onmessage = ({ data }) => (window.found = data);
worker.onerror = (event) => (window.found = { error: event.message });
