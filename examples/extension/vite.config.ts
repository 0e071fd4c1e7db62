import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  build: {
    rolldownOptions: {
      input: { panel: 'panel.html', background: 'src/background.ts' },
      // The manifest names background.js.
      output: { entryFileNames: '[name].js' },
    },
  },
});
