use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_model::{ByteRange, Problem, TimeRange};
use serde::{Deserialize, Serialize};

use crate::{AttachmentHead, ChannelRecord, ChunkDescriptor, MetadataRecord};

/// Where bytes lie in a stored source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The ordinal of the part, from 1.
    pub part: u32,
    /// The bytes within the part.
    pub range: ByteRange,
}

/// A stored chunk: what is known of it and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedChunk {
    /// What is known of it.
    pub descriptor: Arc<ChunkDescriptor>,
    /// The chunk record and the message index records after it.
    pub position: Position,
}

/// A stored attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedAttachment {
    /// What it is besides its content.
    #[serde(flatten)]
    pub head: AttachmentHead,
    /// The CRC-32 of its content.
    pub crc: u32,
    /// The whole attachment record.
    pub position: Position,
}

/// What is known of a stored source. Grows while the source loads; entries never change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// The profile in its header, such as `ros2`; empty when it has none.
    pub profile: String,
    /// Its channels, by id.
    pub channels: BTreeMap<u16, Arc<ChannelRecord>>,
    /// Its chunks, in the original order of their messages.
    pub chunks: Vec<IndexedChunk>,
    /// Its metadata records.
    pub metadata: Vec<MetadataRecord>,
    /// Its attachments.
    pub attachments: Vec<IndexedAttachment>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl Index {
    /// How many messages its chunks hold.
    pub fn message_count(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.descriptor.message_count).sum()
    }

    /// Every channel that a chunk uses or records, by id.
    pub fn channels_of(&self, descriptor: &ChunkDescriptor) -> Vec<Arc<ChannelRecord>> {
        let ids = descriptor.channel_ids();
        ids.iter().filter_map(|id| self.channels.get(id).cloned()).collect()
    }

    /// How many bytes its chunks take.
    pub fn stored_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.descriptor.stored_bytes()).sum()
    }

    /// The least and the greatest log time; `None` without messages.
    pub fn times(&self) -> Option<TimeRange> {
        self.chunks.iter().map(|chunk| chunk.descriptor.times).reduce(TimeRange::union)
    }
}
