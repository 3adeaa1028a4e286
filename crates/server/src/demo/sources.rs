//! The sources of the drive, and the MCAP of each, written while it is sent.
//!
//! A source is a group of topics and a window of time. Its messages are functions of time, so
//! that a source is the same bytes whenever it is asked for, and nothing is kept between requests.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mcap::records::MessageHeader;
use mcap::write::NoSeek;
use mcap::{Compression, McapError, WriteOptions, Writer};

use super::drive::{DURATION_NANOS, START_NANOS};
use super::topics::{Group, Moment, TOPICS, Topic};

const WINDOW_NANOS: u64 = 10_000_000_000;
const STREAMED_CHUNK_BYTES: u64 = 1 << 20;
/// Small, so that a few seconds of pictures can be fetched alone.
const CAMERA_CHUNK_BYTES: u64 = 128 << 10;

/// A group of topics within a window of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Unique in the backend, and part of the URL.
    pub(super) id: String,
    group: Group,
    /// Nanoseconds since the Unix epoch; the end is not in it.
    pub(super) window: Range<u64>,
}

/// The sources that are read once, in order: windows of the moving groups, and what is latched.
pub(super) fn streamed() -> Vec<Source> {
    let end = START_NANOS + DURATION_NANOS;
    let mut sources = vec![Source {
        id: "demo-drive-latched".to_owned(),
        group: Group::Latched,
        window: START_NANOS..START_NANOS + 1,
    }];
    for (group, name) in [(Group::Sensors, "sensors"), (Group::Lidar, "lidar")] {
        for (number, from) in (START_NANOS..end).step_by(WINDOW_NANOS as usize).enumerate() {
            let window = from..(from + WINDOW_NANOS).min(end);
            sources.push(Source { id: format!("demo-drive-{name}-{number}"), group, window });
        }
    }
    sources
}

/// The source that supports range requests.
pub(super) fn camera() -> Source {
    Source {
        id: "demo-drive-camera".to_owned(),
        group: Group::Camera,
        window: START_NANOS..START_NANOS + DURATION_NANOS,
    }
}

impl Source {
    /// The topics in it.
    pub(super) fn topics(&self) -> impl Iterator<Item = &'static Topic> {
        TOPICS.iter().filter(|topic| topic.group == self.group)
    }

    /// The MCAP, piece by piece.
    ///
    /// # Errors
    ///
    /// Only if the writer refuses the drive's own messages.
    pub(super) fn mcap(&self) -> Result<Pieces, McapError> {
        Pieces::new(self)
    }
}

/// An MCAP file that is written as it is asked for: about a chunk an item.
pub(super) struct Pieces {
    written: Written,
    writer: Option<Writer<NoSeek<Written>>>,
    /// What is left to write, in order of log time: the channel and its topic.
    messages: std::vec::IntoIter<(u16, &'static Topic, Moment)>,
}

impl Pieces {
    fn new(source: &Source) -> Result<Pieces, McapError> {
        let written = Written::default();
        let (chunk_bytes, compression) = match source.group {
            // Pictures are compressed already.
            Group::Camera => (CAMERA_CHUNK_BYTES, None),
            _ => (STREAMED_CHUNK_BYTES, Some(Compression::Lz4)),
        };
        let mut writer = WriteOptions::new()
            .library("remote-data-loader demo")
            .compression(compression)
            .chunk_size(Some(chunk_bytes))
            .disable_seeking(true)
            .create(NoSeek::new(written.clone()))?;
        let mut messages = Vec::new();
        for topic in source.topics() {
            let schema = match (topic.schema)() {
                Some(schema) => writer.add_schema(&schema.name, &schema.encoding, &schema.data)?,
                None => 0,
            };
            let channel =
                writer.add_channel(schema, topic.name, topic.encoding, &latched_metadata(topic))?;
            let moments = topic.moments(source.window.start, source.window.end);
            messages.extend(moments.map(|moment| (channel, topic, moment)));
        }
        messages.sort_by_key(|(_, _, moment)| moment.log_time);
        Ok(Pieces { written, writer: Some(writer), messages: messages.into_iter() })
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, McapError> {
        let Some(writer) = &mut self.writer else { return Ok(None) };
        for (channel_id, topic, moment) in self.messages.by_ref() {
            let header = MessageHeader {
                channel_id,
                sequence: moment.number,
                log_time: moment.log_time,
                publish_time: moment.log_time,
            };
            writer.write_to_known_channel(&header, &(topic.payload)(moment))?;
            let bytes = self.written.take();
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        writer.finish()?;
        self.writer = None;
        Ok(Some(self.written.take()))
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_piece().map_err(io::Error::other).transpose()
    }
}

/// ROS's way to say that late subscribers get the last message.
fn latched_metadata(topic: &Topic) -> BTreeMap<String, String> {
    match topic.group {
        Group::Latched => {
            [("offered_qos_profiles".to_owned(), "- durability: transient_local".to_owned())].into()
        }
        _ => BTreeMap::new(),
    }
}

/// What the writer has written and nobody has taken.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(source: &Source) -> Vec<u8> {
        source.mcap().unwrap().flat_map(|piece| piece.unwrap()).collect()
    }

    #[test]
    fn every_message_of_the_drive_is_in_exactly_one_source() {
        let mut counts = BTreeMap::<String, u64>::new();
        for source in streamed().iter().chain([&camera()]) {
            let mcap = bytes(source);
            let mut newest = 0;
            for message in mcap::MessageStream::new(&mcap).unwrap() {
                let message = message.unwrap();
                assert!(source.window.contains(&message.log_time), "{}", source.id);
                assert!(newest <= message.log_time, "{} is in order", source.id);
                newest = message.log_time;
                let count = counts.entry(message.channel.topic.clone()).or_default();
                assert_eq!(u64::from(message.sequence), *count, "{}", message.channel.topic);
                *count += 1;
            }
            assert!(mcap::Summary::read(&mcap).unwrap().unwrap().stats.is_some());
        }
        let expected = TOPICS.iter().map(|topic| {
            let count = topic.period_nanos.map_or(1, |period| DURATION_NANOS / period);
            (topic.name.to_owned(), count)
        });
        assert_eq!(counts, expected.collect());
    }

    #[test]
    fn a_source_is_the_same_bytes_every_time_and_comes_in_pieces() {
        let source = streamed().into_iter().find(|source| source.group == Group::Lidar).unwrap();
        assert_eq!(bytes(&source), bytes(&source));
        assert!(source.mcap().unwrap().count() > 3);
    }
}
