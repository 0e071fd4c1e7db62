// Asks a module worker for its features, like those of weft's worker.
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
worker.onmessage = ({ data }) => (window.found = data);
worker.onerror = (event) => (window.found = { error: event.message });
