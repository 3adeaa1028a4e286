use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

use crate::Nanos;

/// Times from `start` to `end`, both inclusive: the last nanosecond exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first time in the range.
    pub start: Nanos,
    /// The last time in the range.
    pub end: Nanos,
}

impl TimeRange {
    /// Every time there is.
    pub const ALL: TimeRange = TimeRange { start: Nanos::MIN, end: Nanos::MAX };

    /// Whether `time` lies in the range.
    pub fn contains(self, time: Nanos) -> bool {
        self.start <= time && time <= self.end
    }

    /// Whether every time of `other` lies in the range.
    pub fn covers(self, other: TimeRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether any time lies in both.
    pub fn overlaps(self, other: TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The least range that holds both.
    #[must_use]
    pub fn union(self, other: TimeRange) -> TimeRange {
        TimeRange { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl RangeBounds<Nanos> for TimeRange {
    fn start_bound(&self) -> Bound<&Nanos> {
        Bound::Included(&self.start)
    }

    fn end_bound(&self) -> Bound<&Nanos> {
        Bound::Included(&self.end)
    }
}

/// Bytes from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// `len` bytes from `start`; saturates at the end of 64 bits.
    pub fn at(start: u64, len: u64) -> ByteRange {
        ByteRange { start, end: start.saturating_add(len) }
    }

    /// How many bytes.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}
