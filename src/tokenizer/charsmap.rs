//! SentencePiece's precompiled normalisation: a map from texts to replacements.
//!
//! The format of `precompiled_charsmap`, little-endian: length of the trie in bytes, trie,
//! replacements, each ended by a zero. The trie is darts-clone's double array of 32-bit units. The
//! child of a unit for byte b is at (unit's position XOR its offset XOR b). Bits of a unit: 0 to 7
//! its own byte; 8 whether a text ends here; 10 to 30 the offset, which bit 9 multiplies by 256. If
//! a text ends here, the child of byte 0 has bit 31 set and holds the position of the replacement
//! in the other bits.

use super::vocabulary::invalid;
use crate::Result;

/// Limit of a replacement's length, in bytes; Unicode's own compatibility forms take up to 33.
const MAX_REPLACEMENT: usize = 256;

/// Replaces the longest known texts, from left to right.
#[derive(Debug)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

impl CharsMap {
    /// Checks the lengths; the trie is checked during look-ups. `None` for no bytes: nothing is
    /// replaced.
    pub(super) fn new(bytes: &[u8]) -> Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let expected = "the length of a trie, the trie, and replacements that end with a zero";
        let wrong = |got: &str| invalid("precompiled_charsmap", expected, got);
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| wrong("less than 4 bytes"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if !length.is_multiple_of(4) || length > rest.len() {
            return Err(wrong(&format!("a length of {length} with {} bytes after it", rest.len())));
        }
        let (trie, replacements) = rest.split_at(length);
        if std::str::from_utf8(replacements).is_err() || replacements.last().is_some_and(|last| *last != 0) {
            return Err(wrong("replacements that are not UTF-8, or a last one without an end"));
        }
        if replacements.split(|byte| *byte == 0).any(|replacement| replacement.len() > MAX_REPLACEMENT) {
            return Err(wrong(&format!("a replacement of more than {MAX_REPLACEMENT} bytes")));
        }
        let units = trie.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Some(Self { units, replacements: replacements.to_vec() }))
    }

    /// Returns `text` with its replacements.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (length, replacement) = self.longest(rest).unwrap_or((c.len_utf8(), &rest[..c.len_utf8()]));
            replaced.push_str(replacement);
            rest = &rest[length..];
        }
        replaced
    }

    /// The longest prefix of `text` that is replaced: its length in bytes, and the replacement.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let mut found = None;
        let mut at = offset(*self.units.first()?);
        for (i, byte) in text.bytes().enumerate().take_while(|(_, byte)| *byte != 0) {
            at ^= usize::from(byte);
            let Some(&unit) = self.units.get(at) else { break };
            if unit & (1 << 31 | 0xFF) != u32::from(byte) {
                break;
            }
            at ^= offset(unit);
            let is_end = unit & 1 << 8 != 0 && text.is_char_boundary(i + 1);
            if let Some(value) = self.units.get(at).filter(|_| is_end) {
                let replacement = self.replacements.get((value & !(1 << 31)) as usize..).unwrap_or_default();
                let end = replacement.iter().position(|byte| *byte == 0).unwrap_or_default();
                if let Ok(replacement) = std::str::from_utf8(&replacement[..end]) {
                    found = Some((i + 1, replacement));
                }
            }
        }
        found
    }
}

/// Offset of a unit's children.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `é` (C3 A9) → `e`, `ﬁ` (EF AC 81) → `fi`, `x` → nothing.
    fn charsmap() -> Vec<u8> {
        let mut units = vec![0_u32; 1024];
        // The root's children lie at 256 XOR byte; each further unit has 256 positions of its own.
        units[0] = 256 << 10;
        let child = |at: usize, byte: u8, to: usize, end: bool| {
            (u32::from(byte)) | u32::from(end) << 8 | ((at ^ to) as u32) << 10
        };
        units[256 ^ 0xC3] = child(256 ^ 0xC3, 0xC3, 512, false);
        units[512 ^ 0xA9] = child(512 ^ 0xA9, 0xA9, 700, true);
        units[700] = 1 << 31;
        units[256 ^ 0xEF] = child(256 ^ 0xEF, 0xEF, 513, false);
        units[513 ^ 0xAC] = child(513 ^ 0xAC, 0xAC, 768, false);
        units[768 ^ 0x81] = child(768 ^ 0x81, 0x81, 701, true);
        units[701] = 1 << 31 | 2;
        units[256 ^ 0x78] = child(256 ^ 0x78, 0x78, 702, true);
        units[702] = 1 << 31 | 5;
        let mut bytes = (units.len() as u32 * 4).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(b"e\0fi\0\0");
        bytes
    }

    #[test]
    fn the_longest_texts_are_replaced() {
        let map = CharsMap::new(&charsmap()).unwrap().unwrap();
        assert_eq!(map.replace("café ﬁnx\0ê"), "cafe fin\0ê");
        assert_eq!(map.replace(""), "");
    }

    #[test]
    fn wrong_bytes_are_refused_or_replace_nothing() {
        let good = charsmap();
        assert!(CharsMap::new(&[]).unwrap().is_none());
        for bad in [&good[..3], &good[..2000], &good[..good.len() - 3], &[1, 0, 0, 0, 0]] {
            assert!(CharsMap::new(bad).is_err(), "{} bytes", bad.len());
        }
        let long = [&[0; 4][..], &[b'a'; MAX_REPLACEMENT + 1], &[0]].concat();
        assert!(CharsMap::new(&long).unwrap_err().to_string().contains("a replacement of more than 256 bytes"));
        // Every unit points out of the trie.
        let mut bytes = good.clone();
        bytes[4..4100].fill(0x7F);
        assert_eq!(CharsMap::new(&bytes).unwrap().unwrap().replace("é\u{7f}x"), "é\u{7f}x");
    }
}
