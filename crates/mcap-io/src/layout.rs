//! The layout of a file whose chunks and attachments lie elsewhere: where each of them will lie,
//! and every byte besides.

use std::sync::Arc;

use bytes::Bytes;
use rdl_model::ByteRange;

use crate::file::{FileWriter, OutputPiece};
use crate::{
    AttachmentHead, ChannelRecord, ChunkDescriptor, MetadataRecord, OutputError, SchemaDef,
};

/// Lays out one file from front to back. Nothing may follow [`LayoutWriter::finish`].
pub struct LayoutWriter {
    file: FileWriter,
    /// Where what lies elsewhere goes, by ticket.
    elsewhere: Vec<ByteRange>,
    /// What schemas and channels take, which the summary repeats.
    definition_bytes: u64,
}

impl LayoutWriter {
    /// A file whose header is written. `library` is part of its bytes.
    pub fn new(profile: &str, library: &str) -> LayoutWriter {
        let file = FileWriter::new(profile, library);
        LayoutWriter { file, elsewhere: Vec::new(), definition_bytes: 0 }
    }

    /// Whether `channel` is written as it is, or can be.
    pub fn fits(&self, channel: &ChannelRecord) -> bool {
        self.file.fits(channel)
    }

    /// What the file has under this id of a schema.
    pub fn schema(&self, id: u16) -> Option<&Arc<SchemaDef>> {
        self.file.schemas.get(&id)
    }

    /// What the file has under this id of a channel.
    pub fn channel(&self, id: u16) -> Option<&Arc<ChannelRecord>> {
        self.file.channels.get(&id)
    }

    /// Writes a schema unless there is one of this id.
    pub fn define_schema(&mut self, id: u16, schema: &Arc<SchemaDef>) {
        let before = self.file.bytes_written();
        self.file.define_schema(id, schema);
        self.definition_bytes += self.file.bytes_written() - before;
    }

    /// Writes a channel that fits, and its schema, whichever are not written yet.
    pub fn define(&mut self, channel: &Arc<ChannelRecord>) -> Result<(), OutputError> {
        let before = self.file.bytes_written();
        self.file.define(channel)?;
        self.definition_bytes += self.file.bytes_written() - before;
        Ok(())
    }

    /// Leaves the place for a chunk and its message indexes, whose channels are defined.
    pub fn chunk(&mut self, descriptor: &ChunkDescriptor) -> Result<ByteRange, OutputError> {
        let range = self.file.chunk_elsewhere(descriptor, self.elsewhere.len() as u64)?;
        self.elsewhere.push(range);
        Ok(range)
    }

    /// Writes a metadata record.
    pub fn metadata(&mut self, metadata: &MetadataRecord) {
        self.file.metadata(metadata);
    }

    /// Leaves the place for an attachment record.
    pub fn attachment(&mut self, head: &AttachmentHead, record_bytes: u64) -> ByteRange {
        let ticket = self.elsewhere.len() as u64;
        let range = self.file.attachment_elsewhere(head, record_bytes, ticket);
        self.elsewhere.push(range);
        range
    }

    /// About how long the summary would be now, in bytes.
    pub fn summary_bytes(&self) -> u64 {
        self.definition_bytes + self.file.index_bytes()
    }

    /// Writes the summary and the end of the file. Gives every byte that does not lie elsewhere,
    /// with its place, in order; and how long the file is.
    pub fn finish(mut self) -> (Vec<(u64, Bytes)>, u64) {
        self.file.finish();
        let (mut at, mut elsewhere) = (0, self.elsewhere.into_iter());
        let mut here = Vec::new();
        for piece in self.file.take_output() {
            match piece {
                OutputPiece::Bytes(bytes) => {
                    let start = at;
                    at += bytes.len() as u64;
                    here.push((start, bytes));
                }
                OutputPiece::Elsewhere(_) => at = elsewhere.next().map_or(at, |range| range.end),
            }
        }
        (here, at)
    }
}
