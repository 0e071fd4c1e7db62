/** The worker that reads code with Shiki. A grammar is fetched when its language first comes. */

import {
  createCssVariablesTheme,
  createHighlighterCore,
  type HighlighterCore,
  type LanguageInput,
} from '@shikijs/core';
import { createJavaScriptRegexEngine } from '@shikijs/engine-javascript';
import type { Request, Response, Token } from './highlight.js';

const languages: Record<string, LanguageInput> = {
  c: () => import('@shikijs/langs/c'),
  cpp: () => import('@shikijs/langs/cpp'),
  csharp: () => import('@shikijs/langs/csharp'),
  css: () => import('@shikijs/langs/css'),
  dart: () => import('@shikijs/langs/dart'),
  diff: () => import('@shikijs/langs/diff'),
  docker: () => import('@shikijs/langs/docker'),
  elixir: () => import('@shikijs/langs/elixir'),
  go: () => import('@shikijs/langs/go'),
  haskell: () => import('@shikijs/langs/haskell'),
  html: () => import('@shikijs/langs/html'),
  java: () => import('@shikijs/langs/java'),
  javascript: () => import('@shikijs/langs/javascript'),
  json: () => import('@shikijs/langs/json'),
  jsx: () => import('@shikijs/langs/jsx'),
  julia: () => import('@shikijs/langs/julia'),
  kotlin: () => import('@shikijs/langs/kotlin'),
  lua: () => import('@shikijs/langs/lua'),
  make: () => import('@shikijs/langs/make'),
  perl: () => import('@shikijs/langs/perl'),
  php: () => import('@shikijs/langs/php'),
  powershell: () => import('@shikijs/langs/powershell'),
  python: () => import('@shikijs/langs/python'),
  r: () => import('@shikijs/langs/r'),
  ruby: () => import('@shikijs/langs/ruby'),
  rust: () => import('@shikijs/langs/rust'),
  scala: () => import('@shikijs/langs/scala'),
  shellscript: () => import('@shikijs/langs/shellscript'),
  sql: () => import('@shikijs/langs/sql'),
  swift: () => import('@shikijs/langs/swift'),
  toml: () => import('@shikijs/langs/toml'),
  tsx: () => import('@shikijs/langs/tsx'),
  typescript: () => import('@shikijs/langs/typescript'),
  wgsl: () => import('@shikijs/langs/wgsl'),
  xml: () => import('@shikijs/langs/xml'),
  yaml: () => import('@shikijs/langs/yaml'),
};

const aliases: Record<string, string> = {
  'c#': 'csharp',
  'c++': 'cpp',
  bash: 'shellscript',
  cs: 'csharp',
  dockerfile: 'docker',
  golang: 'go',
  h: 'c',
  hpp: 'cpp',
  hs: 'haskell',
  js: 'javascript',
  kt: 'kotlin',
  makefile: 'make',
  patch: 'diff',
  pl: 'perl',
  ps1: 'powershell',
  py: 'python',
  python3: 'python',
  rb: 'ruby',
  rs: 'rust',
  sh: 'shellscript',
  shell: 'shellscript',
  svg: 'xml',
  ts: 'typescript',
  yml: 'yaml',
  zsh: 'shellscript',
};

/** A token's colour is the name of a variable: `var(--tok-keyword)`. */
const theme = createCssVariablesTheme({ variablePrefix: '--tok-' });
const kindOf = (colour = '') => /--tok-token-([\w-]+)/.exec(colour)?.[1] ?? '';

/** Lines of one answer to the page. */
const BATCH = 50;

interface Block {
  lines: number;
  state: ReturnType<HighlighterCore['getLastGrammarState']> | undefined;
}

const shiki = createHighlighterCore({
  themes: [theme],
  langs: [],
  engine: createJavaScriptRegexEngine({ forgiving: true }),
});
const blocks = new Map<number, Block>();
let working = Promise.resolve();

addEventListener('message', ({ data }: MessageEvent<Request>) => {
  // One after the other: the state at the end of a line is where the next one begins.
  working = working.then(() => read(data)).catch(() => undefined); // that block stays without colours
});

async function read({ id, language, lines, last }: Request): Promise<void> {
  const name = language.toLowerCase();
  const lang = aliases[name] ?? name;
  const grammar = Object.hasOwn(languages, lang) ? languages[lang] : undefined;
  const block = blocks.get(id) ?? { lines: 0, state: undefined };
  if (last) blocks.delete(id);
  else blocks.set(id, block);
  const answer = (found: Token[][], last: boolean) =>
    postMessage({ id, from: block.lines, lines: found, last } satisfies Response);
  if (grammar) {
    const highlighter = await shiki;
    await highlighter.loadLanguage(grammar);
    for (let at = 0; at < lines.length; at += BATCH) {
      const batch = lines.slice(at, at + BATCH);
      const options = { lang, theme: theme.name!, ...(block.state ? { grammarState: block.state } : {}) };
      const tokens = highlighter.codeToTokensBase(batch.join('\n'), options);
      block.state = highlighter.getLastGrammarState(tokens);
      answer(
        tokens.map((line) => line.map(({ content, color }): Token => [content.length, kindOf(color)])),
        false,
      );
      block.lines += batch.length;
    }
  }
  if (last) answer([], true);
}
