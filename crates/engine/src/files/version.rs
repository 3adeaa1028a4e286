//! Which bytes a virtual file has.

use std::fmt;
use std::str::FromStr;

use rdl_model::{SourceKey, SourceKeyHasher};
use serde::{Deserialize, Serialize};

/// Raised whenever the same sources are laid out otherwise.
const LAYOUT: u32 = 1;

/// The name of one exact file: a hash over everything that decides about its bytes. 32 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileVersion(u128);

/// What a file consists of: its sources in their order, and which body of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    layout: u32,
    pub(super) sources: Vec<Body>,
    /// For a cut: of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<CutContents>,
}

/// What a cut consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CutContents {
    /// A hash of the query.
    #[serde(with = "hex")]
    pub(super) query: SourceKey,
    /// Its bytes, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made: Option<Made>,
}

/// Two makings of one cut need not have the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) bytes: u64,
    /// SHA-256 of the bytes.
    #[serde(with = "hex")]
    pub(super) digest: SourceKey,
}

/// One body of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    #[serde(with = "hex")]
    pub(super) key: SourceKey,
    #[serde(with = "hex")]
    pub(super) identity: SourceKey,
}

impl Contents {
    pub(super) fn new(sources: Vec<Body>) -> Contents {
        Contents { layout: LAYOUT, sources, cut: None }
    }

    /// The answer to this query, made or not.
    pub(super) fn of_cut(sources: Vec<Body>, query: SourceKey) -> Contents {
        Contents { layout: LAYOUT, sources, cut: Some(CutContents { query, made: None }) }
    }

    /// The same cut with these bytes; `None` leaves it open which.
    pub(super) fn with_bytes(&self, made: Option<Made>) -> Contents {
        let mut contents = self.clone();
        if let Some(cut) = &mut contents.cut {
            cut.made = made;
        }
        contents
    }

    /// The bytes of a cut that is made.
    pub(super) fn made(&self) -> Option<Made> {
        self.cut.as_ref()?.made
    }

    pub(super) fn version(&self) -> FileVersion {
        let hasher = SourceKeyHasher::new().field(self.layout.to_le_bytes());
        let add =
            |hasher: SourceKeyHasher, body: &Body| hasher.field(body.key.0).field(body.identity.0);
        let mut hasher = self.sources.iter().fold(hasher, add);
        if let Some(cut) = &self.cut {
            hasher = hasher.field("cut").field(cut.query.0);
            if let Some(Made { bytes, digest }) = cut.made {
                hasher = hasher.field(bytes.to_le_bytes()).field(digest.0);
            }
        }
        let hash = hasher.finish();
        let first = hash.0.first_chunk().expect("a hash has 32 bytes");
        FileVersion(u128::from_be_bytes(*first))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` where it is not what was written under that version.
    pub(super) fn from_json(text: &[u8], version: FileVersion) -> Option<Contents> {
        Self::parse(text).filter(|contents| contents.version() == version)
    }

    /// The same cut as `cut`, made; `None` where it is not what was written under that.
    pub(super) fn from_json_of_cut(text: &[u8], cut: &Contents) -> Option<Contents> {
        let is_same = |found: &Contents| found.made().is_some() && found.with_bytes(None) == *cut;
        Self::parse(text).filter(is_same)
    }

    fn parse(text: &[u8]) -> Option<Contents> {
        let contents: Contents = serde_json::from_slice(text).ok()?;
        (contents.layout == LAYOUT).then_some(contents)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FileVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(FileVersion).map_err(|_| ())
    }
}

mod hex {
    use rdl_model::SourceKey;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        key: &SourceKey,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SourceKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(of: &str) -> SourceKey {
        SourceKeyHasher::new().field(of).finish()
    }

    #[test]
    fn a_version_is_that_of_its_sources_in_their_order() {
        let body = |key, identity| Body { key: hash(key), identity: hash(identity) };
        let contents = Contents::new(vec![body("a", "1"), body("b", "2")]);
        let version = contents.version();
        assert_eq!(version.to_string().parse(), Ok(version));
        assert_eq!(Contents::from_json(&contents.to_json(), version), Some(contents.clone()));
        for other in [
            vec![body("b", "2"), body("a", "1")],
            vec![body("a", "1"), body("b", "3")],
            vec![body("a", "1")],
        ] {
            let other = Contents::new(other);
            assert_ne!(other.version(), version);
            assert_eq!(Contents::from_json(&other.to_json(), version), None);
        }
        let later = Contents { layout: LAYOUT + 1, ..contents };
        assert_eq!(Contents::from_json(&later.to_json(), later.version()), None);
        for wrong in
            ["", "1", "0123456789ABCDEF0123456789ABCDEF", "+123456789abcdef0123456789abcdef"]
        {
            assert_eq!(wrong.parse::<FileVersion>(), Err(()));
        }
    }
}
