//! Parts: runs of chunks of one source, each a valid indexed MCAP file.

use std::sync::Arc;

use bytes::Bytes;
use mcap::MAGIC;
use mcap::records::op;
use rdl_model::ByteRange;

use crate::file::{FileWriter, OutputPiece};
use crate::output::LIBRARY;
use crate::walk::RECORD_HEADER_BYTES;
use crate::write::{put_data_end, put_record};
use crate::{AttachmentRecord, ChannelRecord, MetadataRecord, OutputError, StoredChunk};

/// Writes one part. Nothing may follow [`PartWriter::finish`].
pub struct PartWriter {
    file: FileWriter,
}

impl PartWriter {
    /// A part of a source with this profile; its header is written.
    pub fn new(profile: &str) -> PartWriter {
        PartWriter::by_library(profile, LIBRARY)
    }

    /// The same for another program, which the header names as the library.
    pub fn by_library(profile: &str, library: &str) -> PartWriter {
        PartWriter { file: FileWriter::new(profile, library) }
    }

    /// The beginning of a body that is never finished: nothing is kept of what was written.
    pub(crate) fn unfinished(profile: &str) -> PartWriter {
        PartWriter { file: FileWriter::new(profile, LIBRARY).without_summary() }
    }

    /// Writes a chunk, and before it those of `channels`, which are all that it uses or records,
    /// that are new to the part. Says where in the part the stored bytes lie.
    pub fn chunk(
        &mut self,
        chunk: &StoredChunk,
        channels: &[Arc<ChannelRecord>],
    ) -> Result<ByteRange, OutputError> {
        for channel in channels {
            self.file.define(channel)?;
        }
        self.file.chunk(chunk)
    }

    /// Writes an attachment, and says where in the part its record lies.
    pub fn attachment(&mut self, attachment: &AttachmentRecord) -> ByteRange {
        self.file.attachment(attachment)
    }

    /// Writes a metadata record.
    pub fn metadata(&mut self, metadata: &MetadataRecord) {
        self.file.metadata(metadata);
    }

    /// Writes the summary and the end of the part. A second call does nothing.
    pub fn finish(&mut self) {
        self.file.finish();
    }

    /// Takes what was written since the last call, in order; chunks are not copied.
    pub fn take_output(&mut self) -> Vec<Bytes> {
        let pieces = self.file.take_output().into_iter();
        // A part has the bytes of all its chunks.
        pieces
            .filter_map(|piece| match piece {
                OutputPiece::Bytes(bytes) => Some(bytes),
                OutputPiece::Elsewhere(_) => None,
            })
            .collect()
    }

    /// What was written and not taken yet, in bytes.
    pub fn pending_bytes(&self) -> usize {
        self.file.pending_bytes()
    }

    /// What was written at all, in bytes.
    pub fn bytes_written(&self) -> u64 {
        self.file.bytes_written()
    }
}

/// What the data section of a part adds to the source as one body: all of it for the first part,
/// and what comes behind the header for the others. `None` where it does not begin like a part.
pub fn part_as_body(data: &Bytes, is_first: bool) -> Option<Bytes> {
    let header = data.strip_prefix(MAGIC)?;
    let [op::HEADER, length @ ..] = header.first_chunk::<RECORD_HEADER_BYTES>()? else {
        return None;
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let start = length.checked_add(MAGIC.len() + RECORD_HEADER_BYTES)?;
    match (start <= data.len(), is_first) {
        (false, _) => None,
        (true, true) => Some(data.clone()),
        (true, false) => Some(data.slice(start..)),
    }
}

/// What begins a body that has no part.
pub fn start_of_body(profile: &str) -> Bytes {
    PartWriter::new(profile).take_output().concat().into()
}

/// What ends a body that was put together from parts: the source's metadata, and an end without
/// a summary.
pub fn end_of_body(metadata: &[MetadataRecord]) -> Bytes {
    let mut out = Vec::new();
    for record in metadata {
        out.extend_from_slice(&record.to_record_bytes());
    }
    put_data_end(&mut out, 0);
    put_record(&mut out, op::FOOTER, |out| out.extend_from_slice(&[0; 8 + 8 + 4]));
    out.extend_from_slice(MAGIC);
    out.into()
}
