//! Generated recordings: what each source holds, and what merging all of it must give.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::Message;
use crate::random::Random;

/// A schema, less its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Schema {
    /// `sensor_msgs/msg/Image`, …
    pub name: String,
    /// `protobuf`, `jsonschema`, …
    pub encoding: String,
    /// The schema itself.
    pub data: Vec<u8>,
}

/// A channel, less its ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// `/imu`, …
    pub topic: String,
    /// None: the channel's schema id is 0.
    pub schema: Option<Schema>,
    /// `protobuf`, `json`, …
    pub message_encoding: String,
    /// The channel's metadata.
    pub metadata: BTreeMap<String, String>,
}

impl Channel {
    /// A JSON channel with a schema.
    pub fn json(topic: &str) -> Channel {
        Channel {
            topic: topic.to_owned(),
            schema: Some(Schema {
                name: format!("test{}", topic.replace('/', ".")),
                encoding: "jsonschema".to_owned(),
                data: br#"{"type":"object"}"#.to_vec(),
            }),
            message_encoding: "json".to_owned(),
            metadata: BTreeMap::new(),
        }
    }
}

/// Sources and their messages, each in ascending log time.
#[derive(Clone, Debug)]
pub struct Recording {
    /// In the order of the manifest.
    pub sources: Vec<Vec<Message>>,
}

impl Recording {
    /// Everything in ascending log time; ties by source, then by the order within the source.
    pub fn merged(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.sources.concat();
        messages.sort_by_key(|message| message.log_time);
        messages
    }

    /// [`merged`](Self::merged), less what a query leaves out. Both ends are in it.
    pub fn selected(&self, topics: &[&str], from: u64, to: u64) -> Vec<Message> {
        let wanted = |message: &Message| {
            (topics.is_empty() || topics.contains(&message.channel.topic.as_str()))
                && (from..=to).contains(&message.log_time)
        };
        self.merged().into_iter().filter(wanted).collect()
    }
}

/// How to generate a [`Recording`].
#[derive(Clone, Debug)]
pub struct Drive {
    /// What is random follows from it.
    pub seed: u64,
    /// Log time of the first messages, in nanoseconds.
    pub start_nanos: u64,
    /// From the first message to the last, in nanoseconds.
    pub duration_nanos: u64,
    /// Windows of time, one after the other; each has every group of topics.
    pub windows: usize,
    /// Groups of topics that lie in sources of their own.
    pub groups: usize,
    /// In each group. Odd topics have no schema.
    pub topics: usize,
    /// In each source.
    pub messages: usize,
    /// The most that a message holds; the least is half of it.
    pub payload_bytes: usize,
    /// Times are rounded down to it: a big one makes many messages of one time.
    pub tick_nanos: u64,
}

impl Default for Drive {
    fn default() -> Self {
        Drive {
            seed: 1,
            start_nanos: 1_700_000_000_000_000_000,
            duration_nanos: 20_000_000_000,
            windows: 2,
            groups: 2,
            topics: 2,
            messages: 200,
            payload_bytes: 200,
            tick_nanos: 50_000_000,
        }
    }
}

impl Drive {
    /// The recording: the sources of the first window, then those of the next.
    pub fn generate(&self) -> Recording {
        let mut random = Random::new(self.seed);
        let window = self.duration_nanos / self.windows.max(1) as u64;
        let mut sources = Vec::new();
        for number in 0..self.windows as u64 {
            for group in 0..self.groups {
                let from = self.start_nanos + number * window;
                sources.push(self.source(&mut random, group, from, window));
            }
        }
        Recording { sources }
    }

    fn source(
        &self,
        random: &mut Random,
        group: usize,
        from: u64,
        window_nanos: u64,
    ) -> Vec<Message> {
        let channels: Vec<Arc<Channel>> =
            (0..self.topics).map(|topic| Arc::new(channel(group, topic))).collect();
        let mut times: Vec<u64> = (0..self.messages)
            .map(|_| {
                let after = random.below(window_nanos);
                from + after - after.checked_rem(self.tick_nanos).unwrap_or(0)
            })
            .collect();
        times.sort_unstable();
        let message = |(sequence, log_time): (usize, u64)| {
            let channel = &channels[random.below(channels.len() as u64) as usize];
            let least = self.payload_bytes / 2;
            let length = least + random.below((self.payload_bytes - least + 1) as u64) as usize;
            Message {
                channel: Arc::clone(channel),
                log_time,
                publish_time: log_time.saturating_sub(random.below(1_000_000)),
                sequence: sequence as u32,
                data: random.bytes(length),
            }
        };
        times.into_iter().enumerate().map(message).collect()
    }
}

fn channel(group: usize, topic: usize) -> Channel {
    let mut channel = Channel::json(&format!("/group{group}/topic{topic}"));
    if topic % 2 == 1 {
        channel.schema = None;
        channel.metadata.insert("rate".to_owned(), topic.to_string());
    }
    channel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_recording() {
        let drive = Drive::default();
        assert_eq!(drive.generate().sources, drive.generate().sources);
        let other = Drive { seed: 2, ..drive.clone() };
        assert_ne!(drive.generate().sources, other.generate().sources);
        assert_eq!(drive.generate().sources.len(), 4);
    }

    #[test]
    fn ties_go_by_source() {
        let drive = Drive { windows: 1, tick_nanos: 10_000_000_000, ..Drive::default() };
        let recording = drive.generate();
        let merged = recording.merged();
        assert_eq!(merged.len(), 400);
        let first: Vec<&Message> =
            merged.iter().take_while(|message| message.log_time == drive.start_nanos).collect();
        let turn = first.iter().position(|m| m.channel.topic.starts_with("/group1")).unwrap();
        assert!(turn > 10, "many messages have one time");
        assert!(first[turn..].iter().all(|m| m.channel.topic.starts_with("/group1")));
    }

    #[test]
    fn a_selection_has_both_ends() {
        let recording = Drive::default().generate();
        let all = recording.merged();
        let (first, last) = (all[0].log_time, all[all.len() - 1].log_time);
        assert_eq!(recording.selected(&[], first, last), all);
        let topics = ["/group1/topic0"];
        let selected = recording.selected(&topics, first, last - 1);
        assert!(!selected.is_empty());
        assert!(selected.iter().all(|m| m.channel.topic == topics[0] && m.log_time < last));
    }
}
