/** Pictures of other libraries' messages as addresses. */

/** `data`: bytes, or their base64. `mediaType`: `image` alone where the kind is not known. */
export function dataUrl(data: Uint8Array | string, mediaType: string): string {
  const type = mediaType === 'image' ? 'image/png' : mediaType;
  if (typeof data === 'string') return `data:${type};base64,${data}`;
  let bytes = '';
  for (const byte of data) bytes += String.fromCharCode(byte);
  return `data:${type};base64,${btoa(bytes)}`;
}
