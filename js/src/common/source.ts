/** Sources of a model, in the form that crosses to the worker. */

/** A URL and the name that it is stored by. */
export interface Address {
  readonly type: 'address';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string;
  /** Whether it is a hub, whose ETags are SHA-256 hashes. */
  readonly isHub: boolean;
}

/** A folder with a URL. */
export interface FolderAddress {
  readonly type: 'folder';
  readonly name: string;
  /** Ends with a slash. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Has a `*` in place of the file's path. */
  readonly key: string;
  readonly isHub: boolean;
}

export type FileSource =
  | Address
  | FolderAddress
  /** `path`: within the chosen folder, as the page knows it. */
  | { readonly type: 'blob'; readonly blob: Blob; readonly path?: string }
  | { readonly type: 'handle'; readonly handle: FileSystemFileHandle | FileSystemDirectoryHandle }
  /** A stream that stays in the page and is read through this port. */
  | { readonly type: 'stream'; readonly port: MessagePort };

/** Default hub for `hf:` addresses. */
export const HUB = 'https://huggingface.co';

const HUB_ADDRESS = /^hf:([^/@]+)\/([^/@]+)(?:\/([^@]*?))?(?:@([^@]+))?$/;

/** Names of owners and repositories. */
const HUB_NAME = /^[\w.-]+$/;

/**
 * Converts `hf:owner/repository/path@revision` to its URL on the hub; without a path, or if the
 * path ends with a slash, to that of a folder. Undefined if it is malformed or part of it leads
 * elsewhere, `..` for example. Files of the default hub are stored by this name; files of another
 * hub by their URL, because hubs may have different files of the same name.
 */
export function hubAddress(text: string, hub: string, token: string | null): Address | FolderAddress | undefined {
  const found = HUB_ADDRESS.exec(text);
  if (!found) return undefined;
  const [, owner = '', repository = '', path = '', revision = 'main'] = found;
  const names = [...path.replace(/\/$/, '').split('/'), ...revision.split('/')];
  if (![owner, repository].every((name) => HUB_NAME.test(name) && isName(name))) return undefined;
  if (!names.every((name, index) => isName(name) || (path === '' && index === 0))) return undefined;
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const url = `${hub.replace(/\/$/, '')}/${owner}/${repository}/resolve/${encodeURIComponent(revision)}/${encoded}`;
  const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
  const isDefault = new URL(hub).href === new URL(HUB).href;
  const key = (file: string) => (isDefault ? `hf:${owner}/${repository}/${path}${file}@${revision}` : url + file);
  if (path !== '' && !path.endsWith('/')) return { type: 'address', url, headers, key: key(''), isHub: true };
  return { type: 'folder', name: `${owner}/${repository}`, url, headers, key: key('*'), isHub: true };
}

/**
 * Whether a part of a path is a plain name, even if a server decodes it repeatedly: no separator
 * and no step to another folder.
 */
function isName(part: string): boolean {
  let name = part;
  try {
    while (name !== decodeURIComponent(name)) name = decodeURIComponent(name);
  } catch {
    // a lone `%` is an ordinary character
  }
  return !/^\.{0,2}$|[/\\\u0000-\u001f\u007f]/.test(name);
}

/** Start and end of the keys of a folder's files. URLs may contain a `*` themselves. */
export function aroundPath({ key }: FolderAddress): [start: string, end: string] {
  const at = key.lastIndexOf('*');
  return [key.slice(0, at), key.slice(at + 1)];
}

/** The folder at a URL that ends with a slash. A query applies to its files. */
export function webFolder(url: URL): FolderAddress {
  const { href } = new URL('.', url);
  const name = url.pathname.split('/').at(-2) || url.host;
  return { type: 'folder', name, url: href, headers: {}, key: `${href}*`, isHub: false };
}

/** `url`: absolute. Its fragment is ignored. */
export function webAddress(url: URL): Address {
  const address = new URL(url);
  address.hash = '';
  return { type: 'address', url: address.href, headers: {}, key: address.href, isHub: false };
}

/** Does not match a split into 0 parts, which is an ordinary name. */
const FIRST_PART = /-00001-of-(?!00000)(\d{5})\.gguf/;

/**
 * Returns the names of all parts of a split file, given the first; for any other file, its own
 * name.
 */
export function partsOf(name: string): string[] {
  const count = Number(FIRST_PART.exec(name)?.[1] ?? 1);
  return Array.from({ length: count }, (_, index) =>
    name.replace(FIRST_PART, (_, of) => `-${String(index + 1).padStart(5, '0')}-of-${of}.gguf`),
  );
}

/** The last part of the path, or the file's name, for messages. */
export function nameOf(source: FileSource): string {
  switch (source.type) {
    case 'blob':
      return 'name' in source.blob && typeof source.blob.name === 'string' ? source.blob.name : 'file';
    case 'handle':
      return source.handle.name;
    case 'stream':
      return 'stream';
    case 'folder':
      return source.name;
    case 'address': {
      const path = new URL(source.url).pathname;
      const name = path.slice(path.lastIndexOf('/') + 1);
      try {
        return decodeURIComponent(name) || source.url;
      } catch {
        return name; // a lone `%` is legal in an address
      }
    }
  }
}
