use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rdl_model::{Nanos, TimeRange};

/// The most of these ranges, ascending by start, that have one time in common.
pub(super) fn most_overlapping(ranges: &[TimeRange]) -> usize {
    let mut most = 0;
    let mut ends: BinaryHeap<Reverse<Nanos>> = BinaryHeap::new();
    for range in ranges {
        while ends.peek().is_some_and(|Reverse(end)| *end < range.start) {
            ends.pop();
        }
        ends.push(Reverse(range.end));
        most = most.max(ends.len());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_share_a_time_overlap() {
        let range = |(start, end)| TimeRange { start: Nanos(start), end: Nanos(end) };
        let most = |ranges: &[(u64, u64)]| {
            most_overlapping(&ranges.iter().copied().map(range).collect::<Vec<_>>())
        };
        assert_eq!(most(&[]), 0);
        assert_eq!(most(&[(1, 5), (5, 6), (7, 9)]), 2);
        assert_eq!(most(&[(1, 100), (2, 3), (3, 4), (5, 6)]), 3);
    }
}
