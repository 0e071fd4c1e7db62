/** Reads the text of PDF files with pdf.js. This part is fetched when the first PDF comes. */

import { getDocument, GlobalWorkerOptions, version, type PDFDocumentProxy } from 'pdfjs-dist/legacy/build/pdf.mjs';
// The legacy build runs in every browser that the page runs in.
import PdfWorker from 'pdfjs-dist/legacy/build/pdf.worker.mjs?worker';
import { t, type Said } from '../text/text.js';
import { Unreadable } from './unreadable.js';

/** What a PDF may need and not hold: character maps, and the metrics of the standard fonts. */
const FOLDER = new URL(`assets/pdf-files-${version}/`, document.baseURI);

/** What did not come, and why: character maps and fonts. */
interface Missing {
  maps: Map<string, Said>;
  fonts: Map<string, Said>;
}

/** The texts of the pages, and what may be wrong with them. */
export interface PdfText {
  pages: string[];
  note: Said | null;
}

async function fetched(file: string, name: string, missing: Map<string, Said>): Promise<Uint8Array> {
  try {
    const response = await fetch(new URL(file, FOLDER));
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    missing.set(name, () => t('pdf-not-in-copy'));
  } catch {
    missing.set(name, () => t('pdf-no-network'));
  }
  throw new Error(name);
}

/** pdf.js makes these itself. */
const readers = (missing: Missing) => ({
  CMapReaderFactory: class {
    async fetch({ name }: { name: string }) {
      const cMapData = await fetched(`cmaps/${name}.bcmap`, name, missing.maps);
      return { cMapData, isCompressed: true };
    }
  },
  StandardFontDataFactory: class {
    fetch({ filename }: { filename: string }) {
      return fetched(`standard_fonts/${filename}`, filename.replace(/\.\w+$/, ''), missing.fonts);
    }
  },
});

/** Fails where a character map is missing: pdf.js leaves out all text that is written with it. */
export async function textsOfPages(bytes: ArrayBuffer, signal: AbortSignal): Promise<PdfText> {
  GlobalWorkerOptions.workerPort ??= new PdfWorker();
  const missing: Missing = { maps: new Map(), fonts: new Map() };
  // Nothing is drawn. Nothing but those files is fetched, whatever the PDF says.
  const options = { disableFontFace: true, useSystemFonts: false, useWorkerFetch: false, verbosity: 0 };
  const loading = getDocument({ data: bytes, ...options, ...readers(missing) });
  try {
    const document: PDFDocumentProxy = await loading.promise;
    const texts: string[] = [];
    for (let number = 1; number <= document.numPages; number += 1) {
      signal.throwIfAborted();
      const page = await document.getPage(number);
      const { items } = await page.getTextContent();
      for (const [name, why] of missing.maps) throw new Unreadable(() => t('pdf-needs-map', { name, why: why() }));
      const lines = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('');
      // A word that is cut at the end of a line.
      texts.push(lines.replace(/(\p{L})-\n(?=\p{Ll})/gu, '$1'));
      page.cleanup();
    }
    // pdf.js leaves out letters that only the font's own encoding has.
    const [font] = missing.fonts;
    const note = font ? () => t('pdf-needs-font', { name: font[0], why: font[1]() }) : null;
    return { pages: texts, note };
  } finally {
    await loading.destroy();
  }
}
