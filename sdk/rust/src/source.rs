//! Splitting a recording into sources, and naming them.

use std::fmt::Write as _;
use std::time::Duration;

use rdl_model::Nanos;

use crate::TimeRange;

/// Splits `start..=end` into slices of `width`, each of which makes a good source: viewers that
/// seek load the slices that they need. Ten seconds to a minute suit most data.
///
/// Slices begin at multiples of `width` since the epoch, but for the first: a recording that
/// grows keeps the slices that it had, but for the last. None overlap, and nothing lies between
/// them. No width is one slice of everything; an end before the start is no slice.
///
/// A range that is wrong has many slices: one message whose time was never set, in 1970, makes
/// millions of a recording of today. The loader takes 10,000 sources, so stop there and say so.
///
/// ```
/// use std::time::Duration;
/// use remote_data_loader_backend::{Nanos, time_slices};
///
/// let slices = time_slices(Nanos(7), Nanos(25), Duration::from_nanos(10));
/// let slices: Vec<(u64, u64)> = slices.map(|slice| (slice.start.0, slice.end.0)).collect();
/// assert_eq!(slices, [(7, 9), (10, 19), (20, 25)]);
/// ```
pub fn time_slices(start: Nanos, end: Nanos, width: Duration) -> impl Iterator<Item = TimeRange> {
    let width = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
    let mut next = (start <= end).then_some(start);
    std::iter::from_fn(move || {
        let from = next?;
        let last = match from.0.checked_rem(width) {
            None => end,
            Some(into) => Nanos(from.0.saturating_add(width - into - 1)).min(end),
        };
        next = (last < end).then(|| Nanos(last.0 + 1));
        Some(TimeRange { start: from, end: last })
    })
}

/// Joins `parts`, of which there is at least one, into the `id` of a source; different parts always
/// give different ids.
///
/// The loader takes the same id for the same data, whenever and by whomever it is asked for. So
/// an id names everything that the data depends on: the recording, the topics, the slice of time,
/// and a version that you count up when your code makes other data of the same store.
///
/// ```
/// use remote_data_loader_backend::source_id;
///
/// assert_eq!(source_id(["v1", "drive 7", "/imu"]), "v1/drive%207/%2Fimu");
/// ```
pub fn source_id<P: AsRef<str>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut id = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            id.push('/');
        }
        for byte in part.as_ref().bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    id.push(char::from(byte));
                }
                _ => {
                    let _writing_to_a_string_never_fails = write!(id, "%{byte:02X}");
                }
            }
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_time_can_be_split() {
        let hour = Duration::from_secs(3600);
        let slices: Vec<TimeRange> = time_slices(Nanos(u64::MAX - 10), Nanos::MAX, hour).collect();
        assert_eq!(slices.last().unwrap().end, Nanos::MAX);
        let all: Vec<TimeRange> = time_slices(Nanos(3), Nanos(9), Duration::ZERO).collect();
        assert_eq!(all, [TimeRange { start: Nanos(3), end: Nanos(9) }]);
        assert_eq!(time_slices(Nanos(3), Nanos(3), Duration::MAX).count(), 1);
        assert_eq!(time_slices(Nanos(4), Nanos(3), hour).count(), 0);
    }

    #[test]
    fn parts_never_run_together() {
        let ids = [
            source_id(["a", "b/c"]),
            source_id(["a/b", "c"]),
            source_id(["a", "b", "c"]),
            source_id(["a%2Fb", "c"]),
            source_id(["a", "", "bc"]),
            source_id(["A", "b", "c"]),
        ];
        let different: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
        assert_eq!(source_id(["Straße"]), "Stra%C3%9Fe");
    }

    proptest! {
        #[test]
        fn slices_cover_the_range_once(start in any::<u64>(), len in 0_u64..10_000, width in 1_u64..500) {
            let (start, end) = (Nanos(start), Nanos(start.saturating_add(len)));
            let mut next = start.0;
            for slice in time_slices(start, end, Duration::from_nanos(width)) {
                prop_assert_eq!(slice.start.0, next);
                prop_assert!(slice.start <= slice.end && slice.end <= end);
                prop_assert_eq!(slice.start.0 / width, slice.end.0 / width);
                next = slice.end.0.wrapping_add(1);
            }
            prop_assert_eq!(next, end.0.wrapping_add(1));
        }
    }
}
