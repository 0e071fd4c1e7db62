// The types of the values that a wasm module takes and gives, out of what wasm-bindgen declares of
// it. The package ships these declarations alone: an app's compiler need not know the module's
// classes, and the public types are made of them.

import { parseSync } from 'rolldown/utils';

/** What wasm-bindgen declares of its own: how a module is started. */
const OF_STARTING = /^(Sync)?Init(Input|Output)$/;

/** Callers write these; all else is theirs to read. */
const WRITTEN = /(Options|Limits)$/;

/** `text`: the `.d.ts` of a module. */
export function valueTypes(text) {
  const { program, errors } = parseSync('module.d.ts', text);
  if (errors.length > 0) throw new Error(`wasm-bindgen's declarations cannot be read: ${errors[0].message}`);
  const found = ['// Written by scripts/lib/build.mjs from the types of the wasm module.'];
  let end = 0;
  for (const { type, declaration, start, end: own } of program.body) {
    const before = text.slice(end, start);
    end = own;
    const name = declaration?.id?.name ?? '';
    const isType = ['TSInterfaceDeclaration', 'TSTypeAliasDeclaration'].includes(declaration?.type);
    if (type !== 'ExportNamedDeclaration' || !isType || OF_STARTING.test(name)) continue;
    const comment = /\/\*\*(?:(?!\*\/)[^])*\*\/\n$/.exec(before)?.[0] ?? '';
    const written = text.slice(start, own);
    found.push(comment + (WRITTEN.test(name) ? written : readonly(written)));
  }
  return `${found.join('\n\n')}\n`;
}

/** Makes the properties of an interface and all arrays readonly. */
function readonly(declaration) {
  return declaration
    .replace(/^ {4}(?=\w+\??: )/gm, '    readonly ')
    .replace(/(?<=[:=] )(?=[\w<>]+(\[\])+)/g, 'readonly ');
}
