// Small PDF files for tests.

const HELVETICA = '<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>';

/** A font that the file does not hold, with one of the encodings that every reader of PDF knows. */
const JAPANESE = `<</Type/Font/Subtype/Type0/BaseFont/Ryumin-Light/Encoding/90ms-RKSJ-H/DescendantFonts[
<</Type/Font/Subtype/CIDFontType0/BaseFont/Ryumin-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>
/DW 1000/FontDescriptor<</Type/FontDescriptor/FontName/Ryumin-Light/Flags 4/FontBBox[0 -120 1000 880]/ItalicAngle 0
/Ascent 880/Descent -120/StemV 80>>>>]>>`;

/** A PDF with a line of text on each of its pages. */
export const pdf = (...lines) =>
  pdfOf(
    HELVETICA,
    lines.map((line) => `(${line})`),
  );

/** The same, of lines in Shift JIS. */
export const japanesePdf = (...lines) =>
  pdfOf(
    JAPANESE,
    lines.map((line) => `<${line.toString('hex')}>`),
  );

function pdfOf(font, lines) {
  const pages = lines.map((_, n) => `${4 + 2 * n} 0 R`);
  const objects = [
    '<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Kids[${pages.join(' ')}]/Count ${lines.length}>>`,
    font,
    ...lines.flatMap((line, n) => {
      const content = `BT /F1 12 Tf 20 100 Td ${line} Tj ET`;
      return [
        `<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 200]/Resources<</Font<</F1 3 0 R>>>>/Contents ${5 + 2 * n} 0 R>>`,
        `<</Length ${content.length}>>stream\n${content}\nendstream`,
      ];
    }),
  ];
  let text = '%PDF-1.4\n';
  const offsets = objects.map((object, n) => {
    const offset = text.length;
    text += `${n + 1} 0 obj${object}endobj\n`;
    return `${String(offset).padStart(10, '0')} 00000 n \n`;
  });
  const table = `xref\n0 ${offsets.length + 1}\n0000000000 65535 f \n${offsets.join('')}`;
  return Buffer.from(
    `${text}${table}trailer<</Size ${offsets.length + 1}/Root 1 0 R>>\nstartxref\n${text.length}\n%%EOF`,
  );
}
