// The headers are those of docs/RECIPES.md.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineNuxtConfig({
  telemetry: false,
  compatibilityDate: '2025-07-15',
  nitro: { routeRules: { '/**': { headers } } },
  vite: { server: { headers } }, // while developing, Vite serves the scripts
});
