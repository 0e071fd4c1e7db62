/** What a model can be read from, in the form that crosses to the worker. */

/** An address, and under what name it is stored. */
export interface Address {
  readonly type: 'address';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string;
  /** Whether the server names files by their SHA-256. */
  readonly isHub: boolean;
}

/** A folder that has an address. */
export interface FolderAddress {
  readonly type: 'folder';
  readonly name: string;
  /** Ends with a slash. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** With `*` where the key of a file has its path. */
  readonly key: string;
  readonly isHub: boolean;
}

export type FileSource =
  | Address
  | FolderAddress
  /** `path`: where in a folder that was chosen, as the page knows it. */
  | { readonly type: 'blob'; readonly blob: Blob; readonly path?: string }
  | { readonly type: 'handle'; readonly handle: FileSystemFileHandle | FileSystemDirectoryHandle }
  /** A stream that stays in the page, which gives its bytes by this port. */
  | { readonly type: 'stream'; readonly port: MessagePort };

/** Where `hf:` addresses lead, unless the caller names another hub. */
export const HUB = 'https://huggingface.co';

const HUB_ADDRESS = /^hf:([^/@]+)\/([^/@]+)(?:\/([^@]*?))?(?:@([^@]+))?$/;

/** Owners and repositories, as hubs name them. */
const HUB_NAME = /^[\w.-]+$/;

/**
 * `hf:owner/repository/path@revision` → its address on the hub; without a path, or with one that ends with a slash, that of a folder.
 * Undefined where it is malformed, or where a part of it would lead elsewhere: `..` for example.
 *
 * The key of what comes from the default hub is its name there, and of what comes from another one
 * the address: two hubs may have other files of one name.
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
 * Whether a part of a path is a name, however often a server decodes it: no step to another folder,
 * and no separator.
 */
function isName(part: string): boolean {
  let name = part;
  try {
    while (name !== decodeURIComponent(name)) name = decodeURIComponent(name);
  } catch {
    // a lone `%` is a character as others
  }
  return !/^\.{0,2}$|[/\\\u0000-\u001f\u007f]/.test(name);
}

/**
 * What the key of a file in a folder begins and ends with; addresses may have a `*` of their own.
 */
export function aroundPath({ key }: FolderAddress): [start: string, end: string] {
  const at = key.lastIndexOf('*');
  return [key.slice(0, at), key.slice(at + 1)];
}

/** The folder at an address that ends with a slash; a query belongs to files. */
export function webFolder(url: URL): FolderAddress {
  const { href } = new URL('.', url);
  const name = url.pathname.split('/').at(-2) || url.host;
  return { type: 'folder', name, url: href, headers: {}, key: `${href}*`, isHub: false };
}

/** `url`: absolute. A fragment is no part of what is fetched. */
export function webAddress(url: URL): Address {
  const address = new URL(url);
  address.hash = '';
  return { type: 'address', url: address.href, headers: {}, key: address.href, isHub: false };
}

/** Not the name of a first part of none, which is a file like any other. */
const FIRST_PART = /-00001-of-(?!00000)(\d{5})\.gguf/;

/** The first part of a split file, or any file → all parts, by the names that they are given when a file is split. */
export function partsOf(name: string): string[] {
  const count = Number(FIRST_PART.exec(name)?.[1] ?? 1);
  return Array.from({ length: count }, (_, index) =>
    name.replace(FIRST_PART, (_, of) => `-${String(index + 1).padStart(5, '0')}-of-${of}.gguf`),
  );
}

/** The last part of the path, or the name of the file, for people. */
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
