//! Reads fields of a header from bytes that may be incomplete.

use crate::Error;

/// Why a field could not be read.
#[derive(Debug)]
pub(super) enum Stop {
    /// The cursor needs this many bytes, counted from its beginning.
    Needs(u64),
    /// The bytes are complete but wrong.
    Wrong(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

/// Walks over the bytes of one item.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes the next `len` bytes. `len` comes from the file and may be any number: no memory is
    /// reserved for it.
    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(Stop::Needs((self.at as u64).saturating_add(len))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a length and a string of that many bytes of UTF-8. `what` names the string in errors.
    pub(super) fn string(&mut self, what: impl Fn() -> String) -> Result<String, Stop> {
        let len = self.u64()?;
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let byte = bytes[error.valid_up_to()];
                let got = format!("the byte {byte:#04x} at {} of {len}", error.valid_up_to());
                Err(Error::InvalidFile { field: what(), expected: "UTF-8 text".into(), got }.into())
            }
        }
    }
}
