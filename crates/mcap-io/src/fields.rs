//! Reading the fields of a record's body (MCAP specification, "Serialization").
//!
//! By hand rather than by the `mcap` crate: a body comes from strangers, so every length is held
//! against the bytes that are there before anything is allocated, and strings are borrowed.

use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a body; without a place, which the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// A field lies outside the body.
    CutOff,
    /// A string is not UTF-8.
    NotUtf8,
    /// A map names one key twice.
    DuplicateKey,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutOff => "it is cut off",
            Self::NotUtf8 => "a text in it is not UTF-8",
            Self::DuplicateKey => "a map in it has one key twice",
        })
    }
}

/// The fields of a body that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Fields<'a> {
        Fields(body)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Result<&'a [u8], FieldError> {
        let len = usize::try_from(len).map_err(|_| FieldError::CutOff)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(FieldError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FieldError::CutOff)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FieldError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FieldError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FieldError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FieldError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes after their 32-bit length.
    pub(crate) fn blob(&mut self) -> Result<&'a [u8], FieldError> {
        let len = self.u32()?;
        self.bytes(u64::from(len))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, FieldError> {
        std::str::from_utf8(self.blob()?).map_err(|_| FieldError::NotUtf8)
    }

    /// A map of texts; a key that comes twice is refused, as other readers do.
    pub(crate) fn text_map(&mut self) -> Result<BTreeMap<String, String>, FieldError> {
        let mut fields = Fields(self.blob()?);
        let mut map = BTreeMap::new();
        while !fields.0.is_empty() {
            let (key, value) = (fields.text()?, fields.text()?);
            if map.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(FieldError::DuplicateKey);
            }
        }
        Ok(map)
    }

    /// A map from a channel id to a 64-bit number.
    pub(crate) fn id_map(&mut self) -> Result<BTreeMap<u16, u64>, FieldError> {
        let mut fields = Fields(self.blob()?);
        let mut map = BTreeMap::new();
        while !fields.0.is_empty() {
            if map.insert(fields.u16()?, fields.u64()?).is_some() {
                return Err(FieldError::DuplicateKey);
            }
        }
        Ok(map)
    }
}
