use std::collections::BTreeSet;

use bytes::Bytes;
use rdl_model::{Nanos, TimeRange};
use serde::{Deserialize, Serialize};

/// How the records of a chunk are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// An LZ4 frame.
    Lz4,
    /// A Zstandard frame.
    Zstd,
}

impl Compression {
    /// The name that MCAP writes into a chunk: empty, `lz4` or `zstd`.
    pub fn mcap_name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The reverse of [`Compression::mcap_name`].
    pub fn from_mcap_name(name: &str) -> Option<Compression> {
        [Self::None, Self::Lz4, Self::Zstd].into_iter().find(|known| known.mcap_name() == name)
    }
}

/// What one channel has in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelUse {
    /// The channel's id.
    pub id: u16,
    /// How many messages; at least one.
    pub count: u32,
    /// The least and the greatest log time of its messages.
    pub times: TimeRange,
}

/// All that is known of a chunk, made once, when the chunk was verified.
///
/// Planning, pass-through, lookback and statistics are functions of descriptors alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkDescriptor {
    /// The true least and greatest log time.
    pub times: TimeRange,
    /// Whether its messages are in ascending log time.
    pub in_order: bool,
    /// How many messages; a chunk without any is never kept.
    pub message_count: u64,
    /// The channels that have messages in it, by id.
    pub channels: Vec<ChannelUse>,
    /// The ids of the channel records inside the chunk, ascending.
    pub channel_records: Vec<u16>,
    /// The ids of the schema records inside the chunk, ascending.
    pub schema_records: Vec<u16>,
    /// How its records are compressed.
    pub compression: Compression,
    /// The size of its records, uncompressed, in bytes.
    pub uncompressed_bytes: u64,
    /// The CRC-32 of its records, uncompressed.
    pub crc: u32,
    /// The size of the whole chunk record, opcode and length included, in bytes.
    pub record_bytes: u64,
    /// The size of the message index records that follow it, in bytes.
    pub index_bytes: u64,
}

impl ChunkDescriptor {
    /// The ids of all channels that the chunk uses or records.
    pub fn channel_ids(&self) -> BTreeSet<u16> {
        let used = self.channels.iter().map(|used| used.id);
        used.chain(self.channel_records.iter().copied()).collect()
    }

    /// The size of the chunk record and of its message indexes together, in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.record_bytes + self.index_bytes
    }
}

/// A verified chunk in the form in which it is kept: its Chunk record, followed by its
/// MessageIndex records (one a channel, ascending by id, entries in the order of the messages by
/// time).
#[derive(Clone, Debug)]
pub struct StoredChunk {
    /// What is known of it.
    pub descriptor: ChunkDescriptor,
    /// The Chunk record and its MessageIndex records, `descriptor.stored_bytes()` long.
    pub bytes: Bytes,
}

/// A message as it lies in an open chunk or in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// The id of its channel.
    pub channel: u16,
    /// Its sequence number.
    pub sequence: u32,
    /// When it was logged; the time that everything is ordered by.
    pub log_time: Nanos,
    /// When it was published.
    pub publish_time: Nanos,
    /// Its content.
    pub data: &'a [u8],
}
