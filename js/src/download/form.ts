/**
 * How model files start. A file that starts otherwise, an error page for example, is never stored.
 */

/** `text`: anything but a web page. */
export type Form = 'gguf' | 'safetensors' | 'json' | 'text';

/**
 * Bytes of a GGUF header: magic number, version, two counts; and of a safetensors header's length.
 */
const GGUF_HEADER = 24;
const SAFETENSORS_HEADER = 8;

const MAGIC = [0x47, 0x47, 0x55, 0x46];
const BRACE = 0x7b;

/**
 * Why a file does not have this form, judged by its first bytes (a chunk, or a shorter file) and
 * its size if known. Undefined if it may have it.
 */
export function mismatch(form: Form, first: Uint8Array, size: number | null): string | undefined {
  if (first.length === 0) return 'it is empty';
  if (isWebPage(first)) return 'it looks like a web page';
  switch (form) {
    case 'gguf':
      if (MAGIC.some((byte, index) => first[index] !== byte)) return 'it does not begin like a GGUF file';
      return first.length < GGUF_HEADER ? 'it is shorter than the header of a GGUF file' : undefined;
    case 'safetensors': {
      if (first.length <= SAFETENSORS_HEADER) return 'it is shorter than the header of a safetensors file';
      const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
      const fits = length >= 2 && SAFETENSORS_HEADER + length <= (size ?? Infinity);
      return fits && first[SAFETENSORS_HEADER] === BRACE ? undefined : 'it does not begin like a safetensors file';
    }
    case 'json':
      return textStart(first).startsWith('{') ? undefined : 'it does not begin like a JSON object';
    case 'text':
      return undefined;
  }
}

/** Tells the form by the extension; GGUF if unknown. */
export function formOf(source: string): Form {
  const name = source.startsWith('hf:') ? source.replace(/@[^@]*$/, '') : source.replace(/[?#].*$/, '');
  if (name.endsWith('.safetensors')) return 'safetensors';
  if (name.endsWith('.json')) return 'json';
  return /\.(jinja|txt)$/.test(name) ? 'text' : 'gguf';
}

function isWebPage(first: Uint8Array): boolean {
  return /^<(!doctype html|html|head|body|!--)/i.test(textStart(first));
}

/** Start of a text after a byte order mark and white space. */
function textStart(first: Uint8Array): string {
  return new TextDecoder().decode(first.subarray(0, 4096)).trimStart();
}
