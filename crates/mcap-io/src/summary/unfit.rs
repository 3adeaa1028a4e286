use std::fmt;

use super::{EMPTY_INDEX_BYTES, INDEX_ENTRY_BYTES, LEAST_CHUNK_BYTES, Summary, SummaryChunk};
use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};

/// A median chunk smaller than this makes too many requests.
const LEAST_MEDIAN_BYTES: u64 = 64 << 10;
/// A chunk larger than this makes a seek too slow.
const LARGEST_CHUNK_BYTES: u64 = 16 << 20;
/// The least size of a message record.
const LEAST_MESSAGE_BYTES: u64 = (RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES) as u64;
/// What a header record may take where no other record is known to lie.
const HEADER_ROOM_BYTES: u64 = 1 << 10;

/// Why a file with a summary is better loaded like a streamed source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A chunk has no message index, so nobody knows which channels are in it.
    NoMessageIndex {
        /// Where the chunk starts in the file.
        offset: u64,
    },
    /// The message indexes of a chunk do not lie one behind the other after it, so nobody knows how
    /// many messages of which channel are in it.
    ScatteredIndexes {
        /// Where the chunk starts in the file.
        offset: u64,
    },
    /// What the summary says of a chunk cannot be: so many messages do not fit into it, or its record
    /// is longer than what is in it.
    ImpossibleChunk {
        /// Where the chunk starts in the file.
        offset: u64,
    },
    /// Its chunks are too small to be fetched one by one.
    SmallChunks {
        /// The median size, uncompressed.
        median_bytes: u64,
    },
    /// It has a chunk that is too large to be fetched for a few messages.
    LargeChunk {
        /// The chunk's size, uncompressed.
        bytes: u64,
    },
    /// It has no statistics, so nobody can tell whether its summary lists everything.
    NoStatistics,
    /// Its statistics count more records than its summary has indexes for.
    NotIndexed {
        /// What kind of record.
        what: &'static str,
        /// How many there are.
        counted: u64,
        /// How many have an index.
        indexed: u64,
    },
    /// Its data section holds bytes that no index accounts for: messages outside of chunks.
    LooseRecords {
        /// How many bytes.
        bytes: u64,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMessageIndex { offset } => {
                write!(f, "its chunk at byte {offset} has no message index")
            }
            Self::ScatteredIndexes { offset } => {
                write!(f, "the message indexes of its chunk at byte {offset} are scattered")
            }
            Self::ImpossibleChunk { offset } => {
                write!(f, "its chunk at byte {offset} cannot be what the summary says")
            }
            Self::SmallChunks { median_bytes } => {
                write!(f, "its chunks are small, {median_bytes} bytes in the median")
            }
            Self::LargeChunk { bytes } => write!(f, "it has a chunk of {bytes} bytes"),
            Self::NoStatistics => write!(f, "its summary has no statistics to be held against"),
            Self::NotIndexed { what, counted, indexed } => {
                write!(f, "its summary lists {indexed} of {counted} {what}")
            }
            Self::LooseRecords { bytes } => {
                write!(f, "it holds {bytes} bytes outside of chunks")
            }
        }
    }
}

impl Summary {
    /// Why the file is better loaded like a streamed source; `None` when it can be read by ranges.
    pub fn unfit(&self) -> Option<Unfit> {
        self.without_message_index()
            .or_else(|| self.not_indexed())
            .or_else(|| self.loose_records())
            .or_else(|| self.wrong_chunk_sizes())
            .or_else(|| self.scattered_indexes())
            .or_else(|| self.impossible_chunks())
    }

    fn not_indexed(&self) -> Option<Unfit> {
        let Some(statistics) = &self.statistics else { return Some(Unfit::NoStatistics) };
        let kinds = [
            // Messages outside of chunks are in no index.
            ("messages", statistics.message_count, self.indexed_messages()),
            ("chunks", statistics.chunk_count.into(), self.chunks.len() as u64),
            ("attachments", statistics.attachment_count.into(), self.attachments.len() as u64),
            ("metadata records", statistics.metadata_count.into(), self.metadata.len() as u64),
        ];
        kinds.into_iter().find_map(|(what, counted, indexed)| {
            (counted != indexed).then_some(Unfit::NotIndexed { what, counted, indexed })
        })
    }

    /// How many entries the message indexes have, by their size alone.
    fn indexed_messages(&self) -> u64 {
        let entries = self.chunks.iter().map(|chunk| {
            let frames = EMPTY_INDEX_BYTES * chunk.channels.len() as u64;
            chunk.message_index_bytes.saturating_sub(frames) / INDEX_ENTRY_BYTES
        });
        entries.sum()
    }

    fn without_message_index(&self) -> Option<Unfit> {
        let chunk = self.chunks.iter().find(|chunk| chunk.channels.is_empty())?;
        Some(Unfit::NoMessageIndex { offset: chunk.record.start })
    }

    fn scattered_indexes(&self) -> Option<Unfit> {
        let chunk = self.chunks.iter().find(|chunk| chunk.message_counts.is_none())?;
        Some(Unfit::ScatteredIndexes { offset: chunk.record.start })
    }

    fn impossible_chunks(&self) -> Option<Unfit> {
        let is_impossible = |chunk: &&SummaryChunk| {
            let counts = chunk.message_counts.iter().flatten();
            let messages: u64 = counts.map(|count| u64::from(*count)).sum();
            let name = chunk.compression.len() as u64;
            messages.saturating_mul(LEAST_MESSAGE_BYTES) > chunk.uncompressed_bytes
                || chunk.record.len() != LEAST_CHUNK_BYTES + name + chunk.compressed_bytes
                || chunk.record.len() > LARGEST_CHUNK_BYTES + LARGEST_CHUNK_BYTES / 8
        };
        let chunk = self.chunks.iter().find(is_impossible)?;
        Some(Unfit::ImpossibleChunk { offset: chunk.record.start })
    }

    /// Schemas and channels may lie loose, each as often as in the summary; what else is there can
    /// only be messages, or records that nobody indexed.
    fn loose_records(&self) -> Option<Unfit> {
        let chunks = self.chunks.iter().map(|chunk| chunk.record.len() + chunk.message_index_bytes);
        let metadata = self.metadata.iter().map(|found| found.record.len());
        let attachments = self.attachments.iter().map(|found| found.record.len());
        let indexed: u64 = chunks.chain(metadata).chain(attachments).sum();
        let bytes = self.data_end.saturating_sub(indexed);
        let expected = self.definition_bytes + HEADER_ROOM_BYTES;
        (bytes > expected).then_some(Unfit::LooseRecords { bytes })
    }

    fn wrong_chunk_sizes(&self) -> Option<Unfit> {
        let mut sizes: Vec<u64> =
            self.chunks.iter().map(|chunk| chunk.uncompressed_bytes).collect();
        sizes.sort_unstable();
        let largest = *sizes.last()?;
        if largest > LARGEST_CHUNK_BYTES {
            return Some(Unfit::LargeChunk { bytes: largest });
        }
        let median_bytes = sizes[sizes.len() / 2];
        (median_bytes < LEAST_MEDIAN_BYTES).then_some(Unfit::SmallChunks { median_bytes })
    }
}
