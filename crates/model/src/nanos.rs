use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A time: nanoseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// What is neither an RFC 3339 time nor a whole number of nanoseconds, or lies outside 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time: write RFC 3339 (2026-01-31T09:30:00Z) or whole nanoseconds since the Unix epoch"
)]
pub struct ParseNanosError(pub String);

impl Nanos {
    /// The Unix epoch.
    pub const MIN: Nanos = Nanos(0);
    /// The last time that 64 bits hold, in the year 2554.
    pub const MAX: Nanos = Nanos(u64::MAX);

    /// This much later, at most [`Nanos::MAX`].
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Nanos {
        Nanos(self.0.saturating_add(as_u64(by)))
    }

    /// This much earlier, at least [`Nanos::MIN`].
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Nanos {
        Nanos(self.0.saturating_sub(as_u64(by)))
    }
}

fn as_u64(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with nine digits of a second.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.9}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// RFC 3339 with any offset, or whole nanoseconds.
impl FromStr for Nanos {
    type Err = ParseNanosError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseNanosError(text.chars().take(64).collect());
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Nanos).map_err(|_| wrong());
        }
        let time: Timestamp = text.parse().map_err(|_| wrong())?;
        u64::try_from(time.as_nanosecond()).map(Nanos).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_both_ends() {
        for nanos in [Nanos::MIN, Nanos(1), Nanos(1_700_000_000_123_456_789), Nanos::MAX] {
            assert_eq!(nanos.to_string().parse::<Nanos>().unwrap(), nanos);
            assert_eq!(nanos.0.to_string().parse::<Nanos>().unwrap(), nanos);
        }
        assert_eq!(Nanos(10).to_string(), "1970-01-01T00:00:00.000000010Z");
    }

    #[test]
    fn offsets_count() {
        assert_eq!("1970-01-01T01:00:00+01:00".parse::<Nanos>().unwrap(), Nanos(0));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "-1", "1e9", "1969-12-31T23:59:59Z", "18446744073709551616"] {
            let error = text.parse::<Nanos>().unwrap_err();
            assert!(error.to_string().contains("RFC 3339"), "{error}");
        }
    }

    #[test]
    fn arithmetic_stays_within_64_bits() {
        assert_eq!(Nanos(5).saturating_sub(Duration::from_secs(1)), Nanos(0));
        assert_eq!(Nanos::MAX.saturating_add(Duration::MAX), Nanos::MAX);
    }
}
