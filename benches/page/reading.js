// Reads memory in as many workers as the address says, and leaves the bytes a second in `outcome`:
// the median of the rounds.

const rounds = 31;

const count = Number(new URLSearchParams(location.search).get('threads'));
const answer = (worker) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });

async function measure() {
  const workers = Array.from({ length: count }, () => new Worker('/page/reader.js', { type: 'module' }));
  await Promise.all(workers.map(answer));
  const speeds = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    const bytes = await Promise.all(
      workers.map((worker) => {
        const read = answer(worker);
        worker.postMessage('read');
        return read;
      }),
    );
    speeds.push(bytes.reduce((sum, each) => sum + each) / ((performance.now() - start) / 1000));
  }
  return { bytes_s: speeds.sort((a, b) => a - b)[(rounds - 1) / 2] };
}

globalThis.outcome = undefined;
globalThis.stage = 'reading memory';
measure().then(
  (outcome) => (globalThis.outcome = outcome),
  (error) => (globalThis.outcome = { error: String(error) }),
);
