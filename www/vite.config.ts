import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';
import { defineConfig, type Connect, type Plugin } from 'vite';

/**
 * What the page may do: its own files, WebAssembly, and fetching models from wherever the user says. Nothing that a model
 * writes can load an image, a frame or a script.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "manifest-src 'self'",
  "connect-src 'self' https: http: blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Cross-origin isolation, which threads will need. Models from elsewhere come by CORS, which it allows. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Serves the repository's `models/` folder, with ranges, from where it lies: it is too large to copy into the build. */
function serveModels(): Plugin {
  const models = sirv(fileURLToPath(new URL('../models', import.meta.url)), { dev: true, etag: true });
  const serve = (middlewares: Connect.Server) => {
    middlewares.use('/models', (request, response) =>
      models(request, response, () => {
        response.statusCode = 404;
        response.end('no such model');
      }),
    );
  };
  return {
    name: 'serve-models',
    configureServer: (server) => serve(server.middlewares),
    configurePreviewServer: (server) => serve(server.middlewares),
  };
}

/** Writes the policy into the built page, so that it holds on a host whose headers nobody sets. */
function embedPolicy(): Plugin {
  return {
    name: 'embed-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy },
        injectTo: 'head-prepend',
      },
    ],
  };
}

/** Writes the licences of everything that is bundled, weft's own notices among them, beside it. */
function emitNotices(): Plugin {
  const here = (path: string) => new URL(path, import.meta.url);
  const read = (path: string) => readFile(here(path), 'utf8');
  return {
    name: 'emit-notices',
    apply: 'build',
    async generateBundle() {
      const parts: string[] = [];
      const { dependencies } = JSON.parse(await read('package.json'));
      for (const dependency of Object.keys(dependencies)) {
        const folder = `../node_modules/${dependency}/`;
        const { name, version } = JSON.parse(await read(`${folder}package.json`));
        const files = (await readdir(here(folder))).filter((file) => /^(licen[cs]e|third-party)/i.test(file)).sort();
        if (files.length === 0) this.error(`${name} has no licence file; \`npm run build\` makes weft-llm's`);
        parts.push(`# ${name} ${version}`);
        for (const file of files) parts.push(await read(folder + file));
      }
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-NOTICES.md', source: parts.join('\n\n') });
    },
  };
}

/** Writes the service worker, which knows every file of this build: those of the page, and those of each of the engine's builds. */
function emitServiceWorker(): Plugin {
  const here = (path: string) => new URL(path, import.meta.url);
  return {
    name: 'emit-service-worker',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      async handler(_, bundle) {
        const version = createHash('sha256');
        const page = await readdir(here('public'));
        for (const file of page) version.update(await readFile(here(`public/${file}`)));
        const engines: Record<string, string[]> = {};
        for (const [file, output] of Object.entries(bundle)) {
          version.update(file).update(output.type === 'chunk' ? output.code : output.source);
          // The page constrains no answer, and never fetches what would.
          if (/\.(md|map)$|^assets\/weft-grammar/.test(file)) continue;
          const engine = /^assets\/(weft(?:-relaxed)?(?:-threads)?)\.wasm-[\w-]{8}\.gz$/.exec(file)?.[1];
          if (engine) (engines[engine] ??= []).push(file);
          else if (file.endsWith('.gz')) this.error(`${file} belongs to no build of the engine that is known here`);
          // Under its other name, which some hosts redirect, and a redirected answer opens no page.
          else page.push(file === 'index.html' ? './' : file);
        }
        const build = { version: version.digest('hex').slice(0, 16), page, engines };
        const source = `const BUILD = ${JSON.stringify(build)};\n${await readFile(here('service-worker.js'), 'utf8')}`;
        this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
      },
    },
  };
}

export default defineConfig(({ mode }) => ({
  // Relative addresses: the built page works in any folder of any host.
  base: './',
  // A missing file is a 404, never the page.
  appType: 'mpa',
  plugins: [serveModels(), embedPolicy(), emitNotices(), emitServiceWorker()],
  resolve: {
    // `--mode fake` stands in for the engine, to look at every state of the page.
    alias: mode === 'fake' ? { 'weft-llm': fileURLToPath(new URL('dev/fake-weft.ts', import.meta.url)) } : {},
  },
  // A data: address would need a hole in the policy.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { headers: isolation },
  // The policy goes out as a header too, because a worker obeys its own response's policy and not the page's.
  preview: { headers: { ...isolation, 'Content-Security-Policy': contentSecurityPolicy } },
}));
