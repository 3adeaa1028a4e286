use rdl_model::TimeRange;

/// How many ranges are held at most while they are gathered.
const MOST_HELD: usize = 1024;

/// Ranges of time, told by few: neighbours that lie close to each other are joined.
///
/// Any number of ranges can be added, in any order, which changes nothing; at most 1024 are held.
/// Where more than 512 gaps stay open, the narrowest of those so far are closed on the way: with a
/// gap of a 500th of all the time there never are.
#[derive(Clone, Debug)]
pub struct JoinedRanges {
    gap_nanos: u64,
    ranges: Vec<TimeRange>,
}

impl JoinedRanges {
    /// None yet. From one range to the next it is more than `gap_nanos`, which counts as 1 where it
    /// is 0: what touches is one.
    pub fn new(gap_nanos: u64) -> JoinedRanges {
        JoinedRanges { gap_nanos: gap_nanos.max(1), ranges: Vec::new() }
    }

    /// From one range to the next it is to be more than this as well.
    pub fn widen_gap(&mut self, gap_nanos: u64) {
        self.gap_nanos = self.gap_nanos.max(gap_nanos);
    }

    /// Adds one.
    pub fn add(&mut self, range: TimeRange) {
        // Most come in order of time.
        if let Some(last) = self.ranges.last_mut()
            && distance_nanos(*last, range) <= self.gap_nanos
        {
            *last = last.union(range);
            return;
        }
        if self.ranges.len() >= MOST_HELD {
            self.join(MOST_HELD / 2);
        }
        self.ranges.push(range);
    }

    /// All of them, disjoint and ascending; at most `most`, and at least one, with the widest gaps
    /// between them.
    /// Gaps that are equally wide stay together or go together.
    pub fn list(mut self, most: usize) -> Vec<TimeRange> {
        self.join(most);
        self.ranges
    }

    fn join(&mut self, most: usize) {
        self.ranges.sort_unstable_by_key(|range| range.start);
        join_within(&mut self.ranges, self.gap_nanos);
        let most = most.max(1);
        if self.ranges.len() > most {
            let between = |pair: &[TimeRange]| distance_nanos(pair[0], pair[1]);
            let mut gaps: Vec<u64> = self.ranges.windows(2).map(between).collect();
            gaps.sort_unstable();
            let widest_closed = gaps[self.ranges.len() - most - 1];
            join_within(&mut self.ranges, widest_closed);
        }
    }
}

/// Joins neighbours that are at most this far from each other. They ascend by start.
fn join_within(ranges: &mut Vec<TimeRange>, gap_nanos: u64) {
    ranges.dedup_by(|next, before| {
        let joins = distance_nanos(*before, *next) <= gap_nanos;
        if joins {
            *before = before.union(*next);
        }
        joins
    });
}

/// From the end of the earlier one to the start of the later one; 0 where they overlap.
fn distance_nanos(a: TimeRange, b: TimeRange) -> u64 {
    let later = a.start.max(b.start);
    later.0.saturating_sub(a.end.min(b.end).0)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rdl_model::Nanos;

    use super::*;
    use crate::generator::config;

    fn range(start: u64, end: u64) -> TimeRange {
        TimeRange { start: Nanos(start), end: Nanos(end) }
    }

    fn joined(ranges: &[TimeRange], gap_nanos: u64, most: usize) -> Vec<TimeRange> {
        let mut joined = JoinedRanges::new(gap_nanos);
        ranges.iter().for_each(|range| joined.add(*range));
        joined.list(most)
    }

    /// Every time by itself: the runs of those that a range has, with gaps up to this filled.
    fn by_each_time(ranges: &[TimeRange], gap_nanos: u64) -> Vec<TimeRange> {
        let mut has =
            vec![false; 1 + ranges.iter().map(|range| range.end.0).max().unwrap_or(0) as usize];
        for range in ranges {
            has[range.start.0 as usize..=range.end.0 as usize].fill(true);
        }
        let mut runs: Vec<TimeRange> = Vec::new();
        for (time, _) in has.iter().enumerate().filter(|(_, has)| **has) {
            let time = time as u64;
            match runs.last_mut() {
                Some(run) if time - run.end.0 <= gap_nanos.max(1) => run.end = Nanos(time),
                _ => runs.push(range(time, time)),
            }
        }
        runs
    }

    #[test]
    fn equal_gaps_go_together() {
        let every = |step: u64| (0..100).map(|i| range(i * step, i * step)).collect::<Vec<_>>();
        assert_eq!(joined(&every(10), 9, 100).len(), 100);
        assert_eq!(joined(&every(10), 9, 99), [range(0, 990)]);
        assert_eq!(joined(&every(10), 10, 100), [range(0, 990)]);
        assert_eq!(joined(&[range(0, 4), range(5, 5)], 0, 9), [range(0, 5)]);
        let ends = [TimeRange::ALL, range(u64::MAX, u64::MAX), range(0, 0)];
        assert_eq!(joined(&ends, u64::MAX, 9), [TimeRange::ALL]);
        assert!(joined(&[], 1, 1).is_empty());
    }

    proptest! {
        #![proptest_config(config(200))]

        #[test]
        fn they_cover_what_was_added_and_the_widest_gaps_survive(
            starts in vec((0_u64..20_000, 0_u64..60), 0..3000),
            sparse in 1_usize..60,
            gap in 40_u64..400,
            most in 1_usize..70,
            turned in any::<bool>(),
        ) {
            let mut ranges: Vec<TimeRange> =
                starts.iter().step_by(sparse).map(|(start, len)| range(*start, start + len)).collect();
            let all = by_each_time(&ranges, gap);
            prop_assert_eq!(joined(&ranges, gap, usize::MAX), &*all);
            let mut widened = JoinedRanges::new(gap / 2);
            ranges.iter().for_each(|range| widened.add(*range));
            widened.widen_gap(gap);
            prop_assert_eq!(widened.list(usize::MAX), &*all);
            if turned {
                ranges.sort_by_key(|range| range.end);
            } else {
                ranges.reverse();
            }
            let few = joined(&ranges, gap, most);
            prop_assert!(few.len() <= most);
            // Ascending, disjoint, and made of whole ones: every end is an end of one of `all`.
            let mut left = &all[..];
            let (mut open, mut closed) = (u64::MAX, 0);
            for (at, one) in few.iter().enumerate() {
                let inside = left.iter().take_while(|inner| one.covers(**inner)).count();
                prop_assert!(inside > 0);
                let (inner, rest) = left.split_at(inside);
                prop_assert_eq!(*one, range(inner[0].start.0, inner[inside - 1].end.0));
                for pair in inner.windows(2) {
                    closed = closed.max(distance_nanos(pair[0], pair[1]));
                }
                if at > 0 {
                    open = open.min(distance_nanos(few[at - 1], *one));
                }
                left = rest;
            }
            prop_assert!(left.is_empty());
            prop_assert!(closed < open);
        }
    }
}
