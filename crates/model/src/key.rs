use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a source is stored under: a SHA-256 over what identifies its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub [u8; 32]);

/// Builds a [`SourceKey`] from fields; each is preceded by its length, so that no two lists of
/// fields give the same bytes.
#[derive(Default)]
pub struct SourceKeyHasher(Sha256);

impl SourceKeyHasher {
    /// An empty list of fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The key of the fields so far.
    pub fn finish(self) -> SourceKey {
        SourceKey(self.0.finalize().into())
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char('…')
    }
}

impl FromStr for SourceKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(());
        }
        let mut key = [0; 32];
        for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| ())?;
        }
        Ok(SourceKey(key))
    }
}

/// Names a chunk within a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The position of the source in the manifest.
    pub source: u32,
    /// The position of the chunk in the source's index.
    pub chunk: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_print_and_read() {
        let key = SourceKeyHasher::new().field("a").field("bc").finish();
        assert_eq!(key.to_string().parse::<SourceKey>(), Ok(key));
        assert_ne!(key, SourceKeyHasher::new().field("ab").field("c").finish());
        assert!("zz".repeat(32).parse::<SourceKey>().is_err());
    }
}
