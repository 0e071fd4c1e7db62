//! Says what a wrong file is, because "bad magic" helps nobody.

use super::header::invalid;
use crate::Result;

/// Checks the first bytes of a file, as many as have arrived. The error says what a wrong file
/// looks like.
pub(super) fn check_magic(bytes: &[u8]) -> Result<()> {
    const MAGIC: &[u8] = b"GGUF";
    if bytes.iter().zip(MAGIC).all(|(byte, magic)| byte == magic) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).escape_debug().to_string();
    Err(invalid("magic", "`GGUF`", format!("`{shown}`, which looks like {}", looks_like(bytes))))
}

/// Describes a wrong file that begins with `bytes`, and the remedy.
pub(super) fn looks_like(bytes: &[u8]) -> &'static str {
    let first = bytes.trim_ascii_start();
    match bytes {
        _ if first.starts_with(b"<?xml") => "an XML document, such as a storage server's error message",
        _ if first.starts_with(b"<") => "a web page, such as a login or error page",
        _ if bytes.starts_with(b"version http") => "a Git LFS pointer: fetch the file itself with `git lfs pull`",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: unpack it, or convert it if it is a PyTorch checkpoint",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => "a compressed file: unpack it first",
        [b'G', b'G', b'U', b'F', ..] => "a GGUF file: give it without the files beside it",
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => "a safetensors file: give the whole folder, with its config.json",
        [0x80, 2..=5, ..] => "a pickled PyTorch checkpoint: convert it to GGUF",
        [b'l', b'm' | b'a', b'g', b'g', ..] | [b't' | b'f', b'j' | b'm', b'g', b'g', ..] => {
            "a model in GGML's format before GGUF: get a newer file"
        }
        [b'F', b'U', b'G', b'G', ..] => "a byte-swapped GGUF file: get a little-endian one",
        _ if first.starts_with(b"{") => "JSON, such as a server's error message",
        _ => "another kind of file",
    }
}
