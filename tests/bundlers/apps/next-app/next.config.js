// The root keeps Next away from the lock file of the repository.
export default { output: 'export', turbopack: { root: import.meta.dirname } };
