use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rdl_model::{SourceKey, SourceKeyHasher};

/// One process among those that share a bucket: 16 hexadecimal digits that nobody else has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(u64);

/// Where the names come from that nobody else has.
pub(super) enum Numbers {
    /// The system.
    Unlikely,
    /// A seed, and how many there were: for simulations, where everything has to follow from one.
    Seeded(u64, AtomicU64),
}

impl Numbers {
    pub(super) fn replica(&self) -> ReplicaId {
        ReplicaId(self.next())
    }

    fn next(&self) -> u64 {
        match self {
            Self::Unlikely => unlikely_number(),
            Self::Seeded(seed, count) => {
                let count = count.fetch_add(1, Ordering::Relaxed);
                let fields = [seed.to_le_bytes(), count.to_le_bytes()];
                number(fields.into_iter().fold(SourceKeyHasher::new(), SourceKeyHasher::field))
            }
        }
    }
}

/// A number that no other call in any process is likely to get.
fn unlikely_number() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    use std::hash::{BuildHasher as _, Hasher as _};
    // Seeded by the system.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let key = SourceKeyHasher::new()
        .field(hasher.finish().to_le_bytes())
        .field(now.as_nanos().to_le_bytes())
        .field(call.to_le_bytes());
    number(key)
}

fn number(of: SourceKeyHasher) -> u64 {
    u64::from_le_bytes(of.finish().0[..8].try_into().expect("a key has 32 bytes"))
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One attempt at one epoch of a source: `<epoch>-<id>`, a name that nobody else writes under.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptName {
    /// What is loaded.
    pub key: SourceKey,
    /// Which try at it.
    pub epoch: u32,
    id: u64,
}

impl AttemptName {
    /// A new attempt at this epoch.
    pub fn new(key: SourceKey, epoch: u32) -> AttemptName {
        AttemptName::numbered_by(&Numbers::Unlikely, key, epoch)
    }

    pub(super) fn numbered_by(numbers: &Numbers, key: SourceKey, epoch: u32) -> AttemptName {
        AttemptName { key, epoch, id: numbers.next() }
    }

    /// The folder `<epoch>-<id>` of a key.
    pub(super) fn parse(key: SourceKey, folder: &str) -> Option<AttemptName> {
        let (epoch, id) = folder.split_once('-')?;
        let id = u64::from_str_radix(id, 16).ok()?;
        let name = AttemptName { key, epoch: parse_epoch(epoch)?, id };
        // Whatever else is read as the same number is somebody else's.
        (name.folder() == folder).then_some(name)
    }

    /// Its folder's name within that of its source.
    pub(super) fn folder(&self) -> String {
        format!("{:08}-{:016x}", self.epoch, self.id)
    }
}

impl fmt::Display for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder())
    }
}

impl fmt::Debug for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of an epoch's claim.
pub(super) fn claim_name(epoch: u32) -> String {
    format!("{epoch:08}{CLAIM}")
}

/// The epoch of a claim's name.
pub(super) fn claimed_epoch(name: &str) -> Option<u32> {
    parse_epoch(name.strip_suffix(CLAIM)?)
}

const CLAIM: &str = ".claim";

fn parse_epoch(digits: &str) -> Option<u32> {
    let is_number = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let epoch = is_number.then(|| u32::from_str(digits).ok())??;
    // Nobody gets there, and there is none after it.
    (epoch < LAST_EPOCH).then_some(epoch)
}

const LAST_EPOCH: u32 = 99_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        let key = SourceKeyHasher::new().field("x").finish();
        let name = AttemptName::new(key, 7);
        assert_eq!(AttemptName::parse(key, &name.folder()), Some(name.clone()));
        assert_ne!(AttemptName::new(key, 7), name);
        for other in [
            "",
            "7-1",
            "00000007-",
            "00000007-xyz",
            "0000007-0123456789abcdef",
            "tmp",
            "00000007-+123456789abcdef",
            "0000000+-0123456789abcdef",
            "99999999-0123456789abcdef",
        ] {
            assert_eq!(AttemptName::parse(key, other), None, "{other}");
        }
        assert_eq!(claimed_epoch(&claim_name(12)), Some(12));
        assert_eq!(claimed_epoch("12.claim"), None);
    }
}
