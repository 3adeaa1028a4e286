use bytes::Bytes;
use rdl_model::{Nanos, Problem};

use crate::walk::ChunkHeader;
use crate::{AttachmentRecord, ChannelDef, MetadataRecord, SchemaDef, SummaryStatistics};

/// Why a body cannot be scanned any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It ended before its footer and end magic.
    #[error("the body ends at byte {position}, before its end magic")]
    Truncated {
        /// How many bytes there were.
        position: u64,
    },
    /// It is not MCAP.
    #[error("{what} at byte {position}")]
    Malformed {
        /// Where the record starts.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// Something in it is over a limit.
    #[error("{what} at byte {position} takes {bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// Where the record starts.
        position: u64,
        /// What is too large.
        what: &'static str,
        /// How large it says it is.
        bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// A chunk is compressed in a way that MCAP does not define.
    #[error("the chunk at byte {position} has compression {name:?}, which is neither lz4 nor zstd")]
    UnknownCompression {
        /// Where the chunk starts.
        position: u64,
        /// What the chunk calls its compression.
        name: String,
    },
}

/// What a scanner meets, in the order of the body.
#[derive(Clone, Debug, PartialEq)]
pub enum ScanEvent {
    /// The header; always first.
    Header {
        /// The profile, such as `ros2`; empty when there is none.
        profile: String,
        /// What wrote the file.
        library: String,
    },
    /// A schema outside chunks.
    Schema {
        /// Its id.
        id: u16,
        /// What it is.
        def: SchemaDef,
    },
    /// A channel outside chunks.
    Channel {
        /// Its id.
        id: u16,
        /// The id of its schema; 0 when it has none.
        schema_id: u16,
        /// What it is; its schema is not looked up, and `None`.
        def: ChannelDef,
    },
    /// A message outside chunks.
    Message(ScannedMessage),
    /// A chunk whose checksum is right.
    Chunk(ScannedChunk),
    /// A part of a chunk or message that is too large for memory, as it arrived.
    Part(RecordPart),
    /// A record that belongs to the data and cannot be read.
    LeftOut {
        /// What is wrong with it.
        problem: Problem,
        /// The whole record.
        record: Bytes,
    },
    /// A metadata record.
    Metadata(MetadataRecord),
    /// An attachment.
    Attachment(AttachmentRecord),
    /// An attachment that is left out; the problem follows.
    AttachmentLeftOut,
    /// What the summary says of the whole file.
    Statistics(SummaryStatistics),
    /// Something is wrong that leaves out no message.
    Problem(Problem),
    /// The end magic was met.
    End,
}

/// A message outside chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedMessage {
    /// The id of its channel.
    pub channel: u16,
    /// Its sequence number.
    pub sequence: u32,
    /// When it was logged.
    pub log_time: Nanos,
    /// When it was published.
    pub publish_time: Nanos,
    /// Its content.
    pub data: Bytes,
}

/// A chunk that was decompressed and whose checksum, if it has one, is right. Its records were not
/// looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedChunk {
    /// The how manieth chunk of the body it is, from 1.
    pub ordinal: u64,
    /// Where it starts in the body, in bytes.
    pub position: u64,
    /// The whole record.
    pub record: Bytes,
    /// Its records, decompressed.
    pub records: Bytes,
    pub(crate) header: ChunkHeader,
}

/// Some bytes of a large record. They come in order, and however the body was split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPart {
    /// The how manieth chunk of the body it is, from 1; `None` when it is a message.
    pub chunk: Option<u64>,
    /// Where the record starts in the body, in bytes.
    pub position: u64,
    /// How long the record is, with opcode and length.
    pub record_bytes: u64,
    /// Where the bytes lie in it.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

impl RecordPart {
    /// Whether it is the last one.
    pub fn is_last(&self) -> bool {
        self.offset + self.bytes.len() as u64 == self.record_bytes
    }
}
