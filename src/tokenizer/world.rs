//! The tokenizer of RWKV's World models: at each byte of a text the longest token that begins
//! there. Files spell the bytes of tokens as Python does: `\n`, `\xe6`.

use super::vocabulary::{TokenKind, Vocabulary};

/// The bytes of all tokens that a text may become.
pub(super) struct World {
    /// Sorted by bytes.
    tokens: Vec<(Vec<u8>, u32)>,
    /// The token of a byte that begins no other.
    unknown: u32,
}

impl World {
    /// The tokens without structure; those of no bytes are left out.
    pub(super) fn new(vocabulary: &Vocabulary, kinds: &[TokenKind]) -> Self {
        let texts = (0..).zip(vocabulary.tokens.iter().zip(kinds));
        let texts = texts.filter(|(_, (_, kind))| !kind.is_structure() && **kind != TokenKind::Unused);
        let mut tokens: Vec<(Vec<u8>, u32)> = texts.map(|(id, (token, _))| (unescaped(token), id)).collect();
        tokens.retain(|(bytes, _)| !bytes.is_empty());
        tokens.sort_unstable();
        Self { tokens, unknown: vocabulary.unk.unwrap_or(0) }
    }

    /// Appends the ids of `text`.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (len, id) = self.longest(rest).unwrap_or((1, self.unknown));
            ids.push(id);
            rest = &rest[len..];
        }
    }

    /// The longest token at the beginning of a text, and its length.
    fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        // those that begin as the text does, byte by byte
        let (mut tokens, mut longest) = (self.tokens.as_slice(), None);
        for len in 1..=text.len() {
            let begin = &text[..len];
            tokens = &tokens[tokens.partition_point(|(bytes, _)| bytes.as_slice() < begin)..];
            tokens = &tokens[..tokens.partition_point(|(bytes, _)| bytes.starts_with(begin))];
            let Some((bytes, id)) = tokens.first() else { break };
            if bytes.len() == len {
                longest = Some((len, *id));
            }
        }
        longest
    }
}

/// The bytes of a token. A backslash before any other character stands for that.
pub(super) fn unescaped(token: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(token.len()), token.as_bytes());
    while let [first, others @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let (byte, len) = match others {
            [b'x', a, b, ..]
                if *first == b'\\'
                    && let Some(byte) = hex(&[*a, *b]) =>
            {
                (byte, 4)
            }
            [b'n', ..] if *first == b'\\' => (b'\n', 2),
            [b't', ..] if *first == b'\\' => (b'\t', 2),
            [b'r', ..] if *first == b'\\' => (b'\r', 2),
            [other, ..] if *first == b'\\' => (*other, 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[len..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(unescaped(r"a\n\t\r\\\'\xe6\x97"), b"a\n\t\r\\'\xe6\x97");
        // not two digits, and nothing behind
        assert_eq!(unescaped(r"\xg1\"), b"xg1\\");
    }

    #[test]
    fn the_longest_token_is_taken_at_each_byte() {
        let tokens: Vec<String> =
            ["<s>", "a", "b", "ab", "abcd", r"\xc3", r"\xc3\xa9", "[PAD]"].map(str::to_string).into();
        let mut kinds = vec![TokenKind::Normal; 8];
        (kinds[0], kinds[7]) = (TokenKind::Control, TokenKind::Unused);
        let world = World::new(&Vocabulary { tokens, ..Vocabulary::default() }, &kinds);
        let ids = |text: &str| {
            let mut ids = Vec::new();
            world.encode(text, &mut ids);
            ids
        };
        // `abc` begins a token but is none, and c is unknown
        assert_eq!(ids("ababcabcd"), [3, 3, 0, 4]);
        assert_eq!(ids("éÃ[PAD]a"), [6, 5, 0, 0, 0, 0, 0, 0, 1]);
        assert!(ids("").is_empty());
    }
}
