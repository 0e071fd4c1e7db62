import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';
import { defineConfig, type Connect, type Plugin } from 'vite';

/**
 * The page may use its own files, WebAssembly, and models from any URL of the user. Nothing that a
 * model writes can load an image, frame or script.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  // pictures of questions are in the chat
  "img-src 'self' data:",
  "font-src 'self'",
  "manifest-src 'self'",
  "connect-src 'self' https: http: blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Cross-origin isolation, which threads need. It allows models from other origins by CORS. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/**
 * Serves the repository's `models/` folder, with range requests. It is too large to copy into the
 * build.
 */
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

/** Writes the policy into the built page, for hosts that do not set headers. */
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

/** Every browser that can run weft reads WOFF2: KaTeX's other two copies of each font stay away. */
function onlyWoff2(): Plugin {
  return {
    name: 'only-woff2',
    enforce: 'pre',
    transform: (code, id) =>
      /katex.*\.css$/.test(id) ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, '') : undefined,
  };
}

/** The packages that end up in the page, with what they need themselves; not their types. */
async function bundled(name: string, read: (path: string) => Promise<string>, found = new Map<string, string>()) {
  if (found.has(name) || name.startsWith('@types/')) return found;
  const { version, dependencies = {} } = JSON.parse(await read(`../node_modules/${name}/package.json`));
  found.set(name, version);
  if (name !== 'weft-llm') for (const dependency of Object.keys(dependencies)) await bundled(dependency, read, found);
  return found;
}

/** Writes the licences of everything bundled, including weft's own notices. */
function emitNotices(): Plugin {
  const here = (path: string) => new URL(path, import.meta.url);
  const read = (path: string) => readFile(here(path), 'utf8');
  return {
    name: 'emit-notices',
    apply: 'build',
    async generateBundle() {
      const parts: string[] = [];
      const { dependencies } = JSON.parse(await read('package.json'));
      const packages = new Map<string, string>();
      for (const dependency of Object.keys(dependencies)) await bundled(dependency, read, packages);
      for (const [name, version] of packages) {
        const folder = `../node_modules/${name}/`;
        const files = (await readdir(here(folder))).filter((file) => /^(licen[cs]e|third-party)/i.test(file)).sort();
        if (files.length === 0 && name === 'weft-llm') this.error('`npm run build` makes the notices of weft-llm');
        parts.push(`# ${name} ${version}`);
        if (files.length === 0) parts.push(JSON.parse(await read(`${folder}package.json`)).license);
        for (const file of files) parts.push(await read(folder + file));
      }
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-NOTICES.md', source: parts.join('\n\n') });
    },
  };
}

/**
 * Character maps and standard fonts of pdf.js, by its version: tasks/pdf.ts fetches those that a
 * PDF needs. They keep their names, which pdf.js knows.
 */
function pdfFiles(): Plugin {
  const home = new URL('../node_modules/pdfjs-dist/', import.meta.url);
  const folders = ['cmaps', 'standard_fonts'];
  return {
    name: 'pdf-files',
    async configureServer({ middlewares }) {
      for (const folder of folders)
        middlewares.use(`/${await pdfFolder()}${folder}`, sirv(fileURLToPath(new URL(folder, home)), { dev: true }));
    },
    async generateBundle() {
      for (const folder of folders)
        for (const file of await readdir(new URL(folder, home))) {
          const source = await readFile(new URL(`${folder}/${file}`, home));
          this.emitFile({ type: 'asset', fileName: `${await pdfFolder()}${folder}/${file}`, source });
        }
    },
  };
}

async function pdfFolder(): Promise<string> {
  const text = await readFile(new URL('../node_modules/pdfjs-dist/package.json', import.meta.url), 'utf8');
  return `assets/pdf-files-${JSON.parse(text).version}/`;
}

/**
 * Writes the service worker with the names of all files of this build: those of the page, and those
 * of each build of the engine.
 */
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
        const constraints: string[] = [];
        const late = await pdfFolder();
        for (const [file, output] of Object.entries(bundle)) {
          version.update(file).update(output.type === 'chunk' ? output.code : output.source);
          if (/\.(md|map)$/.test(file) || file.startsWith(late)) continue;
          const engine = /^assets\/(weft(?:-relaxed)?(?:-threads)?)\.wasm-[\w-]{8}\.gz$/.exec(file)?.[1];
          if (engine) (engines[engine] ??= []).push(file);
          else if (file.startsWith('assets/weft-grammar.wasm-')) constraints.push(file);
          else if (file.endsWith('.gz')) this.error(`${file} belongs to no build of the engine that is known here`);
          // As `./`: some hosts redirect index.html, and a redirected response cannot open a page.
          else page.push(file === 'index.html' ? './' : file);
        }
        // Each engine fetches the module for constraints with the first answer that has one.
        for (const files of Object.values(engines)) files.push(...constraints);
        const build = { version: version.digest('hex').slice(0, 16), page, engines, late };
        const source = `const BUILD = ${JSON.stringify(build)};\n${await readFile(here('service-worker.js'), 'utf8')}`;
        this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
      },
    },
  };
}

export default defineConfig(({ mode }) => ({
  // Relative URLs, so that the built page works in any folder of any host.
  base: './',
  // A missing file is a 404, not the page.
  appType: 'mpa',
  plugins: [onlyWoff2(), serveModels(), embedPolicy(), emitNotices(), pdfFiles(), emitServiceWorker()],
  resolve: {
    // `--mode fake` replaces the engine, to show every state of the page.
    alias: mode === 'fake' ? { 'weft-llm': fileURLToPath(new URL('dev/fake-weft.ts', import.meta.url)) } : {},
  },
  // The policy does not allow data: URLs.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // Parts of the worker are fetched when needed, like parts of the page.
  worker: { format: 'es' },
  server: { headers: isolation },
  // The policy is also sent as a header, because a worker obeys the policy of its own response, not
  // the page's.
  preview: { headers: { ...isolation, 'Content-Security-Policy': contentSecurityPolicy } },
}));
