//! MCAP without I/O: bytes in, events out. Scan, verify, number, re-chunk, write.
//!
//! No async, no files, no network. The flow of a streamed source: bytes -> [`Scanner`] (frames
//! records, opens and verifies chunks) -> [`Intake`] (canonical ids, order, good sizes) ->
//! [`StoredChunk`]s, each with the [`ChunkDescriptor`] that everything later is planned from.
//! A response goes the other way: stored chunks and messages -> [`OutputWriter`] -> bytes.

mod build;
mod canonical;
mod channel;
mod chunk;
mod codec;
mod describe;
mod fields;
mod file;
mod hole;
mod huge;
mod index;
mod intake;
mod layout;
mod limits;
mod open;
mod output;
mod part;
mod rechunk;
mod records;
mod renumber;
mod run;
#[cfg(test)]
mod sample;
mod scan;
mod sorted_body;
mod spool;
mod summary;
mod verify;
mod walk;
mod write;

pub use build::ChunkBuilder;
pub use canonical::{CanonicalIds, IdsExhausted};
pub use channel::{ChannelDef, ChannelRecord, SchemaDef};
pub use chunk::{ChannelUse, ChunkDescriptor, Compression, MessageView, StoredChunk};
pub use codec::ChunkError;
pub use hole::chunk_without_messages;
pub use index::{Index, IndexedAttachment, IndexedChunk, Position};
pub use intake::{Intake, IntakeError, IntakeEvent, IntakeOptions};
pub use layout::LayoutWriter;
pub use limits::Limits;
pub use open::{MessageEntry, OpenChunk, open_chunk_bound_bytes};
pub use output::{OutputError, OutputOptions, OutputPiece, OutputWriter};
pub use part::{PartWriter, end_of_body, part_as_body, start_of_body};
pub use records::{AttachmentHead, AttachmentRecord, MetadataRecord, RecordError};
pub use renumber::{NewIds, renumber_chunk, renumbered};
pub use run::{LEAST_RECORD_BYTES, RunError, SortedRun};
pub use scan::{
    ChunkRecord, RecordPart, ScanError, ScanEvent, ScannedChunk, ScannedMessage, Scanner,
};
pub use sorted_body::SortedBody;
pub use spool::{Spool, SpoolFactory};
pub use summary::{
    EMPTY_INDEX_BYTES, Summary, SummaryAttachment, SummaryChunk, SummaryError, SummaryMetadata,
    SummaryStatistics, SummaryStep, Unfit, read_header, read_summary,
};
pub use verify::{VerifiedChunk, verify_chunk};
