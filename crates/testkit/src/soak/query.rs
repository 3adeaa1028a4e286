//! A query that follows from a seed, and what its answer must hold.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::ensure;

use super::library::{Known, Served, Trouble};
use crate::{Channel, Message, Random, check_all, check_beginning};

const SECOND_NANOS: u64 = 1_000_000_000;
/// A lookback that reaches over every recording, in seconds.
const FAR_SECONDS: u64 = 1_800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replay {
    None,
    LastPerChannel { lookback_seconds: u64 },
    LastPerChannelInRange,
}

/// What one viewer asks of one recording.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// All when empty.
    topics: Vec<String>,
    start: Option<u64>,
    end: Option<u64>,
    replay: Replay,
    compression: Option<&'static str>,
    partial: bool,
}

/// What an answer must hold, as far as the query fixes it.
struct Expected<'a> {
    /// The newest message of each channel before the start; `None`: what is found there depends
    /// on what happens to be loaded.
    before: Option<Vec<&'a Message>>,
    /// What comes after it.
    range: Vec<&'a Message>,
}

impl Query {
    pub(super) fn random(random: &mut Random, served: &Served) -> Query {
        let topics = match random.below(3) {
            0 => Vec::new(),
            _ => {
                let mut topics: Vec<String> =
                    served.topics.iter().filter(|_| random.below(2) == 0).cloned().collect();
                // A topic that nobody has is as good as another.
                if topics.is_empty() || random.below(8) == 0 {
                    topics.push("/nowhere".to_owned());
                }
                topics
            }
        };
        let (first, last) = (*served.times.start(), *served.times.end());
        // From a moment to everything, and now and then beyond both ends.
        let length = match random.below(4) {
            0 => random.below(SECOND_NANOS),
            1 => random.below(5 * SECOND_NANOS),
            _ => random.below(last - first + SECOND_NANOS),
        };
        let start = first.saturating_sub(SECOND_NANOS)
            + random.below((last - first + 2 * SECOND_NANOS).saturating_sub(length / 2));
        let replay = match random.below(6) {
            0..=2 => Replay::None,
            3 => Replay::LastPerChannel { lookback_seconds: FAR_SECONDS },
            4 => Replay::LastPerChannel { lookback_seconds: random.below(8) },
            _ => Replay::LastPerChannelInRange,
        };
        let compressions = [None, Some("lz4"), Some("zstd"), Some("none")];
        Query {
            topics,
            start: (random.below(6) > 0).then_some(start),
            end: (random.below(6) > 0).then_some(start + length),
            replay,
            compression: compressions[random.below(4) as usize],
            // How far a source that breaks off is left out depends on how far it was loaded.
            partial: served.trouble != Trouble::Breaks && random.below(4) == 0,
        }
    }

    /// As in a URL.
    pub(super) fn text(&self, recording: &str) -> String {
        let mut text = format!("ds.recording={recording}");
        let mut add = |name: &str, value: &str| text.push_str(&format!("&{name}={value}"));
        for topic in &self.topics {
            add("topics", topic);
        }
        for (name, time) in [("start", self.start), ("end", self.end)] {
            if let Some(time) = time {
                add(name, &time.to_string());
            }
        }
        match self.replay {
            Replay::None => {}
            Replay::LastPerChannel { lookback_seconds } => {
                add("replayPolicy", "lastPerChannel");
                add("replayLookbackSeconds", &lookback_seconds.to_string());
            }
            Replay::LastPerChannelInRange => add("replayPolicy", "lastPerChannelInRange"),
        }
        if let Some(compression) = self.compression {
            add("compression", compression);
        }
        if self.partial {
            add("partial", "true");
        }
        text
    }

    /// Whether the troubled source has to do with the range.
    pub(super) fn meets_trouble(&self, served: &Served) -> bool {
        let times = self.times();
        times.start() <= times.end() && served.files[served.troubled].may_hold(&self.topics, &times)
    }

    /// Whether the troubled source has to do with the range or with what lies before it.
    pub(super) fn may_meet_trouble(&self, served: &Served) -> bool {
        let looks_back = matches!(self.replay, Replay::LastPerChannel { .. });
        let from = if looks_back { 0 } else { *self.times().start() };
        served.files[served.troubled].may_hold(&self.topics, &(from..=*self.times().end()))
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether the range lacks messages that it would have, were no bit flipped.
    pub(super) fn loses(&self, served: &Served) -> bool {
        let times = self.times();
        let newest_only = self.replay == Replay::LastPerChannelInRange;
        let range = if newest_only { self.expected(served).range } else { Vec::new() };
        // What is older than the newest of its channel need not even be looked at.
        let is_newest = |lost: &Message| {
            let mut newer = range.iter().filter(|known| known.log_time > lost.log_time);
            newer.all(|known| known.channel != lost.channel)
        };
        let mut lost = served.lost.iter();
        lost.any(|lost| self.wants(lost) && times.contains(&lost.log_time) && is_newest(lost))
    }

    /// # Errors
    ///
    /// If these messages are not those of a whole answer; the error has the place.
    pub(super) fn check_whole(&self, messages: &[Message], served: &Served) -> anyhow::Result<()> {
        let expected = self.expected(served);
        let rest = self.check_before(messages, served, &expected, true)?;
        check_all(rest, &expected.range)
    }

    /// # Errors
    ///
    /// If these messages are not the first ones of a whole answer; the error has the place.
    pub(super) fn check_begun(&self, messages: &[Message], served: &Served) -> anyhow::Result<()> {
        let expected = self.expected(served);
        let rest = self.check_before(messages, served, &expected, false)?;
        check_beginning(rest, &expected.range)
    }

    fn times(&self) -> RangeInclusive<u64> {
        self.start.unwrap_or(0)..=self.end.unwrap_or(u64::MAX)
    }

    fn wants(&self, message: &Message) -> bool {
        self.topics.is_empty() || self.topics.contains(&message.channel.topic)
    }

    fn expected<'a>(&self, served: &'a Served) -> Expected<'a> {
        let left_out = self.partial && served.trouble == Trouble::Fails;
        let wanted = |known: &&Known| {
            !(left_out && known.source == served.troubled) && self.wants(&known.message)
        };
        let times = self.times();
        let all: Vec<&Message> =
            served.truth.iter().filter(wanted).map(|known| &known.message).collect();
        let from = all.partition_point(|message| message.log_time < *times.start());
        let to = all.partition_point(|message| message.log_time <= *times.end()).max(from);
        let before = match self.replay {
            Replay::LastPerChannel { lookback_seconds } if lookback_seconds < FAR_SECONDS => None,
            Replay::LastPerChannel { .. } => Some(newest(&all[..from])),
            _ => Some(Vec::new()),
        };
        let range = match self.replay {
            Replay::LastPerChannelInRange => newest(&all[from..to]),
            _ => all[from..to].to_vec(),
        };
        Expected { before, range }
    }

    /// Checks what comes before the range; gives the rest.
    fn check_before<'m>(
        &self,
        messages: &'m [Message],
        served: &Served,
        expected: &Expected<'_>,
        is_whole: bool,
    ) -> anyhow::Result<&'m [Message]> {
        let start = *self.times().start();
        let (before, rest) =
            messages.split_at(messages.partition_point(|message| message.log_time < start));
        match &expected.before {
            Some(truth) if is_whole => check_all(before, truth)?,
            Some(truth) => {
                ensure!(rest.is_empty() || before.len() == truth.len(), "the lookback lacks some");
                check_beginning(before, truth)?;
            }
            None => self.check_any_before(before, served)?,
        }
        Ok(rest)
    }

    /// One true message a channel, in order.
    fn check_any_before(&self, before: &[Message], served: &Served) -> anyhow::Result<()> {
        let mut channels: Vec<&Arc<Channel>> = Vec::new();
        let mut truth = served.truth.iter().map(|known| &known.message);
        for message in before {
            let what = format!("{} at {}", message.channel.topic, message.log_time);
            ensure!(self.wants(message), "nobody asked for {what}");
            ensure!(!channels.contains(&&message.channel), "{what}: the second of its channel");
            ensure!(truth.any(|known| known == message), "{what} is out of order, or nowhere");
            channels.push(&message.channel);
        }
        Ok(())
    }
}

/// The last message of each channel, in their order.
fn newest<'a>(messages: &[&'a Message]) -> Vec<&'a Message> {
    let mut last: HashMap<&Channel, usize> = HashMap::new();
    for (at, message) in messages.iter().enumerate() {
        last.insert(&message.channel, at);
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_unstable();
    places.into_iter().map(|at| messages[at]).collect()
}
