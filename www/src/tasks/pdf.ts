/** Reads the text of PDF files with pdf.js. This part is fetched when the first PDF comes. */

import { getDocument, GlobalWorkerOptions, type PDFDocumentProxy } from 'pdfjs-dist/legacy/build/pdf.mjs';
// The legacy build runs in every browser that the page runs in.
import PdfWorker from 'pdfjs-dist/legacy/build/pdf.worker.mjs?worker';

/** The text of each page. */
export async function textsOfPages(bytes: ArrayBuffer, signal: AbortSignal): Promise<string[]> {
  GlobalWorkerOptions.workerPort ??= new PdfWorker();
  // Nothing is drawn, so fonts are not needed; nothing is fetched, whatever the file says.
  const loading = getDocument({ data: bytes, disableFontFace: true, useSystemFonts: false, verbosity: 0 });
  try {
    const document: PDFDocumentProxy = await loading.promise;
    const texts: string[] = [];
    for (let number = 1; number <= document.numPages; number += 1) {
      signal.throwIfAborted();
      const page = await document.getPage(number);
      const { items } = await page.getTextContent();
      const lines = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('');
      // A word that is cut at the end of a line.
      texts.push(lines.replace(/(\p{L})-\n(?=\p{Ll})/gu, '$1'));
      page.cleanup();
    }
    return texts;
  } finally {
    await loading.destroy();
  }
}
