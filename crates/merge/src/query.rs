//! What a response is to hold. Pure data; the routes fill it in, the merge and the lookback read it.

use std::collections::BTreeSet;
use std::time::Duration;

use rdl_mcap_io::{ChannelDef, Compression};
use rdl_model::{Nanos, TimeRange};

/// What is sent of the time before (or instead of) the range that a query names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplayPolicy {
    /// Nothing.
    #[default]
    None,
    /// First the newest message of each channel before the start.
    LastPerChannel,
    /// Only the newest message of each channel within the range, and nothing else.
    LastPerChannelInRange,
}

/// What a response is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// The topics; every topic when absent.
    pub topics: Option<BTreeSet<String>>,
    /// The log times, both ends included.
    pub times: TimeRange,
    /// Whether a start was asked for; without one there is nothing before it to look back to.
    pub has_start: bool,
    /// What is sent besides the range.
    pub replay: ReplayPolicy,
    /// How far before the start sources may lie that are loaded only to look back.
    pub lookback: Duration,
    /// The compressions that the client can read; any when absent.
    pub accepts: Option<Vec<Compression>>,
    /// Whether a source that failed for good is left out instead of failing the response.
    pub partial: bool,
    /// Whether attachments are sent too.
    pub attachments: bool,
}

/// Everything, in any compression, without a lookback.
impl Default for Query {
    fn default() -> Self {
        Query {
            topics: None,
            times: TimeRange::ALL,
            has_start: false,
            replay: ReplayPolicy::None,
            lookback: Duration::from_secs(1800),
            accepts: None,
            partial: false,
            attachments: false,
        }
    }
}

impl Query {
    /// Whether the messages of this channel are wanted.
    pub fn wants(&self, def: &ChannelDef) -> bool {
        self.wants_topic(&def.topic)
    }

    /// Whether the messages of this topic are wanted.
    pub fn wants_topic(&self, topic: &str) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    /// Whether a chunk may be sent in this compression.
    pub fn accepts_compression(&self, compression: Compression) -> bool {
        self.accepts.as_ref().is_none_or(|accepted| accepted.contains(&compression))
    }

    /// The times whose messages are merged; `None` when there are none to merge.
    pub fn merged_times(&self) -> Option<TimeRange> {
        let whole = self.replay != ReplayPolicy::LastPerChannelInRange;
        (whole && self.times.start <= self.times.end).then_some(self.times)
    }

    /// The times in which the newest message of each channel is looked for; `None` when none is.
    pub fn lookback_times(&self) -> Option<TimeRange> {
        match self.replay {
            ReplayPolicy::None => None,
            ReplayPolicy::LastPerChannel => {
                let last = self.times.start.0.checked_sub(1)?;
                self.has_start.then_some(TimeRange { start: Nanos::MIN, end: Nanos(last) })
            }
            ReplayPolicy::LastPerChannelInRange => {
                (self.times.start <= self.times.end).then_some(self.times)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(start: u64, end: u64, has_start: bool, replay: ReplayPolicy) -> Query {
        let times = TimeRange { start: Nanos(start), end: Nanos(end) };
        Query { times, has_start, replay, ..Query::default() }
    }

    #[test]
    fn a_lookback_ends_just_before_the_start() {
        let times = query(5, 9, true, ReplayPolicy::LastPerChannel).lookback_times().unwrap();
        assert_eq!((times.start.0, times.end.0), (0, 4));
    }

    #[test]
    fn nothing_lies_before_an_absent_start_or_time_zero() {
        assert_eq!(query(5, 9, false, ReplayPolicy::LastPerChannel).lookback_times(), None);
        assert_eq!(query(0, 9, true, ReplayPolicy::LastPerChannel).lookback_times(), None);
        assert_eq!(query(5, 9, true, ReplayPolicy::None).lookback_times(), None);
    }

    #[test]
    fn the_newest_in_range_replaces_the_range() {
        let query = query(5, 9, true, ReplayPolicy::LastPerChannelInRange);
        assert_eq!(query.lookback_times(), Some(query.times));
        assert_eq!(query.merged_times(), None);
    }
}
