//! The MCAP of a streamed source, written without I/O: messages in, pieces out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdl_mcap_io::{ChannelRecord, ChunkBuilder, MessageView, PartWriter};

use crate::{AttachmentRecord, Channel, ChannelSet, Compression, MetadataRecord, Nanos, TimeRange};

/// What the header of a body names as the library that wrote it.
const LIBRARY: &str = "remote-data-loader-backend";

/// The loader keeps a chunk as it came up to this size, and cuts larger ones.
const MAX_KEPT_CHUNK_BYTES: usize = 8 << 20;

/// What a message takes in a chunk beside its data: opcode, length, channel, sequence, two times.
const MESSAGE_BYTES: usize = 1 + 8 + 2 + 4 + 8 + 8;

/// How a body is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyOptions {
    /// How chunks are compressed. lz4 costs little; `None` suits data that is compressed already,
    /// such as images; zstd suits thin networks.
    pub compression: Compression,
    /// A chunk closes at this size, uncompressed, in bytes. Between 256 KiB and 8 MiB the loader
    /// keeps chunks as they come.
    pub chunk_bytes: usize,
    /// A chunk closes before a message that is this much later, in log time, than its first one.
    pub chunk_duration: Option<Duration>,
    /// The times that the manifest declares; messages outside are refused.
    pub times: TimeRange,
    /// Longer messages are refused; the loader takes 64 MiB unless it is told otherwise.
    pub max_message_bytes: usize,
    /// The profile in the MCAP header: `ros2`, `ros1`, or empty.
    pub profile: String,
}

impl Default for BodyOptions {
    /// lz4, chunks of 1 MiB whatever their duration, any time, messages up to 64 MiB, no profile.
    fn default() -> BodyOptions {
        BodyOptions {
            compression: Compression::Lz4,
            chunk_bytes: 1 << 20,
            chunk_duration: None,
            times: TimeRange::ALL,
            max_message_bytes: 64 << 20,
            profile: String::new(),
        }
    }
}

/// A message that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// When it was logged: what everything is ordered by.
    pub log_time: Nanos,
    /// When it was published.
    pub publish_time: Nanos,
    /// Its sequence number; 0 where there is none.
    pub sequence: u32,
    /// Its content, in the encoding of its channel.
    pub data: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message that was logged and published at one time, without a sequence number.
    pub fn at(log_time: Nanos, data: &'a [u8]) -> Message<'a> {
        Message { log_time, publish_time: log_time, sequence: 0, data }
    }
}

/// Why a body cannot go on. After any of them it cannot be finished either: whoever sends it
/// aborts the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A message is earlier than the one before it.
    #[error(
        "a message of {topic} at {log_time} comes after one at {last}: \
         a body is in ascending log time over all its channels, so sort before writing"
    )]
    OutOfOrder {
        /// The message's topic.
        topic: String,
        /// The message's log time.
        log_time: Nanos,
        /// The log time of the message before it.
        last: Nanos,
    },
    /// A message lies outside the times that the body declares.
    #[error(
        "a message of {topic} at {log_time} lies outside the declared times, {} to {}",
        times.start, times.end
    )]
    OutsideTimes {
        /// The message's topic.
        topic: String,
        /// The message's log time.
        log_time: Nanos,
        /// What is declared.
        times: TimeRange,
    },
    /// A message of a channel that the set does not declare.
    #[error("the channel {0} is not one of this body's channel set: declare it there")]
    UnknownChannel(u16),
    /// Something is longer than its limit.
    #[error("{what} of {bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// What it is.
        what: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// A message could not be encoded.
    #[error("a message of {topic} cannot be encoded: {why}")]
    Encoding {
        /// The message's topic.
        topic: String,
        /// What its encoder says.
        why: String,
    },
    /// A chunk could not be compressed.
    #[error("a chunk cannot be compressed: {0}")]
    Compression(String),
    /// The body was finished, or failed before.
    #[error("the body {0}; nothing can be added to it")]
    Ended(&'static str),
}

impl WriteError {
    /// Its name, the same in every language of the kit: `out-of-order`, `outside-times`,
    /// `unknown-channel`, `too-large`, `encoding`, `compression` or `ended`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutOfOrder { .. } => "out-of-order",
            Self::OutsideTimes { .. } => "outside-times",
            Self::UnknownChannel(_) => "unknown-channel",
            Self::TooLarge { .. } => "too-large",
            Self::Encoding { .. } => "encoding",
            Self::Compression(_) => "compression",
            Self::Ended(_) => "ended",
        }
    }
}

/// Writes the body of a streamed source.
///
/// Messages come in ascending log time; messages of one time stay in the order in which they
/// came. [`BodyWriter::take`] hands out what is ready, which is to be sent in order. Memory is one
/// chunk, what was not taken, and some 100 bytes for each chunk written (the summary at the end).
///
/// A chunk has the loader's canonical ids and a message index; the body ends with a summary, so that
/// it makes a good file too. The same calls give the same bytes, whenever and wherever.
pub struct BodyWriter {
    options: BodyOptions,
    /// Ascending by id.
    channels: Vec<Arc<ChannelRecord>>,
    /// The place in `channels` of the channel that was written last.
    recent: usize,
    chunk: ChunkBuilder,
    file: PartWriter,
    last: Nanos,
    /// Where `write_with` has messages encoded.
    scratch: Vec<u8>,
    ended: Option<&'static str>,
}

impl BodyWriter {
    /// A body of these channels; its header can be taken.
    pub fn new(channels: &ChannelSet, options: BodyOptions) -> BodyWriter {
        BodyWriter {
            channels: channels.by_id(),
            recent: 0,
            chunk: ChunkBuilder::new(options.compression),
            file: PartWriter::by_library(&options.profile, LIBRARY),
            last: Nanos::MIN,
            scratch: Vec::new(),
            ended: None,
            options,
        }
    }

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the body has failed then.
    pub fn write(&mut self, channel: Channel, message: Message<'_>) -> Result<(), WriteError> {
        let admitted = self.admit(channel, message.log_time, message.data.len());
        let written = admitted.and_then(|()| {
            self.chunk.message(
                channel.0,
                &MessageView {
                    channel: channel.0,
                    sequence: message.sequence,
                    log_time: message.log_time,
                    publish_time: message.publish_time,
                    data: message.data,
                },
            );
            if self.chunk.uncompressed_bytes() >= self.options.chunk_bytes {
                return self.close_chunk();
            }
            Ok(())
        });
        self.failing(written)
    }

    /// Adds a message that `encode` appends to an empty buffer, which is used again and again.
    ///
    /// ```
    /// # use remote_data_loader_backend::*;
    /// # let mut channels = ChannelSet::new();
    /// # let counter = channels.add("/counter", MessageType::schemaless_json()).unwrap();
    /// # let mut body = BodyWriter::new(&channels, BodyOptions::default());
    /// let value = serde_json::json!({ "count": 1 });
    /// body.write_with(counter, Nanos(7), |buffer| serde_json::to_writer(buffer, &value))?;
    /// # Ok::<_, WriteError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError`], also where `encode` fails; the body has failed then.
    pub fn write_with<E: std::fmt::Display>(
        &mut self,
        channel: Channel,
        log_time: Nanos,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), WriteError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let written = match encode(&mut scratch) {
            Ok(()) => self.write(channel, Message::at(log_time, &scratch)),
            Err(error) => {
                let why = error.to_string();
                self.failing(Err(WriteError::Encoding { topic: self.topic_of(channel), why }))
            }
        };
        self.scratch = scratch;
        written
    }

    /// Writes a metadata record, behind the messages so far.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the body has failed then.
    pub fn metadata(&mut self, metadata: &MetadataRecord) -> Result<(), WriteError> {
        let bytes = metadata.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let checked = self.check_length("a metadata record", bytes);
        let written = checked.and_then(|()| self.close_chunk());
        let written = written.map(|()| self.file.metadata(metadata));
        self.failing(written)
    }

    /// Writes an attachment, behind the messages so far.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the body has failed then.
    pub fn attachment(&mut self, attachment: &AttachmentRecord) -> Result<(), WriteError> {
        let checked = self.check_length("an attachment", attachment.data.len());
        let written = checked.and_then(|()| self.close_chunk());
        let written = written.map(|()| {
            self.file.attachment(attachment);
        });
        self.failing(written)
    }

    /// Closes the open chunk, so that [`BodyWriter::take`] gives all that was written: before a
    /// query that takes long, say. Small chunks cost the loader work.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the body has failed then.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let closed = self.close_chunk();
        self.failing(closed)
    }

    /// Makes sure that the body cannot be finished: something that belongs to it is missing.
    pub fn fail(&mut self) {
        self.ended.get_or_insert(FAILED);
    }

    /// Writes the end: the body is complete once everything is taken and sent. A second call does
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`WriteError`], also where something failed before: the body lacks something, and is to be
    /// aborted.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        if self.ended == Some(FINISHED) {
            return Ok(());
        }
        let closed = self.close_chunk();
        self.failing(closed)?;
        self.file.finish();
        self.ended = Some(FINISHED);
        Ok(())
    }

    /// What is ready to be sent and was not taken yet, in order. Nothing is copied.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.file.take_output()
    }

    /// Whether [`BodyWriter::take`] has something; the header counts.
    pub fn is_ready(&self) -> bool {
        self.file.pending_bytes() > 0
    }

    /// Whether a message of this length at this time would close a chunk. To compress one takes
    /// about a millisecond: too long for a thread that others wait for.
    pub fn closes_chunk(&self, log_time: Nanos, data_bytes: usize) -> bool {
        let after = self.chunk.uncompressed_bytes() + MESSAGE_BYTES + data_bytes;
        after >= self.options.chunk_bytes || self.closes_before(log_time, data_bytes)
    }

    /// Whether [`BodyWriter::finish`] has succeeded.
    pub fn is_finished(&self) -> bool {
        self.ended == Some(FINISHED)
    }

    /// The log time of the newest message; the least time there is, without any.
    pub fn last_time(&self) -> Nanos {
        self.last
    }

    /// What is true of a message that may be added next, whose room is made.
    fn admit(
        &mut self,
        channel: Channel,
        log_time: Nanos,
        data_bytes: usize,
    ) -> Result<(), WriteError> {
        self.check_open()?;
        if self.channels.get(self.recent).is_none_or(|recent| recent.id != channel.0) {
            self.recent = self
                .channels
                .binary_search_by_key(&channel.0, |known| known.id)
                .map_err(|_| WriteError::UnknownChannel(channel.0))?;
        }
        if log_time < self.last {
            let topic = self.topic_of(channel);
            return Err(WriteError::OutOfOrder { topic, log_time, last: self.last });
        }
        let times = self.options.times;
        if !times.contains(log_time) {
            return Err(WriteError::OutsideTimes {
                topic: self.topic_of(channel),
                log_time,
                times,
            });
        }
        if data_bytes > self.options.max_message_bytes {
            let topic = self.topic_of(channel);
            self.check_length(&format!("a message of {topic}"), data_bytes)?;
        }
        if self.closes_before(log_time, data_bytes) {
            self.close_chunk()?;
        }
        self.last = log_time;
        Ok(())
    }

    /// Whether the open chunk has to be closed before this message.
    fn closes_before(&self, log_time: Nanos, data_bytes: usize) -> bool {
        let Some(open) = self.chunk.times() else { return false };
        let too_large = self.chunk.uncompressed_bytes() + data_bytes > MAX_KEPT_CHUNK_BYTES;
        let duration = self.options.chunk_duration;
        too_large || duration.is_some_and(|most| log_time >= open.start.saturating_add(most))
    }

    fn check_open(&self) -> Result<(), WriteError> {
        self.ended.map_or(Ok(()), |how| Err(WriteError::Ended(how)))
    }

    fn check_length(&self, what: &str, bytes: usize) -> Result<(), WriteError> {
        let limit_bytes = self.options.max_message_bytes;
        if bytes > limit_bytes {
            return Err(WriteError::TooLarge { what: what.to_owned(), bytes, limit_bytes });
        }
        Ok(())
    }

    fn close_chunk(&mut self) -> Result<(), WriteError> {
        self.check_open()?;
        let failed = |error: &dyn std::fmt::Display| WriteError::Compression(error.to_string());
        let Some(chunk) = self.chunk.build().map_err(|error| failed(&error))? else {
            return Ok(());
        };
        let used: Vec<Arc<ChannelRecord>> = chunk
            .descriptor
            .channels
            .iter()
            .filter_map(|used| {
                let at = self.channels.binary_search_by_key(&used.id, |known| known.id).ok()?;
                Some(self.channels[at].clone())
            })
            .collect();
        self.file.chunk(&chunk, &used).map(drop).map_err(|error| failed(&error))
    }

    fn topic_of(&self, channel: Channel) -> String {
        let at = self.channels.binary_search_by_key(&channel.0, |known| known.id);
        at.map_or_else(|_| channel.0.to_string(), |at| self.channels[at].def.topic.clone())
    }

    /// A body that lacks something never ends well.
    fn failing(&mut self, written: Result<(), WriteError>) -> Result<(), WriteError> {
        if written.is_err() {
            self.fail();
        }
        written
    }
}

const FINISHED: &str = "is finished";
const FAILED: &str = "has failed";

#[cfg(test)]
mod tests;
